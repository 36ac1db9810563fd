# SPDX-License-Identifier: Apache-2.0
"""
The messages of the protocol, as `docs/mesh-protocol.md` publishes them.

Each is a msgpack array: the kind's number, then the fields in order.  Fields that a newer version
adds come last and are ignored; a kind of 64 and above that is not known is ignored as a whole,
one below it ends the link.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from edge_twisted.documents.versions import SITE_BYTES, Replica, SiteId, VersionVector
from edge_twisted.mesh.items import Announced, Item, Left, Partial, Seen, Whole
from edge_twisted.mesh.violations import PeerViolation

#: Versions of the protocol that this server speaks; the highest that both speak is used.
VERSIONS: Final = (1,)
#: Kinds from here on may be ignored by who does not know them.
FIRST_IGNORABLE: Final = 64
#: What the documents in one message may come to: a commit above it is split.
MAX_ITEMS: Final = 1_000_000
#: Of each list of ids, digests or versions in one message.
MAX_ASKED: Final = 4096
MAX_REPLICAS: Final = 65_536

Number = Annotated[int, Meta(ge=0, le=255)]
Lsn = Annotated[int, Meta(ge=0, lt=2**62)]
Count = Annotated[int, Meta(ge=0, lt=2**62)]
Key = Annotated[bytes, Meta(min_length=1, max_length=65536)]
Digest = int
#: Replicas with their sequence numbers.
Entry = tuple[Annotated[bytes, Meta(min_length=16, max_length=16)], Count, Count]
Vector = Annotated[list[Entry], Meta(max_length=MAX_REPLICAS)]
WireSeen = tuple[Key, Vector]


class _Message(Struct, array_like=True, frozen=True, gc=False):
    """A message."""


class Hello(_Message, frozen=True, tag=1):
    """The first message of each side, and its only one until the peer's has come."""

    versions: Annotated[tuple[int, ...], Meta(max_length=16)]
    #: 32 bytes that servers of one database share (`database_hash`).
    database: Annotated[bytes, Meta(max_length=32)]
    site: Annotated[bytes, Meta(min_length=SITE_BYTES, max_length=SITE_BYTES)]
    epoch: Count
    peer_key: Annotated[str, Meta(max_length=128)]
    device_name: Annotated[str, Meta(max_length=256)]
    #: The hybrid clock, 48 bits of milliseconds since 1970 and 16 of a counter.
    clock: Count
    #: Bytes of unacknowledged batches that the sender of this message takes.
    window: Annotated[int, Meta(ge=1024, lt=2**40)]


class Met(_Message, frozen=True, tag=2):
    """After the peer's HELLO: the highest sequence number of the peer's writes known here."""

    of_you: Count


class Subscribe(_Message, frozen=True, tag=3):
    """What is wanted: `number` names it from here on, in both directions."""

    number: Number
    query: Annotated[str, Meta(max_length=65536)]
    #: msgpack of a map.
    arguments: Annotated[bytes, Meta(max_length=1 << 20)]
    #: The cursor; nil: there is none for this sender.
    position: Lsn | None
    #: Documents in the collection here: without a cursor, 0 means "stream from the beginning".
    held: Count
    #: Whether large documents are to be announced instead of sent.
    announce: bool


class Unsubscribe(_Message, frozen=True, tag=4):
    """It is not wanted any more."""

    number: Number


class Batch(_Message, frozen=True, tag=5):
    """Whole commits, oldest first."""

    number: Number
    items: Annotated[list[Any], Meta(max_length=MAX_ITEMS)]
    #: The cursor once this is applied.
    lsn: Lsn
    #: Nothing newer is in the scope as of `lsn`.
    caught_up: bool
    #: If caught up with a whole scope: what the sender knows of it, and its fingerprint.
    knowledge: Vector | None = None
    fingerprint: Annotated[bytes, Meta(max_length=16)] | None = None


class Ack(_Message, frozen=True, tag=6):
    """The batch that ends at `lsn` is on disk."""

    number: Number
    lsn: Lsn


class Want(_Message, frozen=True, tag=7):
    """These documents of the batch that waits have to come whole."""

    number: Number
    id_keys: Annotated[list[Key], Meta(max_length=MAX_ITEMS)]


class Supply(_Message, frozen=True, tag=8):
    """The answer to WANT: what is still here of it."""

    number: Number
    items: Annotated[list[Any], Meta(max_length=MAX_ITEMS)]


class Offer(_Message, frozen=True, tag=9):
    """Documents out of the stream's order: the receiver has an older version."""

    number: Number
    items: Annotated[list[Any], Meta(max_length=MAX_ITEMS)]


class Gone(_Message, frozen=True, tag=10):
    """These versions were deleted here, long ago."""

    number: Number
    #: True: `number` is a subscription of the sender of this message, else of its receiver.
    of_mine: bool
    seen: Annotated[list[WireSeen], Meta(max_length=MAX_ITEMS)]


class Stale(_Message, frozen=True, tag=11):
    """The cursor of SUBSCRIBE is of no use here: repair."""

    number: Number
    reason: Annotated[str, Meta(max_length=1024)]


class Closed(_Message, frozen=True, tag=12):
    """The scope is not served: its collection stays local, or the query is not understood."""

    number: Number
    reason: Annotated[str, Meta(max_length=1024)]


class KeepAlive(_Message, frozen=True, tag=13):
    """Sent when nothing else was: for idle whole scopes (number, lsn, fingerprint)."""

    fingerprints: Annotated[
        list[tuple[Number, Lsn, Annotated[bytes, Meta(max_length=16)]]], Meta(max_length=256)
    ]


