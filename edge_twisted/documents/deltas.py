# SPDX-License-Identifier: Apache-2.0
"""
Deltas: the part of a document's state that a receiver with a known version lacks.

A delta is a state that holds only the slots with a write that the receiver has not seen, together
with the sender's whole version vector.  Merging a delta has the same result as merging the whole
state, provided that the receiver has seen everything in ``since``: an omitted slot has not changed.

Example: the sender holds ``a = A1``, ``b = A2`` with version ``{A: 2}``, the receiver knows
``{A: 1}``.  The delta holds slot ``b`` and says ``since {A: 1}``, for A1 stands in an omitted slot.

Slots disappear only when a server forgets a document (deletes it, reaps the tombstone) and then
writes it again.  Therefore a delta also lists the dots of the entries in omitted slots: an entry
that the receiver has, and the sender has seen but neither holds nor lists, was forgotten and is
dropped.  The checksum of the omitted slots detects the reverse, a receiver that has forgotten some
of their writes or has kept other shares of counters, and a sender that has forgotten some slots of
a write and holds others; the receiver then asks for the whole document.

The written form is msgpack of ``[replicas, stamps, version, since, life, records]`` (see
`edge_twisted.documents.slot_records`).  ``since`` holds for each replica the newest write that the
delta builds on, 0 for none; where the dots in omitted slots are not exactly that one, an array of
that number and the dots' sequences, ascending.  Its last element is the checksum of the omitted
slots (`edge_twisted.documents.checksums`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, ClassVar, Final

import msgspec.msgpack
from attrs import frozen

from edge_twisted.documents.checksums import PRIME, checksum
from edge_twisted.documents.clock import BEGINNING
from edge_twisted.documents.counters import CounterState
from edge_twisted.documents.encoding import CorruptState
from edge_twisted.documents.entries import Entries, Entry, Stamp
from edge_twisted.documents.nodes import EMPTY, PathNode, Variant, nodes_of, walk
from edge_twisted.documents.operations import Path
from edge_twisted.documents.slot_records import (
    Slot,
    Tables,
    read_count,
    read_entries,
    stamps_of,
    with_slots,
    write_record,
)
from edge_twisted.documents.state import DocumentState, merge
from edge_twisted.documents.values import MISSING
from edge_twisted.documents.versions import Dot, Replica, VersionVector
from edge_twisted.errors import Culprit, EdgeError

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

#: Ways that `_adds_up` tries.  With more, a concurrent change comes whole; and 32 bits of checksum
#: leave one wrong match in a million.
MOST_EXPLANATIONS: Final = 4096


class DeltaGap(EdgeError):
    """The receiver lacks writes on which the delta builds: request the whole document."""

    code: ClassVar[str] = "delta_gap"
    culprit = Culprit.NOBODY

    def __str__(self) -> str:
        return "the delta builds on writes that are not here"


@frozen
class Delta:
    """
    The changed slots of a document with the sender's whole version.

    :ivar since: the version that the receiver must include.
    :ivar omitted_dots: the dots of the entries in omitted slots.
    :ivar omitted_checksum: the checksum of the omitted slots.
    """

    changes: DocumentState
    since: VersionVector
    omitted_dots: frozenset[Dot]
    omitted_checksum: int


def delta(state: DocumentState, known: VersionVector) -> Delta:
    """
    Return the delta of a state for a receiver that has seen the writes of `known`.

    `known` may cover other documents as well.  For an empty `known` the delta is the whole state.
    """
    stamps: set[Stamp] = set()
    counter_dots: set[Dot] = set()
    root = _prune(state.root, known, stamps, counter_dots) or EMPTY
    omitted_dots = frozenset(stamp.dot for stamp in stamps)
    since = _newest_dots(omitted_dots | counter_dots)
    omitted_checksum = (checksum(state.root) - checksum(root)) % PRIME
    return Delta(
        DocumentState(root, state.life, state.version), since, omitted_dots, omitted_checksum
    )


def _newest_dots(dots: Iterable[Dot]) -> VersionVector:
    """
    Return the version vector with the newest of the dots of each replica.

    A receiver that has seen the newest omitted dots lacks nothing in omitted slots: these dots
    supersede any other write there.  The receiver's known version, cut to the version of the
    document, would not do as ``since``: it names writes on other documents, which the version of
    the receiver's copy does not include.
    """
    found: dict[Replica, int] = {}
    for replica, sequence in dots:
        if found.get(replica, 0) < sequence:
            found[replica] = sequence
    return VersionVector(found)


def apply_delta(state: DocumentState | None, changes: Delta) -> DocumentState:
    """
    Return the merge of a state and a delta; a state of None is an absent document.

    :raises DeltaGap: a write on which the delta builds has not been seen here, or was forgotten on
        either side; request the whole document.
    """
    state = state or DocumentState()
    if not state.version.includes(changes.since):
        raise DeltaGap
    merged = merge(state, changes.changes, changes.omitted_dots)
    if changes.changes.version.includes(state.version):
        # The result must equal the sender's state, unless one side has forgotten writes.
        told = checksum(changes.changes.root) + changes.omitted_checksum
        if checksum(merged.root) != told % PRIME:
            raise DeltaGap
    elif not _explains_omitted(state, changes):
        raise DeltaGap
    return merged


def _explains_omitted(state: DocumentState, told: Delta) -> bool:
    """
    Return whether a state with writes of its own holds what a delta omits, as far as can be told.

    What the state has in the slots that the delta omits must come to the checksum.  In slots with
    writes that the sender has not seen, the sender may have what those have replaced: nothing, or
    one entry of any omitted dot.  Otherwise one side has forgotten some of it, and a dot that
    stands in several slots does not tell which.
    """
    seen, dots = told.changes.version, told.omitted_dots
    changed = {(path, variant) for path, node in walk(told.changes.root) for variant in node.slots}
    kept: list[Slot] = []
    replaced: list[tuple[Path, Variant]] = []
    for path, node in walk(state.root):
        for variant, entries in node.slots.items():
            if (path, variant) in changed:
                continue
            counter = node.counters.get(variant)
            if _are_known(entries, seen) and all(
                map(seen.covers, counter.dots() if counter else ())
            ):
                listed = tuple(entry for entry in entries if entry.stamp.dot in dots)
                kept += [(path, variant, listed, counter)] if listed else []
            elif counter is not None:
                return False
            else:
                replaced.append((path, variant))
    rest = (told.omitted_checksum - checksum(with_slots(EMPTY, kept))) % PRIME
    return _adds_up(rest, replaced, dots)


def _adds_up(rest: int, slots: list[tuple[Path, Variant]], dots: Collection[Dot]) -> bool:
    """Return whether at most one entry in each of these slots, of any dots, has a checksum."""
    if (len(dots) + 1) ** len(slots) > MOST_EXPLANATIONS:
        return False
    sums = {0}
    for path, variant in slots:
        terms = [0]
        for replica, sequence in dots:
            entry = Entry(Stamp(BEGINNING, replica, sequence), True)
            terms.append(checksum(with_slots(EMPTY, [(path, variant, (entry,), None)])))
        sums = {(one + term) % PRIME for one in sums for term in terms}
    return rest in sums


def encode_delta(changes: Delta) -> bytes:
    """Return the delta as msgpack bytes, which contain every value; see the module's docstring."""
    state = changes.changes
    stamps = [entry.stamp for entry in state.life]
    for node in nodes_of(state.root):
        stamps.extend(stamps_of(node))
    tables = Tables.of(state.version, stamps)
    life = [[tables.stamp(e.stamp), e.value is not MISSING] for e in state.life]
    since: list[Any] = [_write_since(changes, replica) for replica in tables.replicas]
    since.append(changes.omitted_checksum)
    records = sorted(
        (
            write_record(tables, path, node, variant)
            for path, node in walk(state.root)
            for variant in node.slots
        ),
        key=lambda record: record[:2],
    )
    return _encode([*tables.written(state.version), since, life, records])


