# SPDX-License-Identifier: Apache-2.0
"""
Local writes: how INSERT, UPDATE and DELETE change a state.

Each takes the stamp of its write, which must be newer than everything that the state has seen of
the writer, and returns a new state.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping

from edge_twisted.documents.clock import BEGINNING
from edge_twisted.documents.counts import Count, restarted
from edge_twisted.documents.entries import Entry, Stamp
from edge_twisted.documents.nodes import EMPTY, Node, Variant, is_map, shown_map
from edge_twisted.documents.operations import (
    UNTYPED,
    Increment,
    InvalidWrite,
    Operation,
    Path,
    Restart,
    Set,
    Typing,
    Unset,
)
from edge_twisted.documents.state import State
from edge_twisted.documents.values import MISSING, Value, canonical, equal
from edge_twisted.documents.versions import SITE_BYTES, Replica, SiteId

Fields = Mapping[str, Value]


def insert(previous: State | None, fields: Fields, stamp: Stamp, typing: Typing = UNTYPED) -> State:
    """
    Begin a new life with these fields (without the id).

    Of a deleted document nothing comes back: what was there is removed for good.

    :raises InvalidWrite: a field does not fit its declared type.
    """
    old = previous or State()
    root = _buried(old.root, stamp)
    for name, value in fields.items():
        child = _written(root.children.get(name, EMPTY), (name,), value, stamp, typing)
        root = root.with_child(name, child)
    return _next(old, root, stamp)


def initial(fields: Fields, typing: Typing = UNTYPED) -> State:
    """
    Return what INSERT INITIAL writes where there is no document.

    It is written at the beginning of time by nobody: the same content is the same write
    everywhere, and any other write wins over it.
    """
    content = hashlib.blake2b(canonical(dict(fields)), digest_size=SITE_BYTES).digest()
    return insert(None, fields, Stamp(BEGINNING, Replica(SiteId(content), 0), 1), typing)


def apply(
    state: State, operations: Iterable[Operation], stamp: Stamp, typing: Typing = UNTYPED
) -> State:
    """
    Apply operations, which must concern different paths, as one write.

    :raises InvalidWrite: one of them does not fit the declared types, or two meet on a path.
    """
    root = state.root
    done: list[Path] = []
    for operation in operations:
        _check_path(operation.path, done)
        done.append(operation.path)
        root = _changed(root, operation, stamp, typing)
    return _next(state, root, stamp)


def delete(state: State, stamp: Stamp) -> State:
    """Delete the document: its fields stay, unreadable, until its tombstone is reaped."""
    return State(state.root, (Entry(stamp, MISSING),), state.version.with_dot(stamp.dot))


def differences(state: State, fields: Fields) -> Iterator[Set]:
    """Yield what has to be set for the document to show these fields; none if it shows them."""
    found = shown_map(state.root)
    have = found.value if found else {}
    assert isinstance(have, dict)
    yield from _differences((), have, fields)


def _differences(path: Path, have: Fields, want: Fields) -> Iterator[Set]:
    for name, value in want.items():
        old = have.get(name, MISSING)
        here = (*path, name)
        if equal(old, value) and type(old) is type(value):
            continue
        if isinstance(old, dict) and isinstance(value, dict):
            yield from _differences(here, old, value)
        else:
            yield Set(here, value)


def _next(state: State, root: Node, stamp: Stamp) -> State:
    return State(root, (Entry(stamp, True),), state.version.with_dot(stamp.dot))


def _check_path(path: Path, done: Iterable[Path]) -> None:
    if not path or path[0] == "_id":
        raise InvalidWrite("The document id `_id` cannot be modified")
    for other in done:
        shorter = min(len(path), len(other))
        if path[:shorter] == other[:shorter]:
            name = ".".join(path)
            raise InvalidWrite(f"More than one modification specified for the path {name}")


def _changed(root: Node, operation: Operation, stamp: Stamp, typing: Typing) -> Node:
    path = operation.path
    match operation:
        case Set(value=value):
            typing.check_above(path)
            return _at(root, path, stamp, lambda node: _written(node, path, value, stamp, typing))
        case Unset():
            return _at(root, path, None, lambda node: _buried(node, stamp))
        case Increment(amount=amount, pn=pn):
            variant = Variant.PN_COUNTER if pn else Variant.COUNTER
            added = _whole(amount, pn)
            typing.check_above(path)
            typing.check_counter(path, variant)
            return _at(root, path, stamp, lambda node: _added(node, variant, added, stamp))
        case Restart(start=start):
            number = _whole(start, False)
            typing.check_above(path)
            typing.check_counter(path, Variant.COUNTER)
            begun = restarted(stamp, number)
            return _at(
                root, path, stamp, lambda node: node.with_count(Variant.COUNTER, begun, stamp)
            )


def _at(node: Node, path: Path, stamp: Stamp | None, change: Callable[[Node], Node]) -> Node:
    """
    Return the tree with the node at `path` changed.

    With a stamp, the maps on the way that show nothing are made; without one (a removal), a
    way that is not there stays so.
    """
    name, rest = path[0], path[1:]
    child = node.children.get(name)
    if child is None:
        if stamp is None:
            return node
        child = EMPTY
    if not rest:
        return node.with_child(name, change(child))
    if stamp is not None and not is_map(child):
        child = child.with_slot(Variant.MAP, stamp, True)
    return node.with_child(name, _at(child, rest, stamp, change))


def _written(node: Node, path: Path, value: Value, stamp: Stamp, typing: Typing) -> Node:
    variant = typing.variant(path, value)
    if variant is Variant.MAP:
        return _map_written(node, path, value, stamp, typing)
    if variant is Variant.COUNTER:
        return node.with_count(variant, restarted(stamp, _whole(value, False)), stamp)
    if variant is Variant.PN_COUNTER:
        return _added(node, variant, _whole(value, True), stamp)
    return node.with_slot(variant, stamp, value)


def _map_written(node: Node, path: Path, value: Value, stamp: Stamp, typing: Typing) -> Node:
    if not isinstance(value, dict):
        raise InvalidWrite(f'Expected an object for the MAP field "{".".join(path)}"')
    # Presence is written only where nothing else shows the map: two writers of two keys of
    # one map then have nothing to merge but the keys.
    if not value or not is_map(node):
        node = node.with_slot(Variant.MAP, stamp, True)
    for name, inner in value.items():
        child = node.children.get(name, EMPTY)
        node = node.with_child(name, _written(child, (*path, name), inner, stamp, typing))
    return node


def _added(node: Node, variant: Variant, amount: int, stamp: Stamp) -> Node:
    count = node.counts.get(variant)
    if count is None:
        count = Count()
    elif not node.is_there(variant):
        # It was removed: what it had counted before must not come back.
        count = restarted(stamp, 0)
    return node.with_count(variant, count.added(amount, stamp.dot), stamp)


def _buried(node: Node, stamp: Stamp) -> Node:
    """Return the tree with everything in it removed."""
    slots = {
        variant: entries if shown_nothing(entries) else (Entry(stamp, MISSING),)
        for variant, entries in node.slots.items()
    }
    children = {name: _buried(child, stamp) for name, child in node.children.items()}
    return Node(slots, node.counts, children)


def shown_nothing(entries: tuple[Entry, ...]) -> bool:
    """Return whether all the entries are removals."""
    return all(entry.value is MISSING for entry in entries)


def _whole(value: Value, allow_whole_float: bool) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if allow_whole_float and isinstance(value, float) and value.is_integer():
        return int(value)
    raise InvalidWrite(f"Expected {_in_words(value)} to be an integer value")


def _in_words(value: Value) -> str:
    if isinstance(value, bytes | list | dict):
        return "binary" if isinstance(value, bytes) else type(value).__name__
    return "null" if value is None else json.dumps(value, ensure_ascii=False)