class RepairBegin(_Message, frozen=True, tag=14):
    """Reconcile: both take the digests of the scope under this salt."""

    number: Number
    salt: Annotated[bytes, Meta(min_length=16, max_length=16)]


class RepairSummary(_Message, frozen=True, tag=15):
    """The sender's set in summary, as of its `lsn`; and its knowledge, for a whole scope."""

    number: Number
    lsn: Lsn
    summary: Annotated[bytes, Meta(max_length=1024)]
    knowledge: Vector | None


class RepairCells(_Message, frozen=True, tag=16):
    """The receiver asks for cells (`docs/mesh-reconciliation.md`)."""

    number: Number
    request: Annotated[bytes, Meta(max_length=65536)]


class RepairAnswer(_Message, frozen=True, tag=17):
    """The cells."""

    number: Number
    cells: bytes


class RepairPull(_Message, frozen=True, tag=18):
    """The receiver asks for documents by digest."""

    number: Number
    digests: Annotated[list[Digest], Meta(max_length=MAX_ASKED)]


class RepairItems(_Message, frozen=True, tag=19):
    """The answer to REPAIR_PULL."""

    number: Number
    items: Annotated[list[Any], Meta(max_length=MAX_ITEMS)]


class RepairHave(_Message, frozen=True, tag=20):
    """The receiver has these and the sender seems not to: what became of them?"""

    number: Number
    seen: Annotated[list[WireSeen], Meta(max_length=MAX_ASKED)]


class RepairFates(_Message, frozen=True, tag=21):
    """The answer to REPAIR_HAVE; GONE and OFFER with what there is to say went before it."""

    number: Number


class RepairDone(_Message, frozen=True, tag=22):
    """The receiver has all as of `lsn`: stream from there."""

    number: Number
    lsn: Lsn


class Presence(_Message, frozen=True, tag=23):
    """Presence records, encoded."""

    records: Annotated[list[Annotated[bytes, Meta(max_length=1 << 16)]], Meta(max_length=4096)]


class Blob(_Message, frozen=True, tag=24):
    """A message about attachments, encoded (`blob_messages`)."""

    message: Annotated[bytes, Meta(max_length=1 << 17)]


class Bye(_Message, frozen=True, tag=25):
    """The sender ends the link, for a published reason."""

    reason: Annotated[str, Meta(max_length=64)]
    detail: Annotated[str, Meta(max_length=1024)] = ""


Message = (
    Hello
    | Met
    | Subscribe
    | Unsubscribe
    | Batch
    | Ack
    | Want
    | Supply
    | Offer
    | Gone
    | Stale
    | Closed
    | KeepAlive
    | RepairBegin
    | RepairSummary
    | RepairCells
    | RepairAnswer
    | RepairPull
    | RepairItems
    | RepairHave
    | RepairFates
    | RepairDone
    | Presence
    | Blob
    | Bye
)

encode = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Message)
_any_decoder: Final = msgspec.msgpack.Decoder()


def decode(payload: bytes) -> Message | None:
    """
    Return the message, None if it is of a kind that may be ignored.

    :raises PeerViolation: it is no message, or beyond its limits.
    """
    try:
        message: Message = _decoder.decode(payload)
        return message
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        if _is_ignorable(payload):
            return None
        raise PeerViolation(f"a message that is none: {error}") from None


def _is_ignorable(payload: bytes) -> bool:
    try:
        written = _any_decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, TypeError):
        return False
    return (
        isinstance(written, list)
        and bool(written)
        and isinstance(written[0], int)
        and written[0] >= FIRST_IGNORABLE
    )


# -- values within messages

_ITEM_KINDS: Final[dict[int, type[Whole] | type[Partial] | type[Announced] | type[Left]]] = {
    0: Whole,
    1: Partial,
    2: Announced,
    3: Left,
}
_KIND_OF: Final = {kind: number for number, kind in _ITEM_KINDS.items()}
_ITEM: Final = {
    0: tuple[Key, bytes | None, bytes],
    1: tuple[Key, bytes],
    2: tuple[Key, Digest, Count],
    3: tuple[Key, Digest],
}


def write_items(items: Iterable[Item]) -> list[Any]:
    """Return items as messages carry them: the kind's number, then the fields."""
    return [(_KIND_OF[type(item)], *item) for item in items]


def read_items(written: Iterable[Any]) -> tuple[Item, ...]:
    """:raises PeerViolation: something is no item."""
    found: list[Item] = []
    for each in written:
        if not isinstance(each, list) or not each or each[0] not in (0, 1, 2, 3):
            raise PeerViolation("an item of no known kind")
        try:
            fields = msgspec.convert(each[1:], _ITEM[each[0]])
        except (msgspec.ValidationError, RecursionError) as error:
            raise PeerViolation(f"an item that is none: {error}") from None
        found.append(_ITEM_KINDS[each[0]](*fields))
    return tuple(found)


def write_vector(vector: VersionVector | None) -> list[Entry] | None:
    """Return a version vector as messages carry it, in the order of replicas."""
    if vector is None:
        return None
    return [(replica.site, replica.epoch, vector[replica]) for replica in sorted(vector)]


def read_vector(written: Iterable[Entry] | None) -> VersionVector | None:
    """Return the version vector."""
    if written is None:
        return None
    return VersionVector({Replica(SiteId(site), epoch): number for site, epoch, number in written})


def write_seen(seen: Iterable[Seen]) -> list[WireSeen]:
    """Return versions of documents as messages carry them."""
    return [(each.id_key, write_vector(each.version) or []) for each in seen]


def read_seen(written: Iterable[WireSeen]) -> tuple[Seen, ...]:
    """Return the versions of documents."""
    return tuple(Seen(key, read_vector(vector) or VersionVector()) for key, vector in written)
