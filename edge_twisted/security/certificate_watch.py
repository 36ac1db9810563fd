# SPDX-License-Identifier: Apache-2.0
"""
Takes over a renewed certificate: when its files change, and when it is told to.

The files are looked at, not read, every `POLL_SECONDS`: polling sees a changed symbolic link,
another file system and a container's mount alike, none of which inotify does.  A change is taken
up when two looks in a row agree, so that a renewal has finished writing, and is in use within
twice that time.  What cannot be served is logged once and keeps the certificate in use.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from edge_twisted.config.model import TlsFiles
from edge_twisted.security.certificates import Certificate, CertificateCheck, check_files
from edge_twisted.security.pem_files import PairState, state_of
from edge_twisted.security.tls import ReloadableTlsContext

log = Logger()

#: Twice this is the longest that a change waits; the promise is 5 s.
POLL_SECONDS = 1.5
#: From when on the log reminds of a certificate's end, and how often.
REMIND_BEFORE = timedelta(days=7)
REMIND_EVERY_SECONDS = 86_400.0


@frozen(kw_only=True)
class CertificateReload:
    """What a reload came to, for the audit log: in use, or refused with the reasons."""

    certificate: Certificate | None = None
    problems: tuple[str, ...] = ()


@frozen(kw_only=True)
class PreparedReload:
    """What a reload would take over, and the state of the files when it was examined."""

    files: TlsFiles
    state: PairState
    check: CertificateCheck


class CertificateWatch:
    """
    Keeps a `ReloadableTlsContext` at what is in the files.

    `now` tells the time in UTC; `on_reload` hears of each reload and each refusal, once.
    """

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
        self._tls = tls
        self._files = files
        self._listen_host = listen_host
        self._clock = clock
        self._now = now
        self._on_reload = on_reload
        #: The state of the files that was examined last, whatever came of it.
        self._examined: PairState = tls.certificate.state
        self._looked: PairState = self._examined
        #: What was found then, if it was refused.
        self._refused = CertificateCheck()
        self._next: IDelayedCall | None = None
        self._reminded = float("-inf")

    def start(self) -> None:
        """Begin to watch."""
        self._next = self._clock.callLater(POLL_SECONDS, self._poll)

    def stop(self) -> None:
        """End watching; `start` may follow."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def prepare(self, files: TlsFiles) -> PreparedReload:
        """Examine `files` for a reload, and change nothing; `commit` takes what this returns."""
        # Looked at before it is read: a change in between is then found by the next look.
        state = state_of(files)
        check = check_files(files.cert, files.key, self._listen_host, self._now())
        return PreparedReload(files=files, state=state, check=check)

    def commit(self, prepared: PreparedReload) -> None:
        """
        Watch these files from now on, and serve what was found in them.

        When that was a problem, the certificate in use stays, and the files are taken up as soon
        as they change.
        """
        self._files = prepared.files
        self._examined = prepared.state
        self._take(prepared.check)

    # -- inner

    def _poll(self) -> None:
        self._next = self._clock.callLater(POLL_SECONDS, self._poll)
        try:
            self._look()
            self._remind()
        except Exception:
            log.failure("Looking after the certificate failed; the one in use stays")

    def _look(self) -> None:
        state = state_of(self._files)
        settled, self._looked = state == self._looked, state
        if settled and (state != self._examined or self._refused.may_be_served(self._now())):
            # Before it is tried: what fails is tried, and said, once for each change.
            self._examined = state
            self.commit(self.prepare(self._files))

    def _remind(self) -> None:
        certificate, now = self._tls.certificate, self._now()
        expires, seconds = certificate.expires, self._clock.seconds()
        if now < expires - REMIND_BEFORE or seconds < self._reminded + REMIND_EVERY_SECONDS:
            return
        self._reminded = seconds
        verb = "expires" if now <= expires else "has expired"
        log.warn(
            "The certificate in use, for {names}, {verb} at {expires}: renew it",
            names=", ".join(certificate.names),
            verb=verb,
            expires=expires.isoformat(),
        )

    def _take(self, check: CertificateCheck) -> None:
        new, self._refused = check.certificate, check
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