def _write_since(changes: Delta, replica: Replica) -> int | list[int]:
    newest = changes.since.seen(replica)
    dots = sorted(dot.sequence for dot in changes.omitted_dots if dot.replica == replica)
    return newest if dots == [newest] or not newest else [newest, *dots]


def decode_delta(data: bytes) -> Delta:
    """
    Return the delta that `encode_delta` has encoded.

    :raises CorruptState: the bytes are not an encoded delta; refuse the message that carried them.
    """
    try:
        return _decode_parts(_decode(data))
    except (msgspec.DecodeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CorruptState(str(error)) from None


def _decode_parts(written: Any) -> Delta:
    replicas, stamps, seen, since, life, records = written
    tables, version = Tables.read(replicas, stamps, seen)
    slots: list[Slot] = []
    for path, number, entries, counter in records:
        variant = Variant(number)
        held = read_entries(tables, variant, entries, MISSING)
        counted = None if counter is None else read_count(tables, counter)
        slots.append((tuple(path), variant, held, counted))
    root = with_slots(EMPTY, slots)
    lives = tuple(Entry(tables.stamps[at], True if alive else MISSING) for at, alive in life)
    newest: dict[Replica, int] = {}
    omitted_dots: set[Dot] = set()
    *builds_on, omitted_checksum = since
    if type(omitted_checksum) is not int or not 0 <= omitted_checksum < PRIME:
        raise ValueError("no checksum")
    for replica, told in zip(tables.replicas, builds_on, strict=True):
        first, *dots = [told, told] if type(told) is int else told
        if first:
            newest[replica] = first
            omitted_dots.update(Dot(replica, sequence) for sequence in dots)
    return Delta(
        DocumentState(root, lives, version),
        VersionVector(newest),
        frozenset(omitted_dots),
        omitted_checksum,
    )


def _prune(
    node: PathNode, known: VersionVector, omitted_dots: set[Stamp], counter_dots: set[Dot]
) -> PathNode | None:
    """
    Return the slots of a tree with writes that are not in `known`; None if there are none.

    :param omitted_dots: receives the stamps in omitted slots.
    :param counter_dots: receives the dots of omitted counters.
    """
    slots: dict[Variant, Entries] = {}
    counters: dict[Variant, CounterState] = {}
    for variant, entries in node.slots.items():
        counter = node.counters.get(variant)
        dots = [] if counter is None else counter.dots()
        if _are_known(entries, known) and all(map(known.covers, dots)):
            omitted_dots.update([stamp for stamp, _ in entries])
            counter_dots.update(dots)
            continue
        slots[variant] = entries
        if counter is not None:
            counters[variant] = counter
    children: dict[str, PathNode] = {}
    for name, child in node.children.items():
        pruned = _prune(child, known, omitted_dots, counter_dots)
        if pruned is not None:
            children[name] = pruned
    return PathNode(slots, counters, children) if slots or children else None


def _are_known(entries: Entries, known: VersionVector) -> bool:
    # A loop: `all` over a generator takes twice as long, and this runs for every slot.
    for stamp, _ in entries:
        if stamp.sequence > known.seen(stamp.replica):
            return False
        if known.exceptions and not known.covers(stamp.dot):
            return False
    return True
