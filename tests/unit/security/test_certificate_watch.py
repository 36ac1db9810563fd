# SPDX-License-Identifier: Apache-2.0
"""Renewal under a running server, by every way in which files are replaced."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.config.model import TlsFiles
from edge_twisted.security.certificate_watch import CertificateReload, CertificateWatch
from edge_twisted.security.certificates import check_files
from edge_twisted.security.tls import ReloadableTlsContext
from tests.support.certificates import NOW, IssuedPair, issue
from tests.support.tls import MemoryTls, client_connection

FIRST, SECOND, THIRD = issue(), issue(), issue()
#: What is promised for a change of the files.
SEEN_WITHIN_SECONDS = 5.0


class CertificateWatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        # Not `mktemp`, which leaves its folders in the current one.
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(rmtree, self.folder)
        self.clock = Clock()
        self.now = NOW
        self.reloads: list[CertificateReload] = []
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def watch(self, files: TlsFiles) -> CertificateWatch:
        certificate = check_files(files.cert, files.key, "localhost", NOW).certificate
        assert certificate
        self.tls = ReloadableTlsContext(certificate)
        watch = CertificateWatch(
            self.tls,
            files,
            "localhost",
            clock=self.clock,
            now=lambda: self.now,
            on_reload=self.reloads.append,
        )
        watch.start()
        self.addCleanup(watch.stop)
        return watch

    def wait(self, seconds: float = SEEN_WITHIN_SECONDS) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def assertServed(self, pair: IssuedPair) -> None:
        server = self.tls.serverConnectionForTLS(cast(TLSMemoryBIOProtocol, None))
        self.assertEqual(MemoryTls.handshake(server, client_connection()).peer, pair.chain[0])

    def logged(self, level: LogLevel) -> list[str]:
        return [
            str(event["log_format"]).format(**event)
            for event in self.events
            if event["log_level"] is level
        ]

    # -- renewals that are taken over

    def test_files_written_over_are_taken_over_within_five_seconds(self) -> None:
        self.watch(FIRST.write(self.folder))
        self.assertServed(FIRST)
        SECOND.write(self.folder)
        self.wait()
        self.assertServed(SECOND)
        (reload,) = self.reloads
        self.assertEqual(reload.certificate and reload.certificate.chain, SECOND.chain)

    def test_files_moved_into_place_are_taken_over(self) -> None:
        files = FIRST.write(self.folder)
        self.watch(files)
        new = SECOND.write(self.folder, cert="new-cert.pem", key="new-key.pem")
        # The same size and time of change: the inode tells.
        for path, old in ((new.cert, files.cert), (new.key, files.key)):
            os.utime(path, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))
            path.replace(old)
        self.wait()
        self.assertServed(SECOND)

    def test_symbolic_links_set_anew_are_taken_over(self) -> None:
        archive = self.folder / "archive"
        live = self.folder / "live"
        for folder in (archive, live):
            folder.mkdir()
        FIRST.write(archive, cert="cert1.pem", key="key1.pem")
        SECOND.write(archive, cert="cert2.pem", key="key2.pem")
        files = TlsFiles(cert=live / "cert.pem", key=live / "key.pem")
        files.cert.symlink_to("../archive/cert1.pem")
        files.key.symlink_to("../archive/key1.pem")
        self.watch(files)
        for path, target in ((files.cert, "cert2.pem"), (files.key, "key2.pem")):
            fresh = path.with_suffix(".new")
            fresh.symlink_to(f"../archive/{target}")
            fresh.replace(path)
        self.wait()
        self.assertServed(SECOND)

    def test_a_folder_link_set_anew_is_taken_over(self) -> None:
        """As Kubernetes mounts secrets: the files stay, a folder on the way to them changes."""
        for name, pair in (("one", FIRST), ("two", SECOND)):
            (self.folder / name).mkdir()
            pair.write(self.folder / name)
        current = self.folder / "current"
        current.symlink_to("one")
        self.watch(TlsFiles(cert=current / "cert.pem", key=current / "key.pem"))
        (self.folder / "next").symlink_to("two")
        (self.folder / "next").replace(current)
        self.wait()
        self.assertServed(SECOND)

    def test_a_file_that_is_still_being_written_is_waited_for(self) -> None:
        files = FIRST.write(self.folder)
        self.watch(files)
        SECOND.write(self.folder)
        pem = SECOND.cert_pem
        for end in range(10, len(pem), 100):
            files.cert.write_bytes(pem[:end])
            self.wait(1.0)
        self.assertServed(FIRST)
        self.assertEqual(self.logged(LogLevel.error), [])
        files.cert.write_bytes(pem)
        self.wait()
        self.assertServed(SECOND)

    # -- renewals that are refused

    def test_a_half_replaced_pair_keeps_the_old_one_and_says_why_once(self) -> None:
        files = FIRST.write(self.folder)
        self.watch(files)
        files.cert.write_bytes(SECOND.cert_pem)
        self.wait(60)
        self.assertServed(FIRST)
        (line,) = self.logged(LogLevel.error)
        self.assertIn("is not the key of the certificate", line)
        (reload,) = self.reloads
        self.assertIsNone(reload.certificate)
        self.assertIn("is not the key of", reload.problems[0])
        files.key.write_bytes(SECOND.key_pem)
        self.wait()
        self.assertServed(SECOND)

    def test_a_broken_file_keeps_the_old_one_until_it_is_repaired(self) -> None:
        files = FIRST.write(self.folder)
        self.watch(files)
        for content, reason in ((b"garbage", "no PEM certificate"), (b"", "it is empty")):
            files.cert.write_bytes(content)
            self.wait(20)
            self.assertServed(FIRST)
            self.assertIn(reason, self.logged(LogLevel.error)[-1])
        files.cert.unlink()
        self.wait(20)
        self.assertServed(FIRST)
        self.assertEqual(len(self.logged(LogLevel.error)), 3)
        THIRD.write(self.folder)
        self.wait()
        self.assertServed(THIRD)

    def test_an_expired_renewal_is_refused(self) -> None:
        self.watch(FIRST.write(self.folder))
        issue(end=NOW - timedelta(hours=1)).write(self.folder)
        self.wait()
        self.assertServed(FIRST)
        self.assertIn("expired", self.logged(LogLevel.error)[0])

    def test_the_old_pair_put_back_is_no_news(self) -> None:
        files = FIRST.write(self.folder)
        self.watch(files)
        files.cert.write_bytes(b"garbage")
        self.wait()
        FIRST.write(self.folder)
        self.wait()
        self.assertServed(FIRST)
        self.assertEqual(len(self.reloads), 1)

    def test_warnings_come_with_the_renewal(self) -> None:
        self.watch(FIRST.write(self.folder))
        issue(names=["elsewhere.example"]).write(self.folder)
        self.wait()
        (line,) = self.logged(LogLevel.warn)
        self.assertIn("does not cover localhost", line)

    def test_a_failure_of_ours_is_logged_and_watching_goes_on(self) -> None:
        self.watch(FIRST.write(self.folder))
        now, self.now = self.now, cast(datetime, None)
        SECOND.write(self.folder)
        self.wait()
        self.assertServed(FIRST)
        self.assertTrue(self.flushLoggedErrors(TypeError))
        self.now = now
        THIRD.write(self.folder)
        self.wait()
        self.assertServed(THIRD)

    # -- told to

    def test_a_reload_is_prepared_without_a_change_and_then_committed(self) -> None:
        watch = self.watch(FIRST.write(self.folder))
        other = SECOND.write(self.folder, cert="other-cert.pem", key="other-key.pem")
        prepared = watch.prepare(other)
        self.assertServed(FIRST)
        watch.commit(prepared)
        self.assertServed(SECOND)
        THIRD.write(self.folder, cert="other-cert.pem", key="other-key.pem")
        self.wait()
        self.assertServed(THIRD)

    def test_a_reload_to_broken_files_keeps_the_old_one_and_watches_the_new_files(self) -> None:
        watch = self.watch(FIRST.write(self.folder))
        missing = TlsFiles(cert=self.folder / "later.pem", key=self.folder / "later-key.pem")
        prepared = watch.prepare(missing)
        self.assertEqual(len(prepared.check.problems), 2)
        watch.commit(prepared)
        self.assertServed(FIRST)
        SECOND.write(self.folder, cert="later.pem", key="later-key.pem")
        self.wait()
        self.assertServed(SECOND)

    def test_a_change_between_prepare_and_commit_is_not_lost(self) -> None:
        files = FIRST.write(self.folder)
        watch = self.watch(files)
        prepared = watch.prepare(files)
        SECOND.write(self.folder)
        watch.commit(prepared)
        self.wait()
        self.assertServed(SECOND)

    def test_after_stop_nothing_is_looked_at(self) -> None:
        watch = self.watch(FIRST.write(self.folder))
        watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        SECOND.write(self.folder)
        self.wait()
        self.assertServed(FIRST)

    def test_a_renewal_that_is_not_valid_yet_is_taken_when_its_time_comes(self) -> None:
        self.watch(FIRST.write(self.folder))
        future = issue(begin=NOW + timedelta(hours=1))
        future.write(self.folder)
        self.wait()
        self.assertServed(FIRST)
        self.now = NOW + timedelta(hours=2)
        self.wait()
        self.assertServed(future)
        self.assertEqual(len(self.reloads), 2)

    # -- an end that comes near

    def test_an_end_that_comes_near_is_said_once_a_day(self) -> None:
        end = NOW + timedelta(days=10)
        self.watch(issue(end=end).write(self.folder))
        for day in range(12):
            self.now = NOW + timedelta(days=day)
            self.clock.advance(86_400)
            self.wait()
        lines = self.logged(LogLevel.warn)
        self.assertEqual(len(lines), 9)
        self.assertIn("expires at 2026-12-04", lines[0])
        self.assertIn("has expired", lines[-1])

    def test_a_clock_that_was_ahead_for_a_while_keeps_no_reminder_back(self) -> None:
        self.watch(issue(end=NOW + timedelta(days=5)).write(self.folder))
        for now in (NOW + timedelta(days=3000), NOW):
            self.now = now
            self.clock.advance(86_400)
            self.wait()
        self.assertEqual(len(self.logged(LogLevel.warn)), 2)
