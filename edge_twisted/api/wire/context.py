# SPDX-License-Identifier: Apache-2.0
"""What all connections of a site share: pipeline, limits, clocks, draining."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from twisted.internet.interfaces import IAddress, IReactorTime

from edge_twisted.api.pipeline import Pipeline
from edge_twisted.api.request_ids import RequestId
from edge_twisted.api.wire.answer import DateField
from edge_twisted.config.model import HttpServer
from edge_twisted.security.time_share import TimeShare

#: Most responses, and most time, that one turn of the reactor spends on callers without a known key
#: (where keys are required).  Other callers wait no longer than that, however many strangers there
#: are.
STRANGERS_PER_TURN: Final = 8
STRANGERS_SECONDS: Final = 0.0005


class ConnectionContext:
    """
    The surroundings of a connection, the same for all connections of a site.

    `pipeline` and `limits` may be replaced at any time; requests under way keep the pipeline that
    they began with.

    :param clock: schedules delayed calls.
    :param now: a monotonic clock in seconds, for deadlines.
    :param date: the wall clock in seconds since 1970, for the Date field.
    :param peer_of: returns the text of a peer's address.
    :param client_of: returns the client's address, from the peer's address and the header fields.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        limits: HttpServer,
        clock: IReactorTime,
        *,
        now: Callable[[], float],
        date: Callable[[], float],
        new_request_id: Callable[[], RequestId],
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
        #: Whether the server is stopping: current requests are finished, new ones refused.
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
        # RFC 6797, 7.2: not without TLS, where anyone on the way could have added the field.
        if seconds and is_secure:
            return b"%bStrict-Transport-Security: max-age=%d\r\n" % (date, seconds)
        return date
