# SPDX-License-Identifier: Apache-2.0
"""
What `docs/mesh-protocol.md` prints from the code: messages, states, numbers and bytes to test by.

``python -m tests.support.mesh_vectors`` prints the tables; a test holds the page to them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, get_args

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from edge_twisted.documents.checksums import checksum
from edge_twisted.documents.clock import COUNTER_BITS, Timestamp
from edge_twisted.documents.counters import CounterState, Share
from edge_twisted.documents.deltas import delta, encode_delta
from edge_twisted.documents.entries import Entry, Stamp
from edge_twisted.documents.nodes import EMPTY, Variant
from edge_twisted.documents.operations import Increment, Path, Set
from edge_twisted.documents.slot_records import Slot, with_slots
from edge_twisted.documents.versions import Dot, Replica, SiteId, VersionVector
from edge_twisted.documents.writes import apply, insert
from edge_twisted.mesh.limits.rates import BYTES_EACH, RATES, UNKNOWN
from edge_twisted.mesh.presence.codec import encode as encode_record
from edge_twisted.mesh.presence.codec import signed_bytes
from edge_twisted.mesh.presence.graph import Claim, PresenceRecord, RecordVersion
from edge_twisted.mesh.repair.states import REPAIR
from edge_twisted.mesh.session.bases import base_digest
from edge_twisted.mesh.session.states import INCOMING, LINK, OUTGOING
from edge_twisted.mesh.trust.identity import PeerIdentity
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.end_reasons import EndReason
from edge_twisted.mesh.wire.frames import FrameWriter
from edge_twisted.mesh.wire.items import Announced, Left, Partial, Seen, Whole
from edge_twisted.mesh.wire.state_machine import NoState, Table
from edge_twisted.mesh.wire.values import write_items, write_seen, write_vector

_SITE = SiteId(bytes(range(16)))
_BASE = VersionVector({Replica(_SITE, 1): 7})
_VECTOR = write_vector(_BASE)


def name_of(kind: type) -> str:
    """Return a message's name as the page writes it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).upper()


def message_rows() -> Iterator[str]:
    """Yield a table row for each message: number, name, fields in order, meaning."""
    for kind in get_args(m.Message):
        info = msgspec.inspect.type_info(kind)
        assert isinstance(info, msgspec.inspect.StructType)
        fields = ", ".join(f"`{each.name}`" for each in info.fields) or "none"
        meaning = " ".join((kind.__doc__ or "").split())
        yield f"| {info.tag} | {name_of(kind)} | {fields} | {meaning} |"


def state_rows(table: Table[Any]) -> Iterator[str]:
    """Yield a table of what each event does in each state, its head included; equal rows as one."""
    yield "| event | " + " | ".join(f"*{state.value}*" for state in table) + " |"
    yield "|---|" + "---|" * len(table)
    rows: dict[str, list[str]] = {}
    for event in next(iter(table.values())):
        cells = " | ".join(_cell(following[event]) for following in table.values())
        name = name_of(event) if isinstance(event, type) else str(event.value)
        rows.setdefault(cells, []).append(name)
    for cells, names in rows.items():
        what = ", ".join(names) if len(names) < MANY else "any other message"
        yield f"| {what} | {cells} |"


def _cell(following: Enum) -> str:
    is_state = not isinstance(following, NoState)
    return f"*{following.value}*" if is_state else str(following.value)


#: Events that share a row, when their names would say nothing.
MANY: Final = 12
TABLES: Final[tuple[Table[Any], ...]] = (LINK, INCOMING, OUTGOING, REPAIR)


def rate_rows() -> Iterator[str]:
    """Yield a table row for each kind of message that has a rate."""
    for kind, rate in RATES.items():
        each = BYTES_EACH.get(kind)
        more = "" if each is None else f"{each:,} bytes"
        yield f"| {name_of(kind)} | {rate.burst:,} | {rate.per_second:,.0f} | {more} |"
    yield f"| kinds that are ignored | {UNKNOWN.burst:,} | {UNKNOWN.per_second:,.0f} | |"


def end_rows() -> Iterator[str]:
    """Yield a table row for each reason for which a link ends."""
    for reason in EndReason:
        seconds = reason.retry_seconds
        again = "with backoff" if seconds is None else f"after {seconds:g} s"
        yield f"| `{reason}` | {reason.culprit.value} | {again} | {reason.meaning} |"


