# SPDX-License-Identifier: Apache-2.0
"""
The state of a document: what it shows, and what merging needs.

``docs/decisions/0001-document-state.md`` says why this converges.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from attrs import define, field

from edge_twisted.documents.entries import Entries, merged, winner
from edge_twisted.documents.nodes import EMPTY, Node, Side, merged_nodes, shown_map
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import NO_VERSION, Dot, VersionVector


@define(eq=False, slots=False)
class State:
    """
    One document, without its id; never changed once made.

    `life` is a slot of its own: every write puts True there, DELETE a removal, so that a document
    lives if one of its writes was not seen by whoever deleted it.  `root` holds the fields, which
    a deleted document keeps, unreadable.
    """

    root: Node = EMPTY
    life: Entries = ()
    version: VersionVector = field(default=NO_VERSION)

    @property
    def is_alive(self) -> bool:
        """Whether the document exists for queries."""
        return winner(self.life) is not None

    @cached_property
    def fields(self) -> dict[str, Value] | None:
        """The document without its id, as queries see it; None if it is deleted."""
        if not self.is_alive:
            return None
        found = shown_map(self.root)
        return found.value if found and isinstance(found.value, dict) else {}


def merge(left: State, right: State, unsaid: Collection[Dot] = frozenset()) -> State:
    """
    Return the state that has seen what either has seen.

    Commutative, associative, idempotent.  Who has seen all that the other has holds what that comes
    to, also after forgetting some of it (`Side.forgot`): so only concurrent states are merged, and
    equal versions stay equal states.

    :param unsaid: of a delta on the right (`edge_twisted.documents.deltas`): what it leaves out.
    """
    if left.version.includes(right.version):
        return left
    seen = left.version
    if right.version.includes(seen):
        if not unsaid:
            return right
        seen = NO_VERSION
    here, there = Side(seen), Side(right.version, unsaid)
    return State(
        root=merged_nodes(left.root, here, right.root, there),
        life=merged(left.life, seen, right.life, right.version),
        version=left.version.joined(right.version),
    )
