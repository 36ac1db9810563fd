# SPDX-License-Identifier: Apache-2.0
"""
Watches the certificate's files for a renewal, or for the first valid one.

The files are looked at, not read, every `POLL_SECONDS`: polling sees a changed symbolic link,
another file system and a container's mount alike, none of which inotify does.  A change is taken
up when two looks in a row agree, so that a renewal has finished writing, and is in use within
twice that time.  Dates are compared with the clock at each look, because a machine's clock may be
wrong for a while after it was switched on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from edge_twisted.config.model import TlsFiles
from edge_twisted.security.certificate_errors import CertificateProblem
from edge_twisted.security.certificates import Certificate, CertificateCheck, check_files
from edge_twisted.security.pem_files import PairState, state_of
from edge_twisted.security.tls import ReloadableTlsContext

log = Logger()

#: Twice this is the longest that a change waits; the promise is 5 s.
POLL_SECONDS = 1.5
#: From when on the log reminds of a certificate's end, and how often.
REMIND_BEFORE = timedelta(days=7)
REMIND_EVERY_SECONDS = 86_400.0
#: How often the log says again that HTTPS is not served.
REMIND_SECONDS = 3600.0


class _PairPoll:
    """
    Looks at two files; calls `_examine` after a settled change or a reached date.

    :param check: what an examination found when the files were in the state `examined`.
    :param now: tells the time in UTC.
    """

    #: What the log says when a look fails.
    _failure: ClassVar[str]

    def __init__(
        self,
        files: TlsFiles,
        listen_host: str | None,
        check: CertificateCheck,
        examined: PairState,
        clock: IReactorTime,
        now: Callable[[], datetime],
    ) -> None:
        self._files = files
        self._listen_host = listen_host
        #: What the last examination found, and the state of the files that it is about.
        self._check = check
        self._examined = self._looked = examined
        self._clock = clock
        self._now = now
        self._next: IDelayedCall | None = None
        self._reminded = float("-inf")

    def start(self) -> None:
        """Begin to look at the files every `POLL_SECONDS`."""
        self._next = self._clock.callLater(POLL_SECONDS, self._poll)

    def stop(self) -> None:
        """Stop looking at the files; harmless when repeated, and `start` may follow."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _examine(self) -> None:
        """Examine the files, and act on the result."""
        raise NotImplementedError

    def _remind(self) -> None:
        """Log again, from time to time, what the operator has to do."""
        raise NotImplementedError

    def _poll(self) -> None:
        self._next = self._clock.callLater(POLL_SECONDS, self._poll)
        try:
            if self._is_to_be_examined():
                self._examine()
            self._remind()
        except Exception:
            log.failure(self._failure)

    def _is_to_be_examined(self) -> bool:
        state = state_of(self._files)
        settled, self._looked = state == self._looked, state
        if not settled:
            return False
        if state == self._examined and not self._check.may_be_served(self._now()):
            return False
        # Noted before the examination: a failure is tried, and said, once for each change.
        self._examined = state
        return True

    def _is_time_to_remind(self, every_seconds: float) -> bool:
        seconds = self._clock.seconds()
        if seconds < self._reminded + every_seconds:
            return False
        self._reminded = seconds
        return True