def examples() -> Iterator[m.Message]:
    """Yield a message of most kinds, as they may follow each other on a link."""
    yield m.Hello(
        [1, 2], b"\xdb" * 32, _SITE, 1, "pk" + "A" * 44, "dock", 115605504000000000, 1 << 20
    )
    yield m.Met(41)
    yield m.Subscribe(1, "SELECT * FROM tasks", b"\x80", 40, 12, base_digest(_BASE))
    yield m.Ready()
    yield m.Batch(
        1,
        write_items(
            (
                Whole(b"\x40a\x00\x01", b'{"_id":"a"}', b"\x01"),
                Whole(b"\x40b\x00\x01", None, b"\x02"),
                Partial(b"\x40c\x00\x01", b"\x03"),
                Announced(b"\x40d\x00\x01", -5, 2000),
                Left(b"\x40e\x00\x01", 6),
            )
        ),
        44,
        True,
        False,
        _VECTOR,
    )
    yield m.BaseWanted(1)
    yield m.Base(1, _VECTOR)
    yield m.Batch(2, write_items(()), 44, True, base=_VECTOR)
    yield m.Ack(1, 44)
    yield m.Want(1, [b"\x40c\x00\x01"])
    yield m.Supply(1, [(b"\x40c\x00\x01", b'{"_id":"c"}', b"\x04")])
    yield m.Gone(
        1, True, next(write_seen([Seen(b"\x40f\x00\x01", VersionVector({Replica(_SITE, 1): 3}))]))
    )
    yield m.KeepAlive([(1, 44, bytes(16))])
    yield m.RepairBegin(1, b"s" * 16)
    yield m.RepairDone(1, 50)
    yield m.Unsubscribe(1)
    yield m.Clock(115605504000000000, 115606211788800000)
    yield m.Bye("goodbye", "")


def payload_rows() -> Iterator[str]:
    """Yield each example as text: name, payload in hexadecimal."""
    for message in examples():
        yield f"{name_of(type(message))} {m.encode(message).hex()}"


def stream_rows() -> Iterator[str]:
    """Yield the frames of three messages on one link: the first two deflated, then one raw."""
    writer = FrameWriter()
    for message in (m.Met(41), m.Met(42)):
        yield writer.message(m.encode(message)).hex()
    yield writer.message(m.encode(m.Blob(b"chunk")), deflated=False).hex()


def checksum_rows() -> Iterator[str]:
    """Yield checksums of single writes: variant, what, path, sequence, number."""
    paths: tuple[Path, ...] = ((), ("a",), ("a", "b"), ("b", "a"), ("é",))
    for variant, what, path, sequence in (
        *((Variant.REGISTER, "entry", path, 1) for path in paths),
        (Variant.REGISTER, "entry", ("a",), 2),
        (Variant.PN_COUNTER, "entry", ("a",), 1),
        (Variant.COUNTER, "restart", ("a",), 1),
        (Variant.PN_COUNTER, "share", ("a",), 2**40),
    ):
        root = with_slots(EMPTY, [_slot(variant, what, path, _stamp(sequence))])
        written = json.dumps(path, ensure_ascii=False)
        yield f"{int(variant)} {what} {written} {sequence} {checksum(root)}"


def _stamp(sequence: int) -> Stamp:
    return Stamp(Timestamp(sequence << COUNTER_BITS), Replica(_SITE, 1), sequence)


def _slot(variant: Variant, what: str, path: Path, stamp: Stamp) -> Slot:
    entries = (Entry(stamp, True),) if what == "entry" else ()
    count = None
    if what == "restart":
        count = CounterState(stamp)
    elif what == "share":
        count = CounterState(None, 0, {Dot(stamp.replica, 0): Share(stamp.sequence, 1)})
    return path, variant, entries, count


def delta_row() -> str:
    """Return a delta that leaves a counter out, in hexadecimal."""
    before = insert(None, {"a": 1}, _stamp(1))
    before = apply(before, [Increment(("n",), 5)], _stamp(2))
    after = apply(before, [Set(("a",), 2)], _stamp(3))
    return encode_delta(delta(after, before.version)).hex()


def presence_record() -> PresenceRecord:
    """
    Return a record of the peer whose private key is the number 2, linked with that of 3.

    The signature was made by RFC 6979, which not every library can: so it stands here.
    """
    peer, other = (
        PeerIdentity.of(ec.derive_private_key(number, ec.SECP256R1())).peer_key for number in (2, 3)
    )
    return PresenceRecord(
        peer=peer,
        stamp=RecordVersion(1_764_000_000_000, 7),
        device_name="dock",
        os="Linux",
        version="edge-twisted/1",
        claims=(Claim(other, "AccessPoint"),),
        signature=bytes.fromhex(
            "5600e0574eb332a42d5c22b3ec5545ac261ae3ff13675121011ae919e539c42a"
            "ab10068e4f24b03319fbc10cca437a4c3d313e9e83883e4771965af527dc30bc"
        ),
    )


def presence_rows() -> Iterator[str]:
    """Yield what a peer signs of its presence record, and the record, in hexadecimal."""
    yield f"signed {signed_bytes(presence_record()).hex()}"
    yield f"record {encode_record(presence_record()).hex()}"


def main() -> None:
    """Print everything."""
    parts = (
        message_rows(),
        *map(state_rows, TABLES),
        rate_rows(),
        end_rows(),
        payload_rows(),
        checksum_rows(),
        [delta_row()],
        presence_rows(),
        stream_rows(),
    )
    for part in parts:
        sys.stdout.write("\n".join(part) + "\n\n")


if __name__ == "__main__":
    main()
