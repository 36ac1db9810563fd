# SPDX-License-Identifier: Apache-2.0
"""
The CRDT state of a document: its tree of slots, its life, and its version vector.

A version vector says which writes a state has seen (its causal context); a *dot*, (replica,
sequence), names one write.  Two states are merged without coordination: `merge` is commutative,
associative and idempotent, so replicas that have seen the same writes have the same state.
``docs/decisions/0001-document-state.md`` has the proof, and this example in full:

- A inserts ``{name: "Tea"}`` as A1.  B copies it.  Both have the version ``{A: 1}``.
- A sets ``name`` to "Green" (A2, version ``{A: 2}``); B sets it to "Black" a moment later (B1,
  version ``{A: 1, B: 1}``).  Neither version includes the other: the writes are concurrent.
- Merged, both have the version ``{A: 2, B: 1}`` and ``name = A2="Green" | B1="Black"``, and show
  "Black", which has the later stamp.
- A deletes the document (A3), while B sets a field (B2).  A's delete has not seen B2, so the merge
  is alive, with all its fields.  Had B2 been seen, the tombstone would have won.
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
    The state of one document, without its id; immutable.

    :ivar root: the tree of fields; a deleted document (a tombstone) keeps it, unreadable.
    :ivar life: a slot of its own: every write puts True there, DELETE puts a removal.  So a delete
        wins over the writes that it had seen, and a concurrent write wins over a delete.
    :ivar version: the writes that this state has seen.
    """

    root: PathNode = EMPTY
    life: Entries = ()
    version: VersionVector = field(default=NO_VERSION)

    @property
    def is_alive(self) -> bool:
        """Whether the document exists, rather than being deleted."""
        return winner(self.life) is not None

    @property
    def live_dots(self) -> list[Dot]:
        """The dots of the live entries of `life`; empty if the document is deleted."""
        return [entry.stamp.dot for entry in self.life if entry.value is not MISSING]

    @property
    def newest_dots(self) -> VersionVector:
        """The newest dot of each replica among all entries and counters, removals included."""
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
    Return whether `merge` drops something that one side has forgotten (`nodes.Side.forgot`).

    If so, the result must be made a write of its own.  A version does not record what was
    forgotten: another server that has seen the same writes, but never held the dropped entry, may
    still hold the entry that it had superseded, and equal versions must be equal states.

    :param omitted_dots: see `merge`.
    """
    if left.version.includes(right.version) or right.version.includes(left.version):
        # One side includes the other, and `merge` returns it unchanged.
        return False
    here, there = Side(left.version), Side(right.version, omitted_dots)
    return nodes.forgets(left.root, here, right.root, there)


def merge(
    left: DocumentState, right: DocumentState, omitted_dots: Collection[Dot] = frozenset()
) -> DocumentState:
    """
    Return the least state that has seen everything that either side has seen.

    If the version of one side includes the other's, that side is the result: it has already
    applied, superseded or forgotten (`nodes.Side.forgot`) all that the other holds.  Only
    concurrent states are merged slot by slot.

    :param omitted_dots: of a delta on the right, the dots in the slots that it omits
        (`edge_twisted.documents.deltas`).
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
