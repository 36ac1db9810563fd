# SPDX-License-Identifier: Apache-2.0
"""
The CRDT state of a document as bytes, stored beside the document's text.

The stored text already says what the document shows, so the state leaves that out.  The *base* is
the stamp that most slots share.  A slot with a single entry, with the base as its stamp and a value
that the document shows, is not written at all; `decode` infers it from the text.  The state of a
document that was written once is therefore its stamp alone, about 35 bytes for any number of
fields.

Example: ``{a: 1, b: 2}`` inserted by A as write 1, then ``b`` set by B.  The base is A1; slot ``a``
is inferred from the text, slot ``b`` has a record with B's stamp, without the value 2.

There are two forms, both msgpack arrays: ``[site, epoch, sequence, timestamp]`` for a document that
was written once, and ``[replicas, stamps, version, base, life, records]`` for any other (see
`edge_twisted.documents.slot_records`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec.msgpack

from edge_twisted.documents.attachments import is_token
from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.entries import Entry, Stamp, winner
from edge_twisted.documents.nodes import (
    EMPTY,
    Memo,
    PathNode,
    ShownValue,
    Variant,
    nodes_of,
    show,
    show_map,
)
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
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.documents.versions import Replica, SiteId, VersionVector
from edge_twisted.errors import Culprit, EdgeError

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class CorruptState(EdgeError):
    """The stored state does not fit the document: restore it from a backup or a peer."""

    code: ClassVar[str] = "corrupt_state"
    culprit = Culprit.OURSELVES

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the merge state of the document is damaged: {self.reason}"


def encode(state: DocumentState) -> bytes:
    """
    Return the state as msgpack bytes, without what the document's text already says.

    Equal states have equal bytes.  `decode` reads them, beside the fields that the document shows.
    """
    base = _base(state)
    if base is not None and _is_fresh(state, base):
        replica = base.replica
        return _encode([replica.site, replica.epoch, base.sequence, base.timestamp])
    stamps = [entry.stamp for entry in state.life]
    for node in nodes_of(state.root):
        stamps.extend(stamps_of(node))
    tables = Tables.of(state.version, stamps)
    life = [[tables.stamp(e.stamp), e.value is not MISSING] for e in state.life]
    memo: Memo = {}
    found = show_map(state.root, memo) if state.is_alive else None
    records = sorted(
        _records(tables, (), state.root, found, base, memo), key=lambda record: record[:2]
    )
    return _encode([*tables.written(state.version), tables.stamp(base), life, records])


def encode_fresh(stamp: Stamp) -> bytes:
    """Return the bytes of `encode` for a document whose only write, untyped, has this stamp."""
    replica = stamp.replica
    return _encode([replica.site, replica.epoch, stamp.sequence, stamp.timestamp])


def decode(data: bytes, fields: Mapping[str, Value] | None) -> DocumentState:
    """
    Return the state of a document from its bytes and the fields that it shows.

    :param fields: the document without its id; None if the document is deleted.
    :raises CorruptState: the bytes are damaged, or belong to other fields.
    """
    try:
        written = _decode(data)
        if len(written) == 4:
            return _decode_fresh(written, fields)
        return _decode_full(written, fields)
    except (msgspec.DecodeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CorruptState(str(error)) from None


# -- writing


def _base(state: DocumentState) -> Stamp | None:
    """Return the stamp that most slots share, the greatest of equally frequent ones."""
    common: dict[Stamp, int] = {}
    for node in nodes_of(state.root):
        for entries in node.slots.values():
            if len(entries) == 1:
                stamp = entries[0].stamp
                common[stamp] = common.get(stamp, 0) + 1
    if not common and len(state.life) == 1:
        return state.life[0].stamp
    return max(common, key=lambda stamp: (common[stamp], stamp), default=None)


def _is_fresh(state: DocumentState, base: Stamp) -> bool:
    if state.life != (Entry(base, True),) or state.version != VersionVector([base.dot]):
        return False
    memo: Memo = {}
    records = _records(None, (), state.root, show_map(state.root, memo), base, memo)
    return next(records, None) is None


def _records(
    tables: Tables | None,
    path: Path,
    node: PathNode,
    found: ShownValue | None,
    base: Stamp | None,
    memo: Memo,
) -> Iterator[list[Any]]:
    """Yield a record for each slot that a reader cannot infer from shown value and base."""
    inferred = _inferred_variant(node, found)
    for variant, entries in node.slots.items():
        entry = entries[0] if len(entries) == 1 else None
        if variant is inferred and entry and entry.stamp == base and entry.value is not MISSING:
            continue
        if tables is None:
            yield []
            continue
        shows = found is not None and found.variant is variant is not Variant.MAP
        shown_by = winner(entries) if shows else None
        yield write_record(tables, path, node, variant, shown_by.stamp if shown_by else None)
    is_map = found is not None and found.variant is Variant.MAP
    if is_map and Variant.MAP not in node.slots and path:
        # The map shows only through its children: a reader must not infer an entry for it.
        yield [] if tables is None else write_record(tables, path, node, Variant.MAP)
    for name, child in node.children.items():
        below = show(child, memo) if is_map else None
        yield from _records(tables, (*path, name), child, below, base, memo)


def _inferred_variant(node: PathNode, found: ShownValue | None) -> Variant | None:
    """Return the variant that a reader infers from the shown value; None if that is wrong."""
    if found is None or _variant_of(found.value) is not found.variant:
        return None
    # Where a map has a record, the reader infers a map even from the value of a token.
    if found.variant is Variant.ATTACHMENT and Variant.MAP in node.slots:
        return None
    return found.variant


def _variant_of(value: Value) -> Variant:
    if isinstance(value, dict):
        return Variant.ATTACHMENT if is_token(value) else Variant.MAP
    return Variant.REGISTER


# -- reading


def _decode_fresh(written: Any, fields: Mapping[str, Value] | None) -> DocumentState:
    site, epoch, sequence, timestamp = written
    if fields is None:
        raise ValueError("a document that was written once cannot be deleted")
    stamp = Stamp(Timestamp(timestamp), Replica(SiteId(site), epoch), sequence)
    children = {name: _inferred_node((name,), value, stamp, {}) for name, value in fields.items()}
    root = PathNode(children=children) if children else EMPTY
    return DocumentState(root, (Entry(stamp, True),), VersionVector([stamp.dot]))


_Slots = dict[Variant, list[Any]]


def _decode_full(written: Any, fields: Mapping[str, Value] | None) -> DocumentState:
    replicas, stamps, seen, base, life, records = written
    tables, version = Tables.read(replicas, stamps, seen)
    by_path: dict[Path, _Slots] = {}
    for path, variant, entries, counter in records:
        by_path.setdefault(tuple(path), {})[Variant(variant)] = [entries, counter]
    root = EMPTY
    if fields is not None:
        mark = tables.stamps[base] if base >= 0 else None
        children = {name: _inferred_node((name,), v, mark, by_path) for name, v in fields.items()}
        root = PathNode(children=children)
    placed: list[Slot] = []
    for path, slots in by_path.items():
        value = _value_at(fields, path)
        for variant, (entries, counter) in slots.items():
            held = read_entries(tables, variant, entries, value)
            counted = None if counter is None else read_count(tables, counter)
            placed.append((path, variant, held, counted))
    root = with_slots(root, placed)
    lives = tuple(Entry(tables.stamps[at], True if alive else MISSING) for at, alive in life)
    return DocumentState(root, lives, version)


def _inferred_node(
    path: Path, value: Value, base: Stamp | None, records: Mapping[Path, _Slots]
) -> PathNode:
    """Return the node inferred from a shown value, without the slots that have records."""
    slots = records.get(path, {})
    if any(len(entry) == 3 for entries, _ in slots.values() for entry in entries):
        return EMPTY
    variant = _variant_of(value)
    if variant is Variant.ATTACHMENT and Variant.MAP in slots:
        variant = Variant.MAP
    children: dict[str, PathNode] = {}
    if variant is Variant.MAP and isinstance(value, dict):
        children = {
            name: _inferred_node((*path, name), inner, base, records)
            for name, inner in value.items()
        }
    if variant in slots:
        return PathNode(children=children)
    if base is None:
        raise ValueError("a shown field has neither a record nor a base")
    held: Value = True if variant is Variant.MAP else value
    return PathNode({variant: (Entry(base, held),)}, children=children)


def _value_at(fields: Mapping[str, Value] | None, path: Path) -> Operand:
    value: Value = dict(fields) if fields is not None else None
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value
