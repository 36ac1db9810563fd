# SPDX-License-Identifier: Apache-2.0
"""
The tree of a document: for each path its variants, each a slot of entries.

One path may hold several variants at the same time: a register and a map, a register and a
counter.  What is shown is the variant that was written last; a map counters as written when the
last of what it shows was.  A map is there if its presence was written, or if it shows a child.
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
    """The types that a path can have, with their numbers in stored states."""

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
    One path: its slots, its counters, and the paths below it.

    The entries of a counter and of a map say only whether it is there (their value is True); a
    counter's number is in `counters`.
    """

    slots: Mapping[Variant, Entries] = _NO_SLOTS
    counters: Mapping[Variant, CounterState] = _NO_COUNTERS
    children: Mapping[str, PathNode] = field(default=_NO_CHILDREN)

    def with_slot(self, variant: Variant, stamp: Stamp, value: Operand) -> PathNode:
        """Return the node after a write, which supersedes all that the slot holds."""
        slots = {**self.slots, variant: (Entry(stamp, value),)}
        return PathNode(slots, self.counters, self.children)

    def with_counter(self, variant: Variant, counter: CounterState, stamp: Stamp) -> PathNode:
        """Return the node after a write of a counter."""
        slots = {**self.slots, variant: (Entry(stamp, True),)}
        return PathNode(slots, {**self.counters, variant: counter}, self.children)

    def has_value(self, variant: Variant) -> bool:
        """Return whether a variant holds a value; for a map, whether it was written itself."""
        return winner(self.slots.get(variant, ())) is not None


EMPTY: Final = PathNode()


@frozen
class ShownValue:
    """What a path shows: the value, by which variant, and how late that was written."""

    value: Value
    variant: Variant
    rank: Rank


#: What maps show, by the identity of their nodes, for who asks at every level of one tree.
Memo = dict[int, "ShownValue | None"]


def show(node: PathNode, memo: Memo | None = None) -> ShownValue | None:
    """Return what a node shows, None if nothing."""
    if not node.children and len(node.slots) == 1:
        # Almost all paths.
        (variant,) = node.slots
        return show_variant(node, variant)
    best = show_map(node, memo)
    for variant in node.slots:
        found = None if variant is Variant.MAP else show_variant(node, variant)
        if found is not None and (best is None or found.rank > best.rank):
            best = found
    return best


def show_variant(node: PathNode, variant: Variant) -> ShownValue | None:
    """Return what a node shows if only one variant counters, None if that is not there."""
    if variant is Variant.MAP:
        return show_map(node)
    entry = winner(node.slots.get(variant, ()))
    if entry is None or entry.value is MISSING:
        return None
    counter = node.counters.get(variant)
    value = entry.value if counter is None else counter.value
    return ShownValue(value, variant, rank(entry))


def show_map(node: PathNode, memo: Memo | None = None) -> ShownValue | None:
    """Return the object that the children and the presence of a map make, None if none."""
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
    What one side of a merge has seen; `omitted_dots` of it stands in slots that it leaves out.

    A whole state leaves out nothing that it has; a delta leaves out the slots that have not
    changed, and `omitted_dots` are the writes in these.
    """

    seen: VersionVector
    omitted_dots: Collection[Dot] = frozenset()

    def forgot(self, entry: Entry) -> bool:
        """
        Return whether an entry of a slot that this side does not have was there and is gone.

        Writes leave slots, removals too, so the document was forgotten: deleted, reaped, and
        written again.  What belonged to its former life is gone everywhere.
        """
        dot = entry.stamp.dot
        return self.seen.covers(dot) and dot not in self.omitted_dots


def merge_nodes(left: PathNode, left_side: Side, right: PathNode, right_side: Side) -> PathNode:
    """
    Return the merge of two trees.

    What of a slot that only one side holds the other has not seen stays as it is.
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
    """Return whether a merge drops something because one side has forgotten it (`Side.forgot`)."""
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
    """Return what stays of a tree of which the other side has nothing: mostly all of it."""
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
    """Return whether the other side has forgotten nothing of a tree."""
    kept: Stamp | None = None
    # Most are fields: a generator would cost more than what it yields.
    for node in nodes_of(root) if root.children else (root,):
        for entries in node.slots.values():
            for entry in entries:
                # Most have the stamp of the one before, the very object.
                if entry.stamp is not kept:
                    if other.forgot(entry):
                        return False
                    kept = entry.stamp
    return True


def _keep_entries(entries: Entries, other: Side) -> Entries:
    """Return what stays of a slot that the other side does not have."""
    if not any(map(other.forgot, entries)):
        return entries
    return tuple(entry for entry in entries if not other.forgot(entry))


def _either_counter(left: CounterState | None, right: CounterState | None) -> CounterState:
    counter = left or right
    assert counter is not None
    return counter


def is_map(node: PathNode) -> bool:
    """Return whether the map of a node shows, without making its value."""
    if node.has_value(Variant.MAP):
        return True
    return any(_shows(child) for child in node.children.values())


def _shows(node: PathNode) -> bool:
    others = (variant for variant in node.slots if variant is not Variant.MAP)
    return any(map(node.has_value, others)) or is_map(node)


def nodes_of(root: PathNode) -> Iterator[PathNode]:
    """Yield every node, parents first, in no promised order."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.children.values())


def walk(node: PathNode, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], PathNode]]:
    """Yield every node with its path, parents first, in no promised order."""
    waiting = [(path, node)]
    while waiting:
        here, each = waiting.pop()
        yield here, each
        waiting.extend(((*here, name), child) for name, child in each.children.items())
