# SPDX-License-Identifier: Apache-2.0
"""
Stamps and entries: the writes of one slot that no other write has superseded.

A slot is one variant of one path (see `edge_twisted.documents.nodes`).  A write supersedes the
entries of its slot that its writer had seen, and only those; so several entries are concurrent
writes, and what is not here although its dot was seen has been superseded.  This is the
multi-value register of Almeida, Shoker and Baquero, "Delta State Replicated Data Types" (2018),
with two differences: a removal leaves an entry, so that a slot never vanishes and can be merged
by itself, and `winner` shows a single one of the entries.
"""

from __future__ import annotations

from typing import NamedTuple

from edge_twisted.documents.clock import BEGINNING, Timestamp
from edge_twisted.documents.values import MISSING, Operand, sort_key
from edge_twisted.documents.versions import Dot, Replica, VersionVector


class Stamp(NamedTuple):
    """Who wrote, and when; stamps compare by time, then by replica."""

    timestamp: Timestamp
    replica: Replica
    sequence: int

    @property
    def dot(self) -> Dot:
        """The write."""
        return Dot(self.replica, self.sequence)


class Entry(NamedTuple):
    """A write and what it wrote; MISSING is a removal."""

    stamp: Stamp
    value: Operand


#: Concurrent writes of one slot, in the order of their stamps.
Entries = tuple[Entry, ...]
#: Compares what is shown: later writes are greater; of INITIAL ones the greater value.
Rank = tuple[int, bytes, Stamp]


def rank(entry: Entry) -> Rank:
    """Return how late an entry counts."""
    stamp = entry.stamp
    tie = b"" if stamp.timestamp else sort_key(entry.value)
    return stamp.timestamp, tie, stamp


def winner(entries: Entries) -> Entry | None:
    """
    Return the entry that is shown, None if the slot is removed or empty.

    A value wins over a concurrent removal, and the latest of several wins.  What INITIAL wrote is
    at the beginning of time: anything else wins over it, a removal too.
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
    """Return what neither side has superseded; `left_seen` is all that the left side has seen."""
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
