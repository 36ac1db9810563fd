# SPDX-License-Identifier: Apache-2.0
"""
The messages of the protocol, as `docs/mesh-protocol.md` publishes them.

A message is a msgpack array: the number of its kind, then its fields in order.  Fields that a newer
version adds come last and are ignored.  An unknown kind of 64 or above is ignored; any other
unknown kind ends the link.  `edge_twisted.mesh.wire.values` turns fields into values and back.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from edge_twisted.documents.headers import MAX_EXCEPTIONS
from edge_twisted.documents.versions import SITE_BYTES
from edge_twisted.mesh.wire.violations import PeerViolation

#: Kinds from here to `LAST_KIND` are ignored by a reader that does not know them.
FIRST_IGNORABLE: Final = 64
LAST_KIND: Final = 127
#: Kinds from `FIRST_IGNORABLE` on that this server knows.
_KNOWN: Final = frozenset({64})
#: Documents in one message: few bytes must not become an endless list.
MAX_ITEMS: Final = 1 << 18
#: Length of each list of ids, digests or versions in one message.
MAX_ASKED: Final = 4096
#: Subscriptions of one peer at a time.
MAX_SCOPES: Final = 1024
MAX_REPLICAS: Final = 1 << 16
#: Exceptions of one version, and writes by which one document lives.
MAX_UNSEEN: Final = MAX_EXCEPTIONS
#: Presence records in one message.
MAX_RECORDS: Final = 4096
#: Entries of a base that receivers keep: some 30 kB for each sender and scope.
MAX_BASE: Final = 1024
#: Servers over which a subscription is passed on, and bytes of its token.
MAX_HOPS: Final = 8
MAX_TOKEN_BYTES: Final = 16
#: Bytes of the query of a subscription, and of its arguments.
MAX_QUERY_BYTES: Final = 1 << 16

Number = Annotated[int, Meta(ge=0, lt=2**31)]
Lsn = Annotated[int, Meta(ge=0, lt=2**62)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Key = Annotated[bytes, Meta(min_length=1, max_length=1 << 20)]
Digest = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Site = Annotated[bytes, Meta(min_length=SITE_BYTES, max_length=SITE_BYTES)]
Reason = Annotated[str, Meta(max_length=1024)]
Fingerprint = Annotated[bytes, Meta(min_length=16, max_length=16)]
#: An entry of a version vector: site, epoch, number.
Entry = tuple[Site, Count, Count]
Vector = Annotated[list[Entry], Meta(max_length=MAX_REPLICAS)]
#: A base of deltas.
BaseVector = Annotated[list[Entry], Meta(max_length=MAX_BASE)]
BaseDigest = Annotated[bytes, Meta(min_length=8, max_length=8)]
#: An exception of a document's version: site, epoch, first, last.
Unseen = tuple[Site, Count, Count, Count]
Keys = Annotated[list[Key], Meta(min_length=1, max_length=MAX_ASKED)]
#: Id key, body (nil: a tombstone), state.
WireWhole = tuple[Key, bytes | None, bytes]
Wholes = Annotated[list[WireWhole], Meta(max_length=MAX_ITEMS)]


class Items(Struct, array_like=True, frozen=True, gc=False):
    """The documents of a batch, by kind; their order means nothing."""

    whole: Wholes = []
    partial: Annotated[list[tuple[Key, bytes]], Meta(max_length=MAX_ITEMS)] = []
    announced: Annotated[list[tuple[Key, Digest, Count]], Meta(max_length=MAX_ITEMS)] = []
    left: Annotated[list[tuple[Key, Digest]], Meta(max_length=MAX_ITEMS)] = []


class WireSeen(Struct, array_like=True, frozen=True, gc=False):
    """A document and a version of it, with the exceptions; and in questions, what it lives by."""

    id_key: Key
    vector: Vector
    unseen: Annotated[list[Unseen], Meta(max_length=MAX_UNSEEN)] = []
    life: Annotated[list[Entry], Meta(max_length=MAX_UNSEEN)] = []


SeenList = Annotated[list[WireSeen], Meta(max_length=MAX_ASKED)]


class _Message(Struct, array_like=True, frozen=True, gc=False):
    """A message."""


class Hello(_Message, frozen=True, tag=1):
    """The first message of each side, and its only one until the peer's HELLO has come."""

    versions: Annotated[list[Count], Meta(max_length=16)]
    #: 32 bytes that servers of one database share.
    database: Annotated[bytes, Meta(max_length=32)]
    site: Site
    epoch: Count
    peer_key: Annotated[str, Meta(max_length=128)]
    device_name: Annotated[str, Meta(max_length=256)]
    #: The wall clock: 48 bits of milliseconds since 1970, 16 bits of 0.
    clock: Count
    #: Bytes of unacknowledged batches that the sender of this message takes.
    window: Annotated[int, Meta(ge=4096, lt=2**40)]
    #: The hybrid clock, if it is ahead of the wall clock: documents may be stamped up to this.
    hybrid_clock: Count | None = None


