# SPDX-License-Identifier: Apache-2.0
"""
Deltas: what of a document changed since a version that the receiver is known to have.

A delta is a state that holds only the slots with a write that the receiver has not seen, and the
whole version of the sender.  Merging it gives what merging the whole state gives, provided the
receiver has seen all of ``since``: a slot that is left out has not changed since, for no slot ever
vanishes from a document that is not forgotten.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec.msgpack
from attrs import frozen

from edge_twisted.documents.encoding import CorruptState
from edge_twisted.documents.entries import Entry, Stamp
from edge_twisted.documents.nodes import EMPTY, Node, Variant, walk
from edge_twisted.documents.records import (
    Slot,
    Tables,
    read_count,
    read_entries,
    stamps_of,
    with_slots,
    write_record,
)
from edge_twisted.documents.state import State, merge
from edge_twisted.documents.values import MISSING
from edge_twisted.documents.versions import Replica, VersionVector
from edge_twisted.errors import EdgeError

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class DeltaGap(EdgeError):
    """The receiver lacks writes that the delta builds on: ask for the whole document."""

    code: ClassVar[str] = "delta_gap"

    def __str__(self) -> str:
        return "the delta builds on writes that are not here"


@frozen
class Delta:
    """The changed slots with the sender's whole version, and what the receiver must have seen."""

    changes: State
    since: VersionVector


def delta(state: State, known: VersionVector) -> Delta:
    """
    Return what of `state` somebody lacks who has seen `known`.

    `known` may speak of more than this document; with an empty one the delta is the whole state.
    """
    root = _pruned(state.root, known) or EMPTY
    since = VersionVector(_builds_on(state.root, known))
    return Delta(State(root, state.life, state.version), since)


def _builds_on(root: Node, known: VersionVector) -> dict[Replica, int]:
    """
    Return the newest known writes that are still in the slots, of each replica.

    Who has seen these lacks nothing of what is left out: any other write there was superseded by
    one of these.  `known` itself, cut to the version of the document, would name writes on other
    documents, which the version of the receiver's copy says nothing of.
    """
    found: dict[Replica, int] = {}
    for _, node in walk(root):
        dots = [entry.stamp.dot for entries in node.slots.values() for entry in entries]
        dots.extend(dot for count in node.counts.values() for dot in count.dots())
        for replica, sequence in dots:
            if found.get(replica, 0) < sequence <= known.seen(replica):
                found[replica] = sequence
    return found


def apply_delta(state: State | None, changes: Delta) -> State:
    """
    Return the state after a delta; None is a document that is not here.

    :raises DeltaGap: something that the delta builds on has not been seen; nothing is changed.
    """
    state = state or State()
    if not state.version.includes(changes.since):
        raise DeltaGap
    return merge(state, changes.changes, changes.since)


def encode_delta(changes: Delta) -> bytes:
    """Return the delta as bytes, with every value in it."""
    state = changes.changes
    stamps = [entry.stamp for entry in state.life]
    for _, node in walk(state.root):
        stamps.extend(stamps_of(node))
    tables = Tables.of(state.version, stamps)
    life = [[tables.stamp(e.stamp), e.value is not MISSING] for e in state.life]
    since = [changes.since.seen(replica) for replica in tables.replicas]
    records = sorted(
        (
            write_record(tables, path, node, variant)
            for path, node in walk(state.root)
            for variant in node.slots
        ),
        key=lambda record: record[:2],
    )
    return _encode([*tables.written(state.version), since, life, records])


def decode_delta(data: bytes) -> Delta:
    """
    Return the delta that `encode_delta` wrote.

    :raises CorruptState: the bytes are no delta.
    """
    try:
        return _decoded(_decode(data))
    except (msgspec.DecodeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CorruptState(str(error)) from None


def _decoded(written: Any) -> Delta:
    replicas, stamps, seen, since, life, records = written
    tables, version = Tables.read(replicas, stamps, seen)
    slots: list[Slot] = []
    for path, number, entries, count in records:
        variant = Variant(number)
        held = read_entries(tables, variant, entries, MISSING)
        counted = None if count is None else read_count(tables, count)
        slots.append((tuple(path), variant, held, counted))
    root = with_slots(EMPTY, slots)
    lives = tuple(Entry(tables.stamps[at], True if alive else MISSING) for at, alive in life)
    known = zip(tables.replicas, since, strict=True)
    return Delta(State(root, lives, version), VersionVector({r: n for r, n in known if n}))


def _pruned(node: Node, known: VersionVector) -> Node | None:
    """Return the part of a tree that holds unknown writes; None if there are none."""
    slots = {
        variant: entries
        for variant, entries in node.slots.items()
        if _is_news(node, variant, known)
    }
    counts = {variant: count for variant, count in node.counts.items() if variant in slots}
    children = {
        name: pruned
        for name, child in node.children.items()
        if (pruned := _pruned(child, known)) is not None
    }
    return Node(slots, counts, children) if slots or children else None


def _is_news(node: Node, variant: Variant, known: VersionVector) -> bool:
    stamps: list[Stamp] = [entry.stamp for entry in node.slots[variant]]
    if any(not known.covers(stamp.dot) for stamp in stamps):
        return True
    count = node.counts.get(variant)
    return count is not None and any(not known.covers(dot) for dot in count.dots())
