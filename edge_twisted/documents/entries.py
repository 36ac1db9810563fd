# SPDX-License-Identifier: Apache-2.0
"""
Entries of a slot: a multi-value register, with a last-writer-wins choice of what is shown.

A slot is one variant at one path (`edge_twisted.documents.nodes`).  An entry is a write with its
value, or a removal (value MISSING).  A write supersedes the entries of its slot that its writer had
seen, and no others, so several entries in one slot are concurrent writes.  An entry that is absent
although the causal context (the document's version vector) covers its dot has been superseded.

This is the multi-value register of Almeida, Shoker and Baquero, "Delta State Replicated Data Types"
(2018), with two differences: a removal leaves an entry, so that a slot never vanishes and can be
merged by itself, and `winner` shows only one of the entries.

Example: ``name`` is ``A1="Tea"``.  A writes ``A3="Green"``, B, not having seen A3, ``B1="Black"``,
a moment later.  Each supersedes A1; the merge has both entries and shows "Black", the later one.
A next write by anyone who has seen both supersedes both.
"""

from __future__ import annotations

from typing import NamedTuple

from edge_twisted.documents.clock import BEGINNING, Timestamp
from edge_twisted.documents.values import MISSING, Operand, sort_key
from edge_twisted.documents.versions import Dot, Replica, VersionVector


class Stamp(NamedTuple):
    """The timestamp and the dot of a write; stamps compare by time, then by replica."""

    timestamp: Timestamp
    replica: Replica
    sequence: int

    @property
    def dot(self) -> Dot:
        """The dot of the write."""
        return Dot(self.replica, self.sequence)


class Entry(NamedTuple):
    """A write with its value; MISSING stands for a removal."""

    stamp: Stamp
    value: Operand


#: The concurrent writes of one slot, in the order of their stamps.
Entries = tuple[Entry, ...]
#: Orders entries by what is shown: the later write wins, of INITIAL writes the greater value.
Rank = tuple[int, bytes, Stamp]


def rank(entry: Entry) -> Rank:
    """
    Return the rank of an entry, by which `winner` decides between entries of one kind.

    A rank is the timestamp, the sort key of the value (empty but for INITIAL writes), and the
    stamp.
    """
    stamp = entry.stamp
    tie = b"" if stamp.timestamp else sort_key(entry.value)
    return stamp.timestamp, tie, stamp


def winner(entries: Entries) -> Entry | None:
    """
    Return the entry that the slot shows; None if the slot is empty or its value is removed.

    A value wins over a concurrent removal; of several values the last writer wins.  Any other write
    wins over one by INSERT INITIAL, even a removal.
    """
    if len(entries) == 1:
        return entries[0] if entries[0].value is not MISSING else None
    values = [entry for entry in entries if entry.value is not MISSING]
    timely = [entry for entry in values if entry.stamp.timestamp != BEGINNING]
    if timely:
        return max(timely, key=rank)
    if len(values) < len(entries):
        return None
    return max(values, key=rank, default=None)


def merge_entries(
    left: Entries, left_seen: VersionVector, right: Entries, right_seen: VersionVector
) -> Entries:
    """
    Return the entries of a slot that neither side has superseded, in order of stamps.

    An entry stays if both sides hold it, or if the side without it has not seen its dot.

    :param left_seen: the causal context of the left side; `right_seen` that of the right side.
    """
    if len(left) == len(right) == 1 and left[0].stamp == right[0].stamp:
        return left
    if len(left) == len(right) and all(
        a.stamp == b.stamp for a, b in zip(left, right, strict=True)
    ):
        return left
    in_left = {entry.stamp for entry in left}
    in_right = {entry.stamp for entry in right}
    found = {
        entry.stamp: entry
        for entry in left
        if entry.stamp in in_right or not right_seen.covers(entry.stamp.dot)
    }
    for entry in right:
        if entry.stamp in in_left or not left_seen.covers(entry.stamp.dot):
            found[entry.stamp] = entry
    return tuple(found[stamp] for stamp in sorted(found))
