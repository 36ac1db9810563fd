# SPDX-License-Identifier: Apache-2.0
"""
What is certain of one document, if some of the writes on it may be lost and others may not.

Of each lost state it is open whether it is in the end state.  So the questions are about every
choice of them, and there are many; that few need to be looked at follows from two facts about the
slot that says whether a document lives (`edge_twisted.documents.entries`):

- an entry is in a join if no joined state has seen it without having it, so who has it only loses
  it by more being joined;
- one entry that is not a removal makes the document live, unless INITIAL wrote it: that loses
  against any removal.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from attrs import define, field

from edge_twisted.documents.clock import BEGINNING
from edge_twisted.documents.encoding import encode
from edge_twisted.documents.entries import Entries, Stamp, winner
from edge_twisted.documents.state import DocumentState, merge
from edge_twisted.documents.values import MISSING
from edge_twisted.documents.versions import NO_VERSION, VersionVector


@define(eq=False)
class DocumentBounds:
    """What is certain of one document."""

    #: All that cannot be lost.
    must: DocumentState = field(factory=DocumentState)
    #: All that any delete had seen.
    seen_by_deletes: VersionVector = NO_VERSION
    #: What may be lost, without fields: deletes, and everything else.
    _lost_deletes: list[DocumentState] = field(factory=list)
    _lost_writes: list[DocumentState] = field(factory=list)

    def take(self, state: DocumentState, *, is_delete: bool, lost: bool) -> None:
        """Take one recorded state into account."""
        if is_delete:
            self.seen_by_deletes = self.seen_by_deletes.join(state.version)
        if lost:
            states = self._lost_deletes if is_delete else self._lost_writes
            states.append(_life_of(state))
        else:
            self.must = merge(self.must, state)

    def certainly_lives(self) -> bool:
        """
        Return whether the document lives in the end, whatever is lost.

        Wanted is a choice of lost states that kills it together with all that is certain.  What
        still lives after joining all of a choice lives as well after joining less of it, as long
        as a state that has it is among them: so no state that has it is in a choice that kills.
        Leaving these out again and again either kills, or leaves a living entry that nothing that
        may be chosen takes away.

        That is exact but for what INITIAL wrote, where leaving out a state may bring a removal
        back; a document that lives by such writes alone could be dead with part of a choice that
        does not kill.  Somebody has to have given up a former life for that (a version grows then,
        and no entry), and then all lost deletes are asked about as well.
        """
        must = _life_of(self.must)
        if not must.is_alive or winner(_common([must, *self._lost_deletes])) is None:
            return False
        chosen = [*self._lost_deletes, *self._lost_writes]
        while chosen:
            common = _common([must, *chosen])
            if winner(common) is None:
                return False
            living = _living(common)
            left = [each for each in chosen if living.isdisjoint(_living(each.life))]
            if len(left) == len(chosen):
                break
            chosen = left
        return True

    def may_live(self) -> bool:
        """
        Return whether the document may live in the end, depending on what is lost.

        If it lives with some choice of lost states, then by one entry.  The state that has the
        entry, joined with what is certain, or what is certain alone, has it too, for less is
        joined; and it is no delete, for a delete supersedes what it has seen.  So each lost
        write by itself decides.  All of them together say less: one may supersede an entry that
        is certain, and be covered itself by a delete that is certain, made on the document
        after the write had been forgotten there and it had been written anew.

        That is exact but for what INITIAL wrote, which lives once all removals are superseded:
        whether what is certain does that is asked, with one lost write and with all of them, but
        not with some of them.
        """
        must = _life_of(self.must)
        lost = self._lost_writes
        if must.is_alive or any(merge(must, each).is_alive for each in lost):
            return True
        joined = reduce(merge, lost, must)
        # Without any write that brought it about, nothing is known of it.
        return joined.is_alive or not joined.version


def lacks(found: DocumentState, certain: DocumentState) -> bool:
    """Return whether something that is certain is not in a state."""
    return encode(merge(found, certain)) != encode(found)


def _life_of(state: DocumentState) -> DocumentState:
    """Return a state without its fields: whether a document lives does not depend on them."""
    return DocumentState(life=state.life, version=state.version)


def _common(states: Sequence[DocumentState]) -> Entries:
    """
    Return the entries that no state has seen without having them.

    It is less than `merge` may leave, which takes a state that has seen all of the other as it is:
    where something was forgotten the two can differ, by the order in which servers hear of it.
    """
    entries = {entry.stamp: entry for state in states for entry in state.life}
    for state in states:
        kept = {entry.stamp for entry in state.life}
        for stamp in [*entries]:
            if state.version.covers(stamp.dot) and stamp not in kept:
                del entries[stamp]
    return tuple(entries.values())


def _living(entries: Entries) -> set[Stamp]:
    """Return the writes that each make a document live, whatever else was written."""
    return {
        entry.stamp
        for entry in entries
        if entry.value is not MISSING and entry.stamp.timestamp != BEGINNING
    }
