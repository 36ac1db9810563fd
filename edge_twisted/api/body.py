# SPDX-License-Identifier: Apache-2.0
"""
A request's body on its way from the connection to the endpoint.

The connection feeds the body, the endpoint takes it.  The bytes in between are bounded: above
`HIGH_WATER_BYTES` the connection stops reading from its client until the endpoint catches up.  Only
`RequestBody.read` gathers more, up to its limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from twisted.internet.defer import Deferred

from edge_twisted.api.errors import BodyTooLarge, HttpError

#: One read of Twisted's TCP transport.
HIGH_WATER_BYTES = 65536


class BodySource(Protocol):
    """The connection as a request's body sees it."""

    def body_wanted(self) -> None:
        """Note that the endpoint waits for the body; the client may be waiting for 100 Continue."""

    def body_taken(self) -> None:
        """Note that the body has room again: the connection can go on reading."""


class RequestBody:
    """
    The body of one request, which its endpoint takes once: whole (`read`) or in pieces.

    More bytes than `limit` fail the body.

    :param announced: the Content-Length; None for a chunked body.
    :param whole: all bytes of the body, if they arrived together with the head.
    """

    __slots__ = (
        "_gathers",
        "_pieces",
        "_source",
        "_taken",
        "_waiter",
        "announced",
        "buffered",
        "error",
        "is_complete",
        "is_exhausted",
        "limit",
        "received",
    )

    def __init__(
        self, announced: int | None, source: BodySource, whole: bytes | None = None
    ) -> None:
        self.announced = announced
        #: Most bytes that are accepted; None until the pipeline knows the route.
        self.limit: int | None = None
        #: Bytes that have arrived, and those of them that the endpoint has not taken.
        self.received = self.buffered = len(whole) if whole else 0
        self.is_complete = announced == 0 or whole is not None
        #: Whether the endpoint has taken everything up to the end.
        self.is_exhausted = False
        self.error: HttpError | None = None
        self._source = source
        self._pieces: deque[bytes] = deque((whole,)) if whole else deque()
        self._waiter: Deferred[None] | None = None
        self._gathers = False
        self._taken = False

    # -- the connection's side

    @property
    def is_full(self) -> bool:
        """Whether the connection should stop reading until `BodySource.body_taken`."""
        return self.buffered > HIGH_WATER_BYTES and not self._gathers

    def feed(self, data: bytes) -> None:
        """Add bytes of the body that arrived.

        Past the limit, the body fails with `BodyTooLarge`.
        """
        self.received += len(data)
        if self.error is not None:
            return
        if self.limit is not None and self.received > self.limit:
            self.fail(BodyTooLarge(self.limit))
            return
        self._pieces.append(data)
        self.buffered += len(data)
        if not self._gathers:
            self._wake()

    def finish(self) -> None:
        """Note that all of the body has arrived."""
        self.is_complete = True
        self._wake()

    def fail(self, error: HttpError) -> None:
        """Fail the body, whose rest will not come; whoever reads the body gets `error` raised."""
        self.error = error
        self._wake()

    @property
    def is_taken(self) -> bool:
        """Whether the endpoint has asked for the body."""
        return self._taken

    @property
    def is_awaited(self) -> bool:
        """Whether the endpoint waits for more bytes."""
        return self._waiter is not None

    # -- the pipeline's side

    def bound(self, limit: int) -> None:
        """Accept no more than `limit` bytes in all, those that arrived before included.

        :raises BodyTooLarge: more are announced, or here already; let the error pass.
        """
        self.limit = limit
        if max(self.received, self.announced or 0) > limit:
            error = BodyTooLarge(limit)
            self.fail(error)
            raise error

    # -- the endpoint's side

    async def read(self, limit: int | None = None) -> bytes:
        """Return the whole body; see `Request.body`."""
        self._take()
        if limit is not None and (self.limit is None or limit < self.limit):
            self.bound(limit)
        if not self.is_complete and self.error is None:
            self._gathers = True
            self._source.body_taken()
            # The call may have fed the rest already.
            if not self.is_complete and self.error is None:
                await self._more()
        if self.error is not None:
            raise self.error
        self.buffered = 0
        self.is_exhausted = True
        if len(self._pieces) == 1:
            return self._pieces.popleft()
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; see `Request.body_pieces`."""
        self._take()
        while True:
            if self._pieces:
                piece = self._pieces.popleft()
                was_full = self.is_full
                self.buffered -= len(piece)
                if was_full and not self.is_full:
                    self._source.body_taken()
                yield piece
            elif self.error is not None:
                raise self.error
            elif self.is_complete:
                self.is_exhausted = True
                return
            else:
                await self._more()

    def _take(self) -> None:
        if self._taken:
            raise RuntimeError("a request's body can be taken only once")
        self._taken = True

    def _more(self) -> Deferred[None]:
        """Wait for the next piece; when gathering, for the end."""
        waiter = self._waiter = Deferred(self._forget)
        self._source.body_wanted()
        return waiter

    def _forget(self, _waiter: Deferred[None]) -> None:
        self._waiter = None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)