class Met(_Message, frozen=True, tag=2):
    """After the peer's HELLO: the highest sequence number of the peer's writes known here."""

    of_you: Count


class Ready(_Message, frozen=True, tag=3):
    """The sender of this message has subscribed to all that it wants at first."""


class Subscribe(_Message, frozen=True, tag=4):
    """Subscribe to a query.  `number` names the subscription, and is above all before it."""

    number: Number
    query: Annotated[str, Meta(max_length=MAX_QUERY_BYTES)]
    #: msgpack of a map.
    arguments: Annotated[bytes, Meta(max_length=MAX_QUERY_BYTES)]
    #: The cursor; nil: there is none for this sender.
    position: Lsn | None
    #: Documents in the collection here: without a cursor, 0 means "stream from the beginning".
    held: Count
    #: The digest of the base that the receiver stores with the cursor; nil: there is none.
    base: BaseDigest | None = None
    #: Of a subscription that is passed on: the sites of those for whom, the subscriber first.
    path: Annotated[list[Site], Meta(max_length=MAX_HOPS)] = []
    #: Of such a one: names the wish for what was dropped on the way.
    token: Annotated[bytes, Meta(max_length=MAX_TOKEN_BYTES)] = b""


class Unsubscribe(_Message, frozen=True, tag=5):
    """End a subscription."""

    number: Number


class Batch(_Message, frozen=True, tag=6):
    """Whole commits, oldest first."""

    number: Number
    items: Items
    #: The cursor once this is applied.
    lsn: Lsn
    #: Nothing newer is in the scope as of `lsn`.
    caught_up: bool
    #: More of the same commit follows: the cursor stays where it is.
    is_part: bool = False
    #: If caught up with a whole scope: the changed entries of what the sender knows.
    knowledge: Vector | None = None
    #: Further subscriptions of the same collection that this batch is for.
    others: Annotated[list[Number], Meta(max_length=MAX_SCOPES)] = []
    #: If caught up, beside `knowledge`, and for the bases of receivers alone: further changed
    #: entries of what the sender knows.
    base: BaseVector | None = None


class Ack(_Message, frozen=True, tag=7):
    """The oldest unacknowledged batch of a stream, which ends at `lsn`, is on disk."""

    number: Number
    lsn: Lsn


class Want(_Message, frozen=True, tag=8):
    """Send these documents of the batch that waits whole."""

    number: Number
    id_keys: Keys


class Supply(_Message, frozen=True, tag=9):
    """The answer to WANT: the documents that still exist; with `more`, a further one follows."""

    number: Number
    items: Wholes
    more: bool = False


class Offer(_Message, frozen=True, tag=10):
    """Documents out of the stream's order, of which the receiver has an older version."""

    number: Number
    items: Wholes


class Gone(_Message, frozen=True, tag=11):
    """These versions were deleted by the sender of this message, and forgotten."""

    number: Number
    #: True: `number` is a subscription of the sender of this message, else of its receiver.
    of_mine: bool
    seen: SeenList


class Stale(_Message, frozen=True, tag=12):
    """The sender of the stream cannot use the cursor: repair."""

    number: Number
    reason: Reason


class Closed(_Message, frozen=True, tag=13):
    """The subscription is not served: its sync scope is closed, or its query not understood."""

    number: Number
    reason: Reason


class Opened(_Message, frozen=True, tag=14):
    """A subscription that was CLOSED can be served now: subscribe again."""

    number: Number


class KeepAlive(_Message, frozen=True, tag=15):
    """The link lives; and for idle whole scopes (number, lsn, fingerprint), if it is new."""

    fingerprints: Annotated[list[tuple[Number, Lsn, Fingerprint]], Meta(max_length=MAX_SCOPES)]


class RepairBegin(_Message, frozen=True, tag=16):
    """Begin a repair: both sides sketch the digests of the scope under this salt."""

    number: Number
    salt: Annotated[bytes, Meta(min_length=16, max_length=16)]


class RepairSummary(_Message, frozen=True, tag=17):
    """The summary of the sender's set as of its `lsn`; for a whole scope, its knowledge too."""

    number: Number
    lsn: Lsn
    summary: Annotated[bytes, Meta(max_length=1024)]
    knowledge: Vector | None
    #: All that the sender knows: its documents live in spite of all deletes in it.
    vouched: Vector | None = None
    #: The sender has only a summary of some deletes, and may be unsure in REPAIR_FATES.
    forgets: bool = False


