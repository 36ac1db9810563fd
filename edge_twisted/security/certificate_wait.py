# SPDX-License-Identifier: Apache-2.0
"""
Waits for a certificate that can be served, at a server whose own has expired or is not valid yet.

That is a matter of dates, and a machine's clock may be wrong for a while after it was switched on,
so the rest of the server serves meanwhile.  Files are looked at as `certificate_watch` does, and
the dates are compared with the clock at each look: whatever becomes right, HTTPS begins.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from edge_twisted.config.model import TlsFiles
from edge_twisted.security.certificate_errors import CertificateProblem
from edge_twisted.security.certificate_watch import POLL_SECONDS
from edge_twisted.security.certificates import Certificate, CertificateCheck, check_files
from edge_twisted.security.pem_files import PairState, state_of

log = Logger()

#: How often the log says again that HTTPS is not served.
REMIND_SECONDS = 3600.0


class CertificateWait:
    """
    Calls `found` once, with the certificate, when the pair in the files can be served.

    `check` is what was found in the files as they are; `now` tells the time in UTC.
    """

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
        self._files = files
        self._listen_host = listen_host
        self._check = check
        self._clock = clock
        self._now = now
        self._found = found
        self._examined = self._looked = state_of(files)
        self._next: IDelayedCall | None = None
        self._told = float("-inf")

    @property
    def problem(self) -> CertificateProblem:
        """Why nothing can be served; the first reason of several."""
        return self._check.problems[0]

    def start(self) -> None:
        """Say that there is no HTTPS, and begin to look."""
        self._remind()
        self._next = self._clock.callLater(POLL_SECONDS, self._poll)

    def stop(self) -> None:
        """End looking; harmless when repeated."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def use(self, files: TlsFiles) -> None:
        """Wait for these files from now on; they are examined at the next look."""
        self._files = files
        self._examined = (None, None)
        self._looked = state_of(files)

    # -- inner

    def _poll(self) -> None:
        self._next = self._clock.callLater(POLL_SECONDS, self._poll)
        try:
            certificate = self._look()
        except Exception:
            log.failure("Looking for a certificate failed; HTTPS is not served")
            return
        if certificate is None:
            self._remind()
            return
        self.stop()
        self._found(certificate)

    def _look(self) -> Certificate | None:
        state = state_of(self._files)
        settled, self._looked = state == self._looked, state
        if settled and (state != self._examined or self._check.may_be_served(self._now())):
            return self._examine(state)
        return None

    def _examine(self, state: PairState) -> Certificate | None:
        self._examined = state
        check = check_files(self._files.cert, self._files.key, self._listen_host, self._now())
        if check.certificate is None:
            # Another reason, or another pair: said at once.
            self._check, self._told = check, float("-inf")
        return check.certificate

    def _remind(self) -> None:
        now = self._clock.seconds()
        if now < self._told + REMIND_SECONDS:
            return
        self._told = now
        for problem in self._check.problems:
            log.critical("HTTPS is not served; everything else is: {problem}", problem=str(problem))
