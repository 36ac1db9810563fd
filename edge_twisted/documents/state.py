# SPDX-License-Identifier: Apache-2.0
"""
The state of a document: what it shows, and what merging needs.

``docs/decisions/0001-document-state.md`` says why this converges.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from attrs import define, field

from edge_twisted.documents import nodes
from edge_twisted.documents.entries import Entries, merge_entries, winner
from edge_twisted.documents.nodes import EMPTY, PathNode, Side, merge_nodes, show_map
from edge_twisted.documents.values import MISSING, Value
from edge_twisted.documents.versions import NO_VERSION, Dot, Replica, VersionVector


@define(eq=False, slots=False)
class DocumentState:
    """
    One document, without its id; never changed once made.

    `life` is a slot of its own: every write puts True there, DELETE a removal, so that a document
    lives if one of its writes was not seen by whoever deleted it.  `root` holds the fields, which
    a deleted document keeps, unreadable.
    """

    root: PathNode = EMPTY
    life: Entries = ()
    version: VersionVector = field(default=NO_VERSION)

    @property
    def is_alive(self) -> bool:
        """Whether the document exists for queries."""
        return winner(self.life) is not None

    @property
    def live_dots(self) -> list[Dot]:
        """The writes by which the document lives; none if it is deleted."""
        return [entry.stamp.dot for entry in self.life if entry.value is not MISSING]

    @property
    def newest_dots(self) -> VersionVector:
        """Of each replica the newest write that something here is due to, be it a removal."""
        dots = [entry.stamp.dot for entry in self.life]
        for node in nodes.nodes_of(self.root):
            dots.extend(e.stamp.dot for entries in node.slots.values() for e in entries)
            dots.extend(dot for counter in node.counters.values() for dot in counter.dots())
        newest: dict[Replica, int] = {}
        for dot in dots:
            newest[dot.replica] = max(dot.sequence, newest.get(dot.replica, 0))
        return VersionVector(newest)

    @cached_property
    def fields(self) -> dict[str, Value] | None:
        """The document without its id, as queries see it; None if it is deleted."""
        if not self.is_alive:
            return None
        found = show_map(self.root)
        return found.value if found and isinstance(found.value, dict) else {}


def forgets(
    left: DocumentState, right: DocumentState, omitted_dots: Collection[Dot] = frozenset()
) -> bool:
    """
    Return whether `merge` drops something because one side has forgotten it.

    Then the merge has to be a write of its own, for a version does not tell what was forgotten.
    Another server that has seen the same writes, but never held what is dropped, may still hold
    what that had replaced, and equal versions have to be equal states.
    """
    if left.version.includes(right.version) or right.version.includes(left.version):
        # The later one is taken as it is.
        return False
    here, there = Side(left.version), Side(right.version, omitted_dots)
    return nodes.forgets(left.root, here, right.root, there)


def merge(
    left: DocumentState, right: DocumentState, omitted_dots: Collection[Dot] = frozenset()
) -> DocumentState:
    """
    Return the state that has seen what either has seen.

    Commutative, associative, idempotent.  Who has seen all that the other has holds what that comes
    to, also after forgetting some of it (`Side.forgot`): so only concurrent states are merged, and
    equal versions stay equal states.

    :param omitted_dots: of a delta on the right (`edge_twisted.documents.deltas`): what it leaves out.
    """
    if left.version.includes(right.version):
        return left
    seen = left.version
    if right.version.includes(seen):
        if not omitted_dots:
            return right
        seen = NO_VERSION
    here, there = Side(seen), Side(right.version, omitted_dots)
    return DocumentState(
        root=merge_nodes(left.root, here, right.root, there),
        life=merge_entries(left.life, seen, right.life, right.version),
        version=left.version.join(right.version),
    )
