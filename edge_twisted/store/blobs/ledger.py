# SPDX-License-Identifier: Apache-2.0
"""
The ledger of blobs: facts beside the documents, and the collection of unnamed blobs.

A blob's fact is made after its file, and forgotten before it, so a crash leaves at most a file
without a fact, which the next start finds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec.msgpack
from attrs import frozen
from twisted.internet.defer import Deferred

from edge_twisted.store.interface import Snapshot, UnitOfWork
from edge_twisted.store.rows import BlobInfo, UnitResult

T = TypeVar("T")

#: The space of the facts; the key is the id in ASCII.
SPACE = "attachment"
#: The space of who uploaded which blob; the key is the id, the value a list of identities, the
#: newest last.  It is a space of its own because a server of an older version reads the other one.
UPLOADERS = "attachment_uploaders"
#: Most identities remembered for a blob.  A new upload makes its identity the newest again, so an
#: identity that has the content can always regain its right.
MOST_UPLOADERS = 16
#: Blobs looked at, or forgotten, in one unit of work.
STEP = 100


class LedgerStore(Protocol):
    """What the ledger asks of a store."""

    def write(self, name: str, work: Callable[[UnitOfWork], T]) -> Deferred[UnitResult[T]]:
        """Run a unit of work, as `edge_twisted.store.interface.Store.write` does."""

    def read(self, name: str, work: Callable[[Snapshot], T]) -> Deferred[T]:
        """Run a read on a reader thread, as `edge_twisted.store.interface.Store.read` does."""


@frozen
class BlobBooking:
    """A blob's fact: its length, and since when (ms since 1970) nothing names it, if noted."""

    length: int
    idle_since: int | None = None

    def encoded(self) -> bytes:
        """Return the fact's value: MessagePack of [length in bytes, ms since 1970 or nil]."""
        return msgspec.msgpack.encode([self.length, self.idle_since])

    @classmethod
    def decoded(cls, value: bytes) -> BlobBooking:
        """Return the booking that `encoded` made `value` of."""
        return cls(*msgspec.msgpack.decode(value))


def book(unit: UnitOfWork, info: BlobInfo, uploader: str | None = None) -> None:
    """
    Note that a blob is here, and which identity uploaded it; its grace time restarts.

    :param uploader: None: nobody did, it came from a peer.
    """
    unit.put_fact(SPACE, info.id.encode("ascii"), BlobBooking(info.length).encoded())
    if uploader is not None:
        others = [each for each in uploaders(unit, info.id) if each != uploader]
        kept = [*others[1 - MOST_UPLOADERS :], uploader]
        unit.put_fact(UPLOADERS, info.id.encode("ascii"), msgspec.msgpack.encode(kept))


def uploaders(snapshot: Snapshot, blob_id: str) -> list[str]:
    """Return the identities that uploaded a blob that is here, at most 16, the newest last."""
    value = snapshot.fact(UPLOADERS, blob_id.encode("ascii", "replace"))
    return [] if value is None else msgspec.msgpack.decode(value, type=list[str])


def forget(unit: UnitOfWork, blob_id: str) -> None:
    """Remove, in this unit of work, the facts of a blob that is not here any more."""
    for space in (SPACE, UPLOADERS):
        unit.put_fact(space, blob_id.encode("ascii"), None)


def find(snapshot: Snapshot, blob_id: str) -> BlobInfo | None:
    """Return id and length in bytes of a blob; None if this server does not have it."""
    value = snapshot.fact(SPACE, blob_id.encode("ascii", "replace"))
    return None if value is None else BlobInfo(blob_id, BlobBooking.decoded(value).length)


async def collect(
    database: LedgerStore,
    now_ms: Callable[[], int],
    grace_seconds: float,
    forgotten: Callable[[str], None],
) -> int:
    """
    Forget the blobs that nothing has named for the grace time; return how many there were.

    :param forgotten: called on the reactor thread with the id of each, once that is durable.
    """
    after: bytes | None = b""
    count = 0
    while after is not None:
        page = await database.read("attachments.idle", _Examination(after))
        after = page.last
        if page.idle or page.wanted:
            verdict = _Verdict(page, now_ms(), grace_seconds, forgotten)
            count += (await database.write("attachments.collect", verdict)).result
    return count


@frozen
class _Page:
    """Some blobs, by whether anything names them; `last` is where to go on, None at the end."""

    idle: Sequence[str]
    wanted: Sequence[str]
    last: bytes | None


@frozen
class _Examination:
    """Read: which blobs behind `after` are idle, and which are wanted again."""

    after: bytes

    def __call__(self, snapshot: Snapshot) -> _Page:
        idle, wanted = [], []
        facts = snapshot.facts(SPACE, after=self.after, limit=STEP)
        for key, value in facts:
            name = key.decode("ascii")
            if not snapshot.referrers(name, limit=1):
                idle.append(name)
            elif BlobBooking.decoded(value).idle_since is not None:
                wanted.append(name)
        return _Page(idle, wanted, facts[-1][0] if len(facts) == STEP else None)


@frozen
class _Verdict:
    """Write: note or forget the idle ones, after a second look; return how many were forgotten."""

    page: _Page
    now: int
    grace_seconds: float
    forgotten: Callable[[str], None]

    def __call__(self, unit: UnitOfWork) -> int:
        for name in self.page.wanted:
            self._note(unit, name, None)
        return sum(self._judge(unit, name) for name in self.page.idle)

    def _judge(self, unit: UnitOfWork, name: str) -> bool:
        booked = self._booked(unit, name)
        if booked is None or unit.referrers(name, limit=1):
            return False
        # Noted while the clock was ahead: until that date it would be kept.
        if booked.idle_since is None or booked.idle_since > self.now:
            self._note(unit, name, self.now)
            return False
        if self.now - booked.idle_since < self.grace_seconds * 1000:
            return False
        forget(unit, name)
        unit.after_commit(lambda: self.forgotten(name))
        return True

    def _note(self, unit: UnitOfWork, name: str, idle_since: int | None) -> None:
        booked = self._booked(unit, name)
        if booked is not None and booked.idle_since != idle_since:
            changed = BlobBooking(booked.length, idle_since)
            unit.put_fact(SPACE, name.encode("ascii"), changed.encoded())

    def _booked(self, unit: UnitOfWork, name: str) -> BlobBooking | None:
        value = unit.fact(SPACE, name.encode("ascii"))
        return None if value is None else BlobBooking.decoded(value)
