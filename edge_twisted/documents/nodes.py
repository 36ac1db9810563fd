# SPDX-License-Identifier: Apache-2.0
"""
The tree of a document: for each path its variants, each a slot of entries.

A path may hold several variants at once, for example a register and a map after two concurrent
writes of different types.  It shows the variant with the latest write (last writer wins), where a
map counts as written when the latest of its visible children was.  A map exists if its *presence*
was written, or if one of its children is visible.  Maps are add-wins: a removal of a map removes
the children that the remover had seen, and a child that is written concurrently brings it back.

Example: A removes ``shelf``; B, concurrently, sets ``shelf.row`` to 9.  After the merge ``shelf``
shows ``{row: 9}``: B's entry was not seen by A's removal, and a map with a visible child exists.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from attrs import field, frozen

from edge_twisted.documents.counters import CounterState
from edge_twisted.documents.entries import Entries, Entry, Rank, Stamp, merge_entries, rank, winner
from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.documents.versions import Dot, VersionVector


class Variant(IntEnum):
    """The types that a path can have, with their published numbers in stored states."""

    REGISTER = 0
    MAP = 1
    ATTACHMENT = 2
    COUNTER = 3
    PN_COUNTER = 4


_NO_SLOTS: Final[Mapping[Variant, Entries]] = MappingProxyType({})
_NO_COUNTERS: Final[Mapping[Variant, CounterState]] = MappingProxyType({})
_NO_CHILDREN: Final[Mapping[str, PathNode]] = MappingProxyType({})


@frozen(eq=False)
class PathNode:
    """
    One path of a document: its slots, its counters, and its children by name.

    The entries of a counter or a map say only whether it exists, so their value is True; the
    number of a counter is in `counters`.
    """

    slots: Mapping[Variant, Entries] = _NO_SLOTS
    counters: Mapping[Variant, CounterState] = _NO_COUNTERS
    children: Mapping[str, PathNode] = field(default=_NO_CHILDREN)

    def with_slot(self, variant: Variant, stamp: Stamp, value: Operand) -> PathNode:
        """Return the node after a write, which supersedes all entries of the variant's slot."""
        slots = {**self.slots, variant: (Entry(stamp, value),)}
        return PathNode(slots, self.counters, self.children)

    def with_counter(self, variant: Variant, counter: CounterState, stamp: Stamp) -> PathNode:
        """Return the node after a write that leaves this counter in the slot of the variant."""
        slots = {**self.slots, variant: (Entry(stamp, True),)}
        return PathNode(slots, {**self.counters, variant: counter}, self.children)

    def has_value(self, variant: Variant) -> bool:
        """
        Return whether the slot of a variant shows a value; for a map, its own presence.

        A map without a presence of its own may still be there, because a child has a value
        (`is_map`).
        """
        return winner(self.slots.get(variant, ())) is not None


EMPTY: Final = PathNode()


@frozen
class ShownValue:
    """The value that a path shows, with its variant and the rank of its latest write."""

    value: Value
    variant: Variant
    rank: Rank


#: Values of maps by the identity of their nodes, for callers that ask at each level of a tree.
Memo = dict[int, "ShownValue | None"]


def show(node: PathNode, memo: Memo | None = None) -> ShownValue | None:
    """Return the value that a node shows; None if it shows none."""
    if not node.children and len(node.slots) == 1:
        # The case of almost all paths.
        (variant,) = node.slots
        return show_variant(node, variant)
    best = show_map(node, memo)
    for variant in node.slots:
        found = None if variant is Variant.MAP else show_variant(node, variant)
        if found is not None and (best is None or found.rank > best.rank):
            best = found
    return best


def show_variant(node: PathNode, variant: Variant) -> ShownValue | None:
    """Return the value of one variant of a node; None if the variant has none."""
    if variant is Variant.MAP:
        return show_map(node)
    entry = winner(node.slots.get(variant, ()))
    if entry is None or entry.value is MISSING:
        return None
    counter = node.counters.get(variant)
    value = entry.value if counter is None else counter.value
    return ShownValue(value, variant, rank(entry))


def show_map(node: PathNode, memo: Memo | None = None) -> ShownValue | None:
    """
    Return the object of a map, from its children and its presence; None if there is no map.

    :param memo: the results of former calls by the identity of the node; filled by this call.
    """
    if memo is not None and id(node) in memo:
        return memo[id(node)]
    presence = winner(node.slots.get(Variant.MAP, ()))
    best = rank(presence) if presence else None
    fields: dict[str, Value] = {}
    for name, child in node.children.items():
        found = show(child, memo)
        if found is None:
            continue
        fields[name] = found.value
        if best is None or found.rank > best:
            best = found.rank
    made = ShownValue(fields, Variant.MAP, best) if best else None
    if memo is not None:
        memo[id(node)] = made
    return made