class CertificateWait(_PairPoll):
    """
    Calls `found` once, with the certificate, when the pair in the files can be served.

    For a server whose own has expired or is not valid yet; the rest of it serves meanwhile.
    `check` is what was found in the files as they are.
    """

    _failure = "Looking for a certificate failed; HTTPS is not served"

    def __init__(
        self,
        files: TlsFiles,
        listen_host: str | None,
        check: CertificateCheck,
        *,
        clock: IReactorTime,
        now: Callable[[], datetime],
        found: Callable[[Certificate], None],
    ) -> None:
        super().__init__(files, listen_host, check, state_of(files), clock, now)
        self._found = found

    @property
    def problem(self) -> CertificateProblem:
        """Why nothing can be served; the first reason of several."""
        return self._check.problems[0]

    def start(self) -> None:
        """Log that there is no HTTPS, and begin to look at the files every `POLL_SECONDS`."""
        self._remind()
        super().start()

    def use(self, files: TlsFiles) -> None:
        """Wait for these files from now on; they are examined at the next look."""
        self._files = files
        self._examined = (None, None)
        self._looked = state_of(files)

    def _examine(self) -> None:
        files = self._files
        self._check = check_files(files.cert, files.key, self._listen_host, self._now())
        # Another reason, or another pair: said at once.
        self._reminded = float("-inf")
        if self._check.certificate is not None:
            self.stop()
            self._found(self._check.certificate)

    def _remind(self) -> None:
        if self._check.problems and self._is_time_to_remind(REMIND_SECONDS):
            for each in self._check.problems:
                log.critical(
                    "HTTPS is not served; everything else is: {problem}", problem=str(each)
                )


@frozen(kw_only=True)
class CertificateReload:
    """The outcome of a reload, for the audit log: the certificate in use, or the problems."""

    certificate: Certificate | None = None
    problems: tuple[str, ...] = ()


@frozen(kw_only=True)
class PreparedReload:
    """The result of examining files for a reload, and their state at that time."""

    files: TlsFiles
    state: PairState
    check: CertificateCheck


class CertificateWatch(_PairPoll):
    """
    Keeps the certificate of a `ReloadableTlsContext` up to date with the files.

    A pair of files that cannot be served is logged once, and the certificate in use stays.
    `on_reload` is called once for each reload and each refusal.
    """

    _failure = "Looking after the certificate failed; the one in use stays"

    def __init__(
        self,
        tls: ReloadableTlsContext,
        files: TlsFiles,
        listen_host: str | None,
        *,
        clock: IReactorTime,
        now: Callable[[], datetime],
        on_reload: Callable[[CertificateReload], None] = lambda _: None,
    ) -> None:
        super().__init__(files, listen_host, CertificateCheck(), tls.certificate.state, clock, now)
        self._tls = tls
        self._on_reload = on_reload

    def prepare(self, files: TlsFiles) -> PreparedReload:
        """Examine `files` for a reload, and change nothing; pass the result to `commit`."""
        # The state is taken before the files are read, so the next look sees a change in between.
        state = state_of(files)
        check = check_files(files.cert, files.key, self._listen_host, self._now())
        return PreparedReload(files=files, state=state, check=check)

    def commit(self, prepared: PreparedReload) -> None:
        """
        Watch the prepared files from now on, and serve their certificate.

        If they have a problem, the certificate in use stays, and the files are examined again when
        they change.
        """
        self._files = prepared.files
        self._examined = prepared.state
        self._take(prepared.check)

    # -- inner

    def _examine(self) -> None:
        self.commit(self.prepare(self._files))

    def _remind(self) -> None:
        certificate, now = self._tls.certificate, self._now()
        expires = certificate.expires
        if now < expires - REMIND_BEFORE or not self._is_time_to_remind(REMIND_EVERY_SECONDS):
            return
        verb = "expires" if now <= expires else "has expired"
        log.warn(
            "The certificate in use, for {names}, {verb} at {expires}: renew it",
            names=", ".join(certificate.names),
            verb=verb,
            expires=expires.isoformat(),
        )

    def _take(self, check: CertificateCheck) -> None:
        new, self._check = check.certificate, check
        if new is None:
            problems = tuple(str(problem) for problem in check.problems)
            for problem in problems:
                log.error("The certificate in use stays: {problem}", problem=problem)
            self._on_reload(CertificateReload(problems=problems))
            return
        renewed = new.chain != self._tls.certificate.chain
        self._tls.use(new)
        if not renewed:
            return
        for warning in check.warnings:
            log.warn("{warning}", warning=warning)
        log.info(
            "New connections get the certificate {fingerprint}, valid until {expires}",
            fingerprint=new.fingerprint,
            expires=new.expires.isoformat(),
        )
        self._on_reload(CertificateReload(certificate=new))
