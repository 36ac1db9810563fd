# SPDX-License-Identifier: Apache-2.0
"""The scrubber's pace, its memory over restarts, and what it does when reads fail."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.store.errors import StoreCorrupt, StoreFull
from edge_twisted.store.scrubber import AttachmentsStep, DocumentsStep, Scrubber, ScrubbingPace

ROWS, FOLDERS, SIZE = 10, 3, 1 << 18
START_MS = 1_790_000_000_000


class FakeStore:
    """Rows 1 to `ROWS`, one a step, of 256 KiB each; folders of one attachment each."""

    def __init__(self) -> None:
        self.facts: dict[tuple[str, bytes], bytes] = {}
        self.asked: list[tuple[str, int]] = []
        self.unreadable: set[int] = set()
        self.hangs: Deferred[Any] | None = None
        self.full = False

    def scrub_documents(self, after: int) -> Deferred[DocumentsStep]:
        self.asked.append(("row", after))
        if self.hangs is not None:
            return self.hangs
        if after in self.unreadable:
            return fail(StoreCorrupt("scrub", "a page"))
        following = None if after >= ROWS else after + 1
        return succeed(DocumentsStep(after=following, size=SIZE, documents=1))

    def behind_unreadable(self, after: int) -> Deferred[int | None]:
        return succeed(after + 2)

    def scrub_attachments(self, folder: int) -> Deferred[AttachmentsStep]:
        self.asked.append(("folder", folder))
        following = None if folder == FOLDERS - 1 else folder + 1
        return succeed(AttachmentsStep(folder=following, size=SIZE, attachments=1))

    def remembered(self, space: str, key: bytes) -> bytes | None:
        return self.facts.get((space, key))

    def remember(self, space: str, key: bytes, value: bytes) -> Deferred[Any]:
        if self.full:
            return fail(StoreFull("remember"))
        self.facts[space, key] = value
        return succeed(None)


WHOLE_PASS = [("row", n) for n in range(ROWS + 1)] + [("folder", n) for n in range(FOLDERS)]


class ScrubberTests(SynchronousTestCase):
    """One scrubber after the other over one store."""

    def setUp(self) -> None:
        self.store, self.clock = FakeStore(), Clock()

    def now_ms(self) -> int:
        return START_MS + round(self.clock.seconds() * 1000)

    def scrubber(self, **pace: Any) -> Scrubber:
        scrubber = Scrubber(self.store, self.clock, self.now_ms, ScrubbingPace(**pace))
        scrubber.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(scrubber.stop()))
        return scrubber

    def pass_time(self, seconds: float, step: float = 0.25) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    def test_a_pass_takes_what_its_pace_says_and_the_next_waits(self) -> None:
        self.scrubber(bytes_per_second=1 << 20)
        self.pass_time(10 + 1)
        self.assertLessEqual(len(self.store.asked), 1 + 1 + 4)
        self.pass_time(10)
        self.assertEqual(self.store.asked, WHOLE_PASS)
        self.pass_time(23 * 3600, 60)
        self.assertEqual(self.store.asked, WHOLE_PASS)
        self.pass_time(2 * 3600, 60)
        self.pass_time(20)
        self.assertEqual(self.store.asked, WHOLE_PASS * 2)

    def test_none_without_a_pace(self) -> None:
        self.scrubber(bytes_per_second=0)
        self.pass_time(3600, 60)
        self.assertEqual(self.store.asked, [])

    def test_age_is_that_of_the_last_whole_pass(self) -> None:
        scrubber = self.scrubber()
        self.pass_time(11)
        self.assertLess(abs(scrubber.age_seconds - 11), 1)
        self.pass_time(10)
        self.assertLess(scrubber.age_seconds, 10)
        self.pass_time(3600, 60)
        self.assertLess(abs(scrubber.age_seconds - 3600), 20)

    def test_a_restart_goes_on(self) -> None:
        first = self.scrubber(bytes_per_second=1 << 12)
        self.pass_time(10 + 65 * 3, 1)
        row = self.store.asked[-1][1]
        self.assertGreater(row, 1)
        self.successResultOf(Deferred.fromCoroutine(first.stop()))
        self.store.asked.clear()
        self.scrubber()
        self.pass_time(10.25)
        # What was kept last is at most a minute old.
        self.assertIn(self.store.asked[0][1], (row - 1, row, row + 1))
        self.assertEqual(first.age_seconds, 0.0)

    def test_a_clock_that_was_ahead_puts_nothing_off(self) -> None:
        self.clock.advance(30 * 86_400)
        first = self.scrubber()
        self.pass_time(30)
        self.successResultOf(Deferred.fromCoroutine(first.stop()))
        self.store.asked.clear()
        self.clock.rightNow -= 29 * 86_400
        self.scrubber()
        self.pass_time(25 * 3600, 60)
        self.assertNotEqual(self.store.asked, [])

    def test_it_goes_on_behind_what_cannot_be_read(self) -> None:
        self.store.unreadable = {3, 7}
        self.scrubber()
        self.pass_time(60)
        rows = [row for kind, row in self.store.asked if kind == "row"]
        self.assertEqual(rows, [0, 1, 2, 3, 5, 6, 7, 9, 10])
        self.assertIn(("folder", 2), self.store.asked)

    def test_a_store_without_a_single_page_ends_the_pass(self) -> None:
        self.store.unreadable = set(range(10_000))
        self.scrubber()
        self.pass_time(60)
        self.assertEqual(self.store.asked[-1], ("folder", 2))

    def test_a_full_disk_stops_nothing(self) -> None:
        self.store.full = True
        self.scrubber()
        self.pass_time(60)
        self.assertEqual(self.store.asked, WHOLE_PASS)

    def test_hurry_looks_through_all_documents_at_once(self) -> None:
        scrubber = self.scrubber()
        self.pass_time(30)
        self.store.asked.clear()
        scrubber.hurry()
        scrubber.hurry()
        self.pass_time(1, 0.01)
        self.assertEqual(self.store.asked[: ROWS + 1], WHOLE_PASS[: ROWS + 1])

    def test_hurry_without_a_pace_ends_with_the_documents(self) -> None:
        scrubber = self.scrubber(bytes_per_second=0)
        scrubber.hurry()
        self.pass_time(10, 0.01)
        self.assertEqual(self.store.asked, WHOLE_PASS[: ROWS + 1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_does_not_wait_for_a_step(self) -> None:
        scrubber = self.scrubber()
        self.store.hangs = Deferred()
        self.pass_time(11)
        self.successResultOf(Deferred.fromCoroutine(scrubber.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_row_that_cannot_be_moved_does_not_keep_the_pass_from_its_end(self) -> None:
        # Each scan meets the row, and asks for a search again.
        scrubber = self.scrubber()
        for _ in range(800):
            scrubber.hurry()
            self.pass_time(0.25)
        self.assertIn(("folder", FOLDERS - 1), self.store.asked)

    def test_a_search_that_gives_up_is_over(self) -> None:
        self.store.unreadable = set(range(10_000))
        scrubber = self.scrubber(bytes_per_second=0)
        for _ in range(2):
            self.store.asked.clear()
            scrubber.hurry()
            self.pass_time(120)
            self.assertEqual({kind for kind, _ in self.store.asked}, {"row"})
            self.assertEqual(self.clock.getDelayedCalls(), [])