class RepairCells(_Message, frozen=True, tag=18):
    """The receiver asks for cells (`docs/mesh-reconciliation.md`)."""

    number: Number
    request: Annotated[bytes, Meta(max_length=1024)]


class RepairAnswer(_Message, frozen=True, tag=19):
    """The answer to REPAIR_CELLS: the cells."""

    number: Number
    cells: bytes


class RepairPull(_Message, frozen=True, tag=20):
    """The receiver asks for documents by digest."""

    number: Number
    digests: Annotated[list[Digest], Meta(min_length=1, max_length=MAX_ASKED)]


class RepairItems(_Message, frozen=True, tag=21):
    """The answer to REPAIR_PULL; with `more`, a further one follows."""

    number: Number
    items: Wholes
    more: bool = False


class RepairHave(_Message, frozen=True, tag=22):
    """Ask what became of documents that only the receiver has."""

    number: Number
    seen: SeenList


class RepairFates(_Message, frozen=True, tag=23):
    """The answer to REPAIR_HAVE; GONE and OFFER go before it."""

    number: Number
    #: Other documents that were asked after may be deleted: the sender has only a summary.
    unsure: bool = False


class RepairDone(_Message, frozen=True, tag=24):
    """The receiver has all as of `lsn`: stream from there."""

    number: Number
    lsn: Lsn


class Presence(_Message, frozen=True, tag=25):
    """Encoded presence records."""

    records: Annotated[
        list[Annotated[bytes, Meta(max_length=1 << 16)]], Meta(max_length=MAX_RECORDS)
    ]


class Blob(_Message, frozen=True, tag=26):
    """An encoded message about attachments."""

    message: Annotated[bytes, Meta(max_length=1 << 20)]


class Announce(_Message, frozen=True, tag=27):
    """Whether large documents are to be announced instead of sent; at first they are sent."""

    wanted: bool


class Bye(_Message, frozen=True, tag=28):
    """The sender ends the link, for a published reason."""

    reason: Annotated[str, Meta(max_length=64)]
    detail: Reason = ""


class BaseWanted(_Message, frozen=True, tag=29):
    """The sender of the stream asks for the base that SUBSCRIBE named."""

    number: Number


class Base(_Message, frozen=True, tag=30):
    """The answer to BASE_WANTED."""

    number: Number
    base: BaseVector


class Clock(_Message, frozen=True, tag=64):
    """The hybrid clock is further ahead than HELLO said; documents stamped so far may follow."""

    #: The wall clock, as in HELLO.
    clock: Count
    hybrid_clock: Count


Message = (
    Hello | Met | Ready | Subscribe | Unsubscribe | Batch | Ack | Want | Supply | Offer | Gone
    | Stale | Closed | Opened | KeepAlive | RepairBegin | RepairSummary | RepairCells
    | RepairAnswer | RepairPull | RepairItems | RepairHave | RepairFates | RepairDone | Presence
    | Blob | Announce | Bye | BaseWanted | Base | Clock
)  # fmt: skip

#: Bytes of a message of a small kind.  A message is decoded in one step, which must not hold the
#: reactor for long; only the large kinds carry documents, cells, or lists of what a batch lacks.
MAX_PLAIN_BYTES: Final = 4 << 20
#: BATCH, WANT, SUPPLY, OFFER, REPAIR_ANSWER, REPAIR_ITEMS.
_LARGE_KINDS: Final = frozenset({6, 8, 9, 10, 19, 21})

encode = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Message)


def decode(payload: bytes) -> Message | None:
    """Return the message that `payload` encodes; None if its kind is unknown and to be ignored.

    :raises PeerViolation: the payload is no message, or a field is beyond its limits; end the link.
    """
    kind = _kind(payload)
    if kind is not None and FIRST_IGNORABLE <= kind <= LAST_KIND and kind not in _KNOWN:
        return None
    if len(payload) > MAX_PLAIN_BYTES and kind not in _LARGE_KINDS:
        raise PeerViolation(f"a message of {len(payload)} bytes without documents")
    try:
        message: Message = _decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise PeerViolation(f"a malformed message: {error}") from None
    return message


#: First byte of an array with a length of 16 or 32 bits -> offset of its first element.
_LONG_ARRAYS: Final = {0xDC: 3, 0xDD: 5}


def _kind(payload: bytes) -> int | None:
    """Return the number of the kind without decoding the rest; None if there is none."""
    if not payload:
        return None
    first = payload[0]
    at = 1 if first & 0xF0 == 0x90 else _LONG_ARRAYS.get(first)
    if at is None or at >= len(payload):
        return None
    return payload[at]
