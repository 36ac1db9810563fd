# SPDX-License-Identifier: Apache-2.0
"""
The hybrid clocks of the two servers of a link, as far as they are ahead of the wall clocks.

A server whose wall clock was wrong, and is right again, holds writes with timestamps of times that
are still to come, and goes on from there (`edge_twisted.documents.clock`).  So does every server
that got these writes.  Such a server *declares* its hybrid clock: in HELLO, or by CLOCK when the
clock runs ahead while the link is up.  The peer takes timestamps up to what was declared, if the
two wall clocks agree as the declaration comes.  A server whose wall clock is wrong now is never
ahead of it, so it declares nothing, and what it writes is refused.
"""

from __future__ import annotations

from typing import Final

from edge_twisted.documents.clock import (
    BEGINNING,
    MAX_DECLARED_AHEAD_MS,
    Timestamp,
    ahead_ms,
    milliseconds,
    timestamp,
)
from edge_twisted.mesh.session.handshake import LocalServer, check_wall_clock
from edge_twisted.mesh.wire import messages as m

#: Milliseconds by which the hybrid clock may exceed what was declared, or the wall clock, before
#: this is said: clocks differ by less all the time, and peers take far more undeclared.
MARGIN_MS: Final = 60_000
#: Messages beside BATCH that carry documents.
CARRIERS: Final = (m.Supply, m.Offer, m.RepairItems)


class LinkClocks:
    """
    What the two servers of one link have declared.

    :ivar theirs: the hybrid clock that the peer declared; `BEGINNING` if it is not ahead.
    """

    def __init__(self, local: LocalServer) -> None:
        self._local = local
        self._margin_ms = MARGIN_MS
        #: Up to which timestamp nothing needs to be said.
        self._told = BEGINNING
        self.theirs = BEGINNING

    def declare(self) -> Timestamp | None:
        """
        Return this server's hybrid clock with some margin; None if it is not ahead.

        The margin grows from time to time, so that whatever pushes the hybrid clock, few messages
        say so.
        """
        now, hybrid = self._local.now_ms(), self._local.home.hybrid_time
        ahead = ahead_ms(hybrid, now)
        self._told = timestamp(milliseconds(hybrid) + self._margin_ms if ahead else now)
        if not ahead:
            return None
        self._margin_ms = min(2 * self._margin_ms, MAX_DECLARED_AHEAD_MS)
        return self._told

    def news(self) -> m.Clock | None:
        """Return the CLOCK message to send before documents; None: the peer needs none."""
        hybrid = self._local.home.hybrid_time
        if hybrid <= self._told:
            return None
        now = self._local.now_ms()
        if ahead_ms(hybrid, now) <= MARGIN_MS:
            return None
        declared = self.declare()
        return None if declared is None else m.Clock(timestamp(now), declared)

    def hear(self, wall: Timestamp, hybrid: Timestamp) -> None:
        """Take the wall clock and the hybrid clock that the peer just told.

        :raises Refused: the wall clocks are too far apart; end the link with its reason.
        """
        check_wall_clock(self._local, wall)
        self.theirs = max(self.theirs, hybrid)
