# SPDX-License-Identifier: Apache-2.0
"""Without a certificate that is valid today: what is said, and when HTTPS begins."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from shutil import rmtree
from typing import cast
from unittest.mock import patch

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.config.model import TlsFiles
from edge_twisted.security.certificate_watch import REMIND_SECONDS, CertificateWait
from edge_twisted.security.certificates import Certificate, check_files
from tests.support.certificates import NOW, IssuedPair, issue

YEAR = timedelta(days=365)
EXPIRED = issue(begin=NOW - 2 * YEAR, end=NOW - YEAR)
FUTURE = issue(begin=NOW + YEAR, end=NOW + 2 * YEAR)
GOOD = issue()
#: What is promised for a change of the files or of the clock.
SEEN_WITHIN_SECONDS = 5.0


class CertificateWaitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(rmtree, self.folder)
        self.clock = Clock()
        self.now = NOW
        self.found: list[Certificate] = []
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def wait_for(self, pair: IssuedPair) -> CertificateWait:
        files = pair.write(self.folder)
        check = check_files(files.cert, files.key, "localhost", self.now)
        assert check.is_about_dates
        wait = CertificateWait(
            files,
            "localhost",
            check,
            clock=self.clock,
            now=lambda: self.now,
            found=self.found.append,
        )
        wait.start()
        self.addCleanup(wait.stop)
        return wait

    def pass_time(self, seconds: float = SEEN_WITHIN_SECONDS) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def told(self) -> list[str]:
        return [
            str(event["log_format"]).format(**event)
            for event in self.events
            if event["log_level"] is LogLevel.critical
        ]

    def assertFound(self, pair: IssuedPair) -> None:
        self.assertEqual([each.chain[0] for each in self.found], [pair.chain[0]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_begins_when_the_clock_is_set_right(self) -> None:
        for pair, right in ((FUTURE, NOW + 1.5 * YEAR), (EXPIRED, NOW - 1.5 * YEAR)):
            with self.subTest(right=right):
                self.now = NOW
                self.found.clear()
                self.wait_for(pair)
                self.pass_time()
                self.assertEqual(self.found, [])
                self.now = right
                self.pass_time()
                self.assertFound(pair)

    def test_it_begins_when_the_files_are_renewed(self) -> None:
        self.wait_for(EXPIRED)
        self.pass_time()
        GOOD.write(self.folder)
        self.pass_time()
        self.assertFound(GOOD)

    def test_half_a_renewal_is_waited_out(self) -> None:
        wait = self.wait_for(EXPIRED)
        (self.folder / "cert.pem").write_bytes(GOOD.cert_pem)
        self.pass_time()
        self.assertEqual(self.found, [])
        self.assertIn("is not the key of", str(wait.problem))
        (self.folder / "key.pem").write_bytes(GOOD.key_pem)
        self.pass_time()
        self.assertFound(GOOD)

    def test_it_waits_for_other_files_after_a_reload(self) -> None:
        wait = self.wait_for(EXPIRED)
        elsewhere = self.folder / "new"
        elsewhere.mkdir()
        wait.use(GOOD.write(elsewhere))
        self.pass_time()
        self.assertFound(GOOD)

    def test_it_is_said_at_once_and_again_each_hour(self) -> None:
        self.wait_for(EXPIRED)
        self.assertEqual(len(self.told()), 1)
        self.assertIn("HTTPS is not served; everything else is", self.told()[0])
        self.assertIn("expired at 2025-11-24", self.told()[0])
        self.pass_time(60)
        self.assertEqual(len(self.told()), 1)
        self.clock.advance(REMIND_SECONDS)
        self.assertEqual(len(self.told()), 2)

    def test_another_problem_is_said_at_once(self) -> None:
        self.wait_for(EXPIRED)
        FUTURE.write(self.folder)
        self.pass_time()
        self.assertIn("not valid before", self.told()[-1])

    def test_files_that_cannot_be_looked_at_end_nothing(self) -> None:
        self.wait_for(EXPIRED)
        with patch("edge_twisted.security.certificate_watch.state_of", side_effect=ValueError):
            self.pass_time()
        self.assertTrue(self.flushLoggedErrors(ValueError))
        GOOD.write(self.folder)
        self.pass_time()
        self.assertFound(GOOD)


def test_a_date_is_no_reason_for_what_never_mends(tmp_path: Path) -> None:
    def check(spoil: Callable[[TlsFiles], object]) -> bool:
        files = EXPIRED.write(tmp_path)
        spoil(files)
        return check_files(files.cert, files.key, "localhost", NOW).is_about_dates

    assert check(lambda files: None)
    assert not check(lambda files: files.key.unlink())
    assert not check(lambda files: files.key.write_bytes(GOOD.key_pem))
    assert not check(lambda files: GOOD.write(tmp_path))