class Side(NamedTuple):
    """
    The causal context of one side of a merge: the version vector of what it has seen.

    A whole state has all its slots.  A delta omits the slots without changes; `omitted_dots` are
    the dots of the entries in these slots.
    """

    seen: VersionVector
    omitted_dots: Collection[Dot] = frozenset()

    def forgot(self, entry: Entry) -> bool:
        """
        Return whether this side, which lacks the slot of an entry, had the entry and forgot it.

        Writes and removals never delete a slot.  A side that has seen the entry's write and lacks
        its slot has therefore forgotten the document: it was deleted, its tombstone was reaped,
        and it was written again.  Entries of the former life are then dropped everywhere.
        """
        dot = entry.stamp.dot
        return self.seen.covers(dot) and dot not in self.omitted_dots


def merge_nodes(left: PathNode, left_side: Side, right: PathNode, right_side: Side) -> PathNode:
    """
    Return the merge of two trees: for each slot the entries that neither side has superseded.

    Of a slot that only one side holds, the entries that the other side has not forgotten stay.
    """
    if left is right:
        return left
    slots: dict[Variant, Entries] = {}
    for variant in {**left.slots, **right.slots}:
        mine, theirs = left.slots.get(variant), right.slots.get(variant)
        if mine and theirs:
            kept = merge_entries(mine, left_side.seen, theirs, right_side.seen)
        else:
            kept = _keep_entries(mine or (), right_side) or _keep_entries(theirs or (), left_side)
        if kept:
            slots[variant] = kept
    counters: dict[Variant, CounterState] = {}
    for variant in {**left.counters, **right.counters}:
        if variant in slots:
            counter, other_counter = left.counters.get(variant), right.counters.get(variant)
            counters[variant] = (
                counter.merge(other_counter, left_side.seen, right_side.seen)
                if counter and other_counter
                else _either_counter(counter, other_counter)
            )
    children: dict[str, PathNode] = {}
    for name in {**left.children, **right.children}:
        own, other = left.children.get(name), right.children.get(name)
        if own is None or other is None:
            child = (
                _keep_tree(own or EMPTY, right_side)
                if other is None
                else _keep_tree(other, left_side)
            )
        else:
            child = merge_nodes(own, left_side, other, right_side)
        if child.slots or child.children:
            children[name] = child
    return PathNode(slots, counters, children)


def forgets(left: PathNode, left_side: Side, right: PathNode, right_side: Side) -> bool:
    """Return whether `merge_nodes` drops an entry or share that one side has forgotten."""
    for variant in {**left.slots, **right.slots}:
        mine, theirs = left.slots.get(variant), right.slots.get(variant)
        if not theirs and any(map(right_side.forgot, mine or ())):
            return True
        if not mine and any(map(left_side.forgot, theirs or ())):
            return True
    for variant in {**left.counters, **right.counters}:
        counter, other_counter = left.counters.get(variant), right.counters.get(variant)
        if (
            counter
            and other_counter
            and counter.forgets(other_counter, left_side.seen, right_side.seen)
        ):
            return True
    return any(
        forgets(
            left.children.get(name, EMPTY),
            left_side,
            right.children.get(name, EMPTY),
            right_side,
        )
        for name in {**left.children, **right.children}
    )


def _keep_tree(node: PathNode, other: Side) -> PathNode:
    """Return what remains of a tree that the other side lacks: nearly always all of it."""
    if _forgot_nothing(node, other):
        return node
    slots = {variant: _keep_entries(entries, other) for variant, entries in node.slots.items()}
    children = {name: _keep_tree(child, other) for name, child in node.children.items()}
    return PathNode(
        {variant: kept for variant, kept in slots.items() if kept},
        {variant: counter for variant, counter in node.counters.items() if slots.get(variant)},
        {name: child for name, child in children.items() if child.slots or child.children},
    )


def _forgot_nothing(root: PathNode, other: Side) -> bool:
    """Return whether the other side has forgotten no entry of a tree."""
    kept: Stamp | None = None
    # Most nodes have no children, and a generator would cost more than the one node.
    for node in nodes_of(root) if root.children else (root,):
        for entries in node.slots.values():
            for entry in entries:
                # Most entries share the stamp object of the entry before them.
                if entry.stamp is not kept:
                    if other.forgot(entry):
                        return False
                    kept = entry.stamp
    return True


def _keep_entries(entries: Entries, other: Side) -> Entries:
    """Return what remains of a slot that the other side lacks."""
    if not any(map(other.forgot, entries)):
        return entries
    return tuple(entry for entry in entries if not other.forgot(entry))


def _either_counter(left: CounterState | None, right: CounterState | None) -> CounterState:
    counter = left or right
    assert counter is not None
    return counter


def is_map(node: PathNode) -> bool:
    """
    Return whether a node has a value as a MAP, without computing it.

    The node may show the value of another variant, if that was written later.
    """
    if node.has_value(Variant.MAP):
        return True
    return any(_shows(child) for child in node.children.values())


def _shows(node: PathNode) -> bool:
    others = (variant for variant in node.slots if variant is not Variant.MAP)
    return any(map(node.has_value, others)) or is_map(node)


def nodes_of(root: PathNode) -> Iterator[PathNode]:
    """Yield every node of a tree, parents before children, siblings in any order."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.children.values())


def walk(node: PathNode, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], PathNode]]:
    """Yield every node with its path, parents before children, siblings in any order."""
    waiting = [(path, node)]
    while waiting:
        here, each = waiting.pop()
        yield here, each
        waiting.extend(((*here, name), child) for name, child in each.children.items())
