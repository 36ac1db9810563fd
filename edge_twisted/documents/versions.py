# SPDX-License-Identifier: Apache-2.0
"""
Replicas, dots and version vectors: which writes a state has seen, and whose they are.

A *replica* is a site in one of its epochs.  A site begins a new epoch when its store was copied or
restored, so that two writes never share a dot.  A *dot*, (replica, sequence), names one write.  A
*version vector* has a number n for each replica: writes 1 to n of that replica have been seen.

Example: ``{A: 3, B: 1}`` includes ``{A: 2, B: 1}``, which has seen nothing else, and is concurrent
with ``{A: 2, B: 2}``: each has seen a write that the other has not; their join is ``{A: 3, B: 2}``.

A vector may have *exceptions*: ``{A: 4, not A: 1-3}`` has seen only A4.  A server that evicts a
document, and writes it before the evicted writes have come back, has not seen them
(`edge_twisted.documents.version_exceptions`).  See Malkhi and Terry, "Concise Version Vectors in
WinFS" (2005).  Nearly no document has exceptions.

As bytes, a vector is msgpack of ``[[site, epoch, sequence], ...]``, sorted; an entry with
exceptions is ``[site, epoch, sequence, [[first, last], ...]]``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NewType

import msgspec.msgpack

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

#: The identity of a store: 16 random bytes, kept for ever.
SiteId = NewType("SiteId", bytes)
SITE_BYTES: Final = 16


_NOTHING: Final[Mapping[Replica, tuple[Span, ...]]] = MappingProxyType({})
#: A number above all sequences.
_NEVER: Final = 2**63


class Replica(NamedTuple):
    """A site in one of its epochs."""

    site: SiteId
    epoch: int


class Dot(NamedTuple):
    """The name of one write: the `sequence`-th of a replica, counted from 1."""

    replica: Replica
    sequence: int


#: The first and last of consecutive sequences of one replica.
Span = tuple[int, int]


class VersionVector(Mapping[Replica, int]):
    """
    The set of writes that have been seen; immutable.

    A replica that is not named has been seen up to 0.  As a mapping, a vector has each replica's
    number, without the exceptions.

    :param exceptions: the exceptions by replica: ascending spans with gaps between them, which end
        below the replica's number.
    """

    __slots__ = ("_seen", "_unseen")

    def __init__(
        self,
        seen: Mapping[Replica, int] | Iterable[tuple[Replica, int]] = (),
        exceptions: Mapping[Replica, tuple[Span, ...]] = _NOTHING,
    ) -> None:
        self._seen: dict[Replica, int] = dict(seen)
        self._unseen = exceptions

    # -- Mapping

    def __getitem__(self, replica: Replica) -> int:
        return self._seen[replica]

    def __iter__(self) -> Iterator[Replica]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)

    def __hash__(self) -> int:
        return hash(frozenset(self._seen.items()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VersionVector) or self._seen != other._seen:
            return False
        return self._unseen == other._unseen

    def __repr__(self) -> str:
        inner = ", ".join(f"{r.site.hex()[:8]}/{r.epoch}: {n}" for r, n in sorted(self.items()))
        but = "".join(
            f", not {r.site.hex()[:8]}/{r.epoch}: {low}-{high}"
            for r, spans in sorted(self._unseen.items())
            for low, high in spans
        )
        return f"VersionVector({inner}{but})"

    # -- what it says

    @property
    def exceptions(self) -> Mapping[Replica, tuple[Span, ...]]:
        """The unseen writes below the last seen one: replica -> spans, both ends included."""
        return self._unseen

    def seen(self, replica: Replica) -> int:
        """Return the number of the last write of a replica that has been seen, 0 for none."""
        return self._seen.get(replica, 0)

    def covers(self, dot: Dot) -> bool:
        """Return whether the write with this dot has been seen."""
        if dot.sequence > self._seen.get(dot.replica, 0):
            return False
        return not self._unseen or not _is_within(dot.sequence, self._unseen.get(dot.replica, ()))

    def includes(self, other: VersionVector) -> bool:
        """Return whether this vector has seen every write that `other` has seen."""
        mine = self._seen
        # A loop: `all` over a generator takes twice as long, and this runs for every document.
        for replica, number in other._seen.items():
            if mine.get(replica, 0) < number:
                return False
        return not self._unseen or self._unseen is other._unseen or not self._lacks(other)

    def _lacks(self, other: VersionVector) -> bool:
        """Return whether `other` has seen a write that is an exception here."""
        return any(
            _common(spans, other._all_unseen(replica)) != spans
            for replica, spans in self._unseen.items()
        )

    def with_dot(self, dot: Dot) -> VersionVector:
        """Return this vector with one more seen write, newer than all others of its replica."""
        if self.covers(dot):
            return self
        return VersionVector({**self._seen, dot.replica: dot.sequence}, self._unseen)

    def with_exception(self, replica: Replica, span: Span) -> VersionVector:
        """Return this vector with one more unseen span of a replica, above the other spans."""
        spans = (*self._unseen.get(replica, ()), span)
        return VersionVector(self._seen, {**self._unseen, replica: spans})

    def join(self, other: VersionVector) -> VersionVector:
        """Return the union: the writes that either vector has seen."""
        if self.includes(other):
            return self
        found = dict(self._seen)
        for replica, number in other._seen.items():
            if number > found.get(replica, 0):
                found[replica] = number
        if not self._unseen and not other._unseen:
            return VersionVector(found)
        return VersionVector(found, self._unseen_by_both(other))

    def _unseen_by_both(self, other: VersionVector) -> dict[Replica, tuple[Span, ...]]:
        found: dict[Replica, tuple[Span, ...]] = {}
        for replica in {**self._unseen, **other._unseen}:
            spans = _common(self._all_unseen(replica), other._all_unseen(replica))[:-1]
            if spans:
                found[replica] = spans
        return found

    def _all_unseen(self, replica: Replica) -> list[Span]:
        return [*self._unseen.get(replica, ()), (self.seen(replica) + 1, _NEVER)]


def _is_within(sequence: int, spans: Sequence[Span]) -> bool:
    at = bisect_right(spans, (sequence, _NEVER)) - 1
    return at >= 0 and sequence <= spans[at][1]


def _common(left: Sequence[Span], right: Sequence[Span]) -> tuple[Span, ...]:
    """Return the intersection of two ascending lists of spans."""
    found: list[Span] = []
    at = other_at = 0
    while at < len(left) and other_at < len(right):
        (first, last), (other_first, other_last) = left[at], right[other_at]
        low, high = max(first, other_first), min(last, other_last)
        if low <= high:
            found.append((low, high))
        if last < other_last:
            at += 1
        else:
            other_at += 1
    return tuple(found)


NO_VERSION: Final = VersionVector()


# -- encoding


def encode_vector(vector: VersionVector) -> bytes:
    """Return a vector as msgpack bytes; equal vectors have equal bytes."""
    exceptions = vector.exceptions
    return _encode(
        [
            [r.site, r.epoch, vector[r], exceptions[r]]
            if r in exceptions
            else [r.site, r.epoch, vector[r]]
            for r in sorted(vector)
        ]
    )


def decode_vector(data: bytes | None) -> VersionVector:
    """
    Return the vector that `encode_vector` encoded; the empty vector for None.

    :raises msgspec.DecodeError, ValueError, TypeError: the bytes are no encoded vector.
    """
    if data is None:
        return VersionVector()
    written: Any = _decode(data)
    seen: dict[Replica, int] = {}
    exceptions: dict[Replica, tuple[Span, ...]] = {}
    for site, epoch, number, *spans in written:
        replica = Replica(SiteId(site), epoch)
        seen[replica] = number
        if spans:
            exceptions[replica] = tuple((first, last) for first, last in spans[0])
    return VersionVector(seen, exceptions)
