# SPDX-License-Identifier: Apache-2.0
"""
Local writes: how INSERT, UPDATE and DELETE change the state of a document.

Each function takes the stamp of its write, whose sequence must be greater than any of the writer's
that the state has seen, and returns a new state.

Example: ``apply(state, [Set(("a",), 1), Increment(("n",), 2)], stamp)`` replaces the entries of
register ``a`` by one with this stamp, adds 2 to the writer's share of counter ``n``, marks the
document alive, and adds the stamp's dot to the version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from edge_twisted.documents.clock import BEGINNING
from edge_twisted.documents.counters import CounterState, restart_counter
from edge_twisted.documents.entries import Entry, Stamp
from edge_twisted.documents.nodes import EMPTY, PathNode, Variant, is_map
from edge_twisted.documents.operations import (
    UNTYPED,
    Increment,
    InvalidWrite,
    Operation,
    Path,
    Restart,
    Set,
    Unset,
    VariantRules,
)
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.typed_fields import fields_as
from edge_twisted.documents.values import MISSING, Value, canonical, equal
from edge_twisted.documents.versions import SITE_BYTES, Replica, SiteId

Fields = Mapping[str, Value]

#: Levels of arrays and objects in a document, the document itself included.  Low enough to walk
#: documents by recursion, and for the nesting limits of JSON and CBOR encoders.
MAX_DEPTH: Final = 200


def insert(
    previous: DocumentState | None, fields: Fields, stamp: Stamp, rules: VariantRules = UNTYPED
) -> DocumentState:
    """
    Return the state after an INSERT of these fields, name -> value, without the id.

    All fields of a deleted document are removed first, so that none of them comes back.

    :param previous: the state of the document or its tombstone; None if there is neither.
    :raises InvalidWrite: a field does not fit its declared type, or the fields are nested deeper
        than `MAX_DEPTH`; refuse the statement.
    """
    old = previous or DocumentState()
    check_depth(fields)
    root = _with_fields(_remove_all(old.root, stamp), (), fields, stamp, rules)
    return _next_state(old, root, stamp)


def initial(fields: Fields, rules: VariantRules = UNTYPED) -> DocumentState:
    """
    Return the state that INSERT INITIAL writes where there is no document.

    Its timestamp is 0 and its replica is the hash of the content.  So equal content is the same
    write on every server, and any other write wins over it.

    :raises InvalidWrite: as `insert`.
    """
    content = hashlib.blake2b(canonical(dict(fields)), digest_size=SITE_BYTES).digest()
    return insert(None, fields, Stamp(BEGINNING, Replica(SiteId(content), 0), 1), rules)


def apply(
    state: DocumentState,
    operations: Iterable[Operation],
    stamp: Stamp,
    rules: VariantRules = UNTYPED,
) -> DocumentState:
    """
    Return the state after one write that applies operations to different paths.

    :raises InvalidWrite: an operation does not fit the declared types, changes the id or nests too
        deep, or two concern one path, or a path and one above it; refuse the statement.
    """
    done: set[Path] = set()
    above: set[Path] = set()
    changes: list[_Change] = []
    for operation in operations:
        _check_path(operation.path, done, above)
        changes.append(_change(operation, stamp, rules))
    return _next_state(state, _apply_changes(state.root, changes, 0), stamp)


def delete(state: DocumentState, stamp: Stamp) -> DocumentState:
    """Return the tombstone of a document, which keeps its fields but shows none of them."""
    return DocumentState(state.root, (Entry(stamp, MISSING),), state.version.with_dot(stamp.dot))


def differences(
    state: DocumentState, fields: Fields, rules: VariantRules = UNTYPED
) -> Iterator[Set]:
    """
    Yield a SET for each path at which the document does not show the value in `fields`.

    Yields none if the document shows all of them; a field that `fields` lacks is left as it is.
    The current fields are those that a statement with these rules sees.
    """
    yield from _differences((), fields_as(state.root, rules), fields, rules)


def _differences(path: Path, have: Fields, want: Fields, rules: VariantRules) -> Iterator[Set]:
    for name, value in want.items():
        old = have.get(name, MISSING)
        here = (*path, name)
        if equal(old, value) and type(old) is type(value):
            continue
        merges = rules.variant(here, value) is Variant.MAP
        if merges and isinstance(old, dict) and isinstance(value, dict):
            yield from _differences(here, old, value, rules)
        else:
            yield Set(here, value)


def _next_state(state: DocumentState, root: PathNode, stamp: Stamp) -> DocumentState:
    return DocumentState(root, (Entry(stamp, True),), state.version.with_dot(stamp.dot))


_NESTED: Final = frozenset({dict, list})


def check_depth(value: Value | Fields, above: int = 0) -> None:
    """
    Check the nesting of a value that stands `above` levels below the top of a document.

    :raises InvalidWrite: the document would be nested deeper than `MAX_DEPTH`.
    """
    level: list[Any]
    if isinstance(value, list):
        level = [value]
    elif isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 - the first is quick
        level = [list(value.values())]
    else:
        return
    for _ in range(MAX_DEPTH - above):
        level = [
            child
            for each in level
            for child in (each.values() if type(each) is dict else each)
            if type(child) in _NESTED
        ]
        if not level:
            return
    raise InvalidWrite(f"A document may be nested {MAX_DEPTH} levels deep")


def _check_path(path: Path, done: set[Path], above: set[Path]) -> None:
    """Check a path against the paths `done` and their prefixes `above`, and add it to both."""
    if not path or path[0] == "_id":
        raise InvalidWrite("The document id `_id` cannot be modified")
    beginnings = [path[:length] for length in range(1, len(path))]
    if path in done or path in above or not done.isdisjoint(beginnings):
        name = ".".join(path)
        raise InvalidWrite(f"More than one modification specified for the path {name}")
    done.add(path)
    above.update(beginnings)


@frozen
class _Change:
    """
    A change of the node at a path.

    A change that `creates` also writes the maps above its path where they do not exist.  A removal
    does not: where nothing is, there is nothing to remove.
    """

    path: Path
    creates: bool
    stamp: Stamp
    apply: Callable[[PathNode], PathNode]


def _change(operation: Operation, stamp: Stamp, rules: VariantRules) -> _Change:
    path = operation.path
    if len(path) > MAX_DEPTH:
        raise InvalidWrite(f"A document may be nested {MAX_DEPTH} levels deep")
    match operation:
        case Set(value=value):
            rules.check_above(path)
            if isinstance(value, dict | list):
                check_depth(value, len(path))
            return _Change(
                path, True, stamp, lambda node: _write_value(node, path, value, stamp, rules)
            )
        case Unset():
            return _Change(path, False, stamp, lambda node: _remove_all(node, stamp))
        case Increment(amount=amount, pn=pn):
            variant = Variant.PN_COUNTER if pn else Variant.COUNTER
            added = _integer(amount, pn)
            rules.check_above(path)
            rules.check_counter(path, variant)
            return _Change(path, True, stamp, lambda node: _increment(node, variant, added, stamp))
        case Restart(start=start):
            number = _integer(start, False)
            rules.check_above(path)
            rules.check_counter(path, Variant.COUNTER)
            begun = restart_counter(stamp, number)
            return _Change(
                path, True, stamp, lambda node: node.with_counter(Variant.COUNTER, begun, stamp)
            )


def _apply_changes(node: PathNode, changes: Sequence[_Change], depth: int) -> PathNode:
    """
    Return the node at `depth` with changes applied to the nodes below it.

    Changes below one map are applied together, because each separate change would copy the map.
    """
    groups: dict[str, list[_Change]] = {}
    for change in changes:
        groups.setdefault(change.path[depth], []).append(change)
    children = dict(node.children)
    for name, group in groups.items():
        child = children.get(name)
        creating = next((change for change in group if change.creates), None)
        if child is None and creating is None:
            continue
        child = child or EMPTY
        if len(group[0].path) == depth + 1:
            # The only change of its group: `_check_path` refuses a path below another.
            children[name] = group[0].apply(child)
            continue
        if creating is not None and not is_map(child):
            child = child.with_slot(Variant.MAP, creating.stamp, True)
        children[name] = _apply_changes(child, group, depth + 1)
    return PathNode(node.slots, node.counters, children)


def _write_value(
    node: PathNode, path: Path, value: Value, stamp: Stamp, rules: VariantRules
) -> PathNode:
    variant = rules.variant(path, value)
    if variant is Variant.MAP:
        return _write_map(node, path, value, stamp, rules)
    if variant is Variant.COUNTER:
        return node.with_counter(variant, restart_counter(stamp, _integer(value, False)), stamp)
    if variant is Variant.PN_COUNTER:
        return _increment(node, variant, _integer(value, True), stamp)
    return node.with_slot(variant, stamp, value)


def _write_map(
    node: PathNode, path: Path, value: Value, stamp: Stamp, rules: VariantRules
) -> PathNode:
    if not isinstance(value, dict):
        raise InvalidWrite(f'Expected an object for the MAP field "{".".join(path)}"')
    # Presence is written only where no child shows the map, so that two writers of two keys of
    # one map have only the keys to merge.
    if not value or not is_map(node):
        node = node.with_slot(Variant.MAP, stamp, True)
    return _with_fields(node, path, value, stamp, rules)


def _with_fields(
    node: PathNode, path: Path, fields: Fields, stamp: Stamp, rules: VariantRules
) -> PathNode:
    """Return a map with fields written together, as each separate write would copy the map."""
    children = dict(node.children)
    for name, value in fields.items():
        old = children.get(name, EMPTY)
        children[name] = _write_value(old, (*path, name), value, stamp, rules)
    return PathNode(node.slots, node.counters, children)


def _increment(node: PathNode, variant: Variant, amount: int, stamp: Stamp) -> PathNode:
    counter = node.counters.get(variant)
    if counter is None:
        counter = CounterState()
    elif not node.has_value(variant):
        # The counter was removed: increments from before must not come back.
        counter = restart_counter(stamp, 0)
    return node.with_counter(variant, counter.add(amount, stamp.dot), stamp)


def _remove_all(node: PathNode, stamp: Stamp) -> PathNode:
    """Return the tree with a removal in every slot that has a value."""
    slots = {
        variant: entries if are_removals(entries) else (Entry(stamp, MISSING),)
        for variant, entries in node.slots.items()
    }
    children = {name: _remove_all(child, stamp) for name, child in node.children.items()}
    return PathNode(slots, node.counters, children)


def are_removals(entries: tuple[Entry, ...]) -> bool:
    """Return whether all entries are removals."""
    return all(entry.value is MISSING for entry in entries)


def _integer(value: Value, allow_whole_float: bool) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if allow_whole_float and isinstance(value, float) and value.is_integer():
        return int(value)
    raise InvalidWrite(f"Expected {_describe(value)} to be an integer value")


def _describe(value: Value) -> str:
    if isinstance(value, bytes | list | dict):
        return "binary" if isinstance(value, bytes) else type(value).__name__
    return "null" if value is None else json.dumps(value, ensure_ascii=False)
