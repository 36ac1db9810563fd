# SPDX-License-Identifier: Apache-2.0
"""Stopping what a store does on its own, whatever it waits for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from edge_twisted.store.blobs.folder import BlobFolder
from edge_twisted.store.blobs.names import id_of
from edge_twisted.store.housekeeping import Housekeeping, Retention
from edge_twisted.store.interface import Store


@define
class _Endless:
    """A store, and its attachments, whose jobs never end by themselves."""

    running: list[Deferred[int]] = field(factory=list)

    @property
    def blobs(self) -> _Endless:
        return self

    def reap(self, received_before: int, most: int) -> Deferred[int]:
        return self._begin()

    def collect(self, grace_seconds: float) -> Deferred[int]:
        return self._begin()

    def _begin(self) -> Deferred[int]:
        done: Deferred[int] = Deferred(self.running.remove)
        self.running.append(done)
        return done


class HousekeepingTests(TestCase):
    async def test_stopping_ends_what_would_run_for_ever(self) -> None:
        clock, store = Clock(), _Endless()
        keeping = Housekeeping(
            cast(Store, store), cast(Any, clock), lambda: 0, Retention(first_run_seconds=1.0)
        )
        keeping.start()
        clock.advance(1.0)
        self.assertEqual(len(store.running), 2)
        await keeping.stop()
        self.assertEqual((store.running, clock.getDelayedCalls()), ([], []))
        self.assertEqual(self.flushLoggedErrors(), [])


class SweepTests(TestCase):
    def setUp(self) -> None:
        self.folder = BlobFolder(Path(self.mktemp()))
        self.folder.tidy(0.0)
        self.blobs = [id_of(bytes([number]) * 32) for number in range(5)]
        for blob in self.blobs:
            source = self.folder.incoming / "upload"
            source.write_bytes(b"x")
            self.folder.place(source, blob)
            self.folder.booked(blob)
            self.folder.doom(blob)

    def left(self) -> int:
        return len(list(self.folder.complete()))

    def test_a_sweep_deletes_what_is_doomed(self) -> None:
        self.folder.sweep()
        self.assertEqual(self.left(), 0)

    def test_a_sweep_ends_when_it_is_told_to(self) -> None:
        """The next start finds what is left."""
        self.folder.end_sweep()
        self.folder.sweep()
        self.assertEqual(self.left(), len(self.blobs))

    def test_the_lock_is_held_for_one_file_at_a_time(self) -> None:
        """The reactor's thread takes it too, and must not wait for a long sweep."""
        held: list[int] = []
        self.patch(self.folder, "_lock", _CountingLock(self.left, held))
        self.folder.sweep()
        self.assertEqual(held, [1] * len(self.blobs) + [0])


class _CountingLock:
    """Notes how many blobs go each time that it is held."""

    def __init__(self, left: Callable[[], int], held: list[int]) -> None:
        self._left = left
        self._held = held
        self._before = 0

    def __enter__(self) -> None:
        self._before = self._left()

    def __exit__(self, *exception: object) -> None:
        self._held.append(self._before - self._left())
