# SPDX-License-Identifier: Apache-2.0
"""What all connections of a site share: pipeline, limits, clocks, and whether the server drains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from twisted.internet.interfaces import IAddress, IReactorTime

from edge_twisted.api.pipeline import Pipeline
from edge_twisted.api.wire.answer import DateField
from edge_twisted.config.model import HttpServer
from edge_twisted.security.time_share import TimeShare

#: Bounds on what one turn of the reactor answers to callers without a known key, where keys are
#: asked for: a number of answers (for each of which another request is read), and a time.  All
#: other callers wait at most that long, however many strangers there are.
STRANGERS_PER_TURN: Final = 8
STRANGERS_SECONDS: Final = 0.0005


class ConnectionContext:
    """
    The surroundings of a connection, the same for all connections of a site.

    `pipeline` and `limits` may be replaced at any time; requests under way keep the pipeline that
    they began with.

    :param clock: calls later.
    :param now: a clock in seconds that never goes back.
    :param date: the wall clock, in seconds since 1970.
    :param peer_of: the text of a peer's address.
    :param client_of: the address to count and log, from the peer's and the header fields.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        limits: HttpServer,
        clock: IReactorTime,
        *,
        now: Callable[[], float],
        date: Callable[[], float],
        new_request_id: Callable[[], str],
        peer_of: Callable[[IAddress], str],
        client_of: Callable[[str, Mapping[bytes, bytes]], str],
    ) -> None:
        self.pipeline = pipeline
        self.limits = limits
        self.clock = clock
        self.now = now
        self.new_request_id = new_request_id
        self.peer_of = peer_of
        self.client_of = client_of
        #: Whether the server is stopping: requests under way end, and no other begins.
        self.is_draining = False
        #: The share of the reactor's time for callers without a known key.
        self.strangers = TimeShare(
            clock, now, slice_seconds=STRANGERS_SECONDS, most=STRANGERS_PER_TURN
        )
        self._wall = date
        self._date = DateField()

    def header_lines(self, *, is_secure: bool) -> bytes:
        """Return the header lines of any response that is sent now: Date, and HSTS over TLS."""
        date = self._date.at(self._wall())
        seconds = self.limits.hsts_max_age_secs
        # RFC 6797, 7.2: never without TLS, for anybody could have put it there.
        if seconds and is_secure:
            return b"%bStrict-Transport-Security: max-age=%d\r\n" % (date, seconds)
        return date
