# SPDX-License-Identifier: Apache-2.0
"""The interfaces of the HTTP layer: endpoints (`Resource`), the gate, observers of requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import define, frozen
from twisted.internet.defer import Deferred

from edge_twisted.api.request import Request
from edge_twisted.api.response import AnyResponse, Response
from edge_twisted.api.route import Route
from edge_twisted.security.callers import Caller


class Resource(Protocol):
    """One endpoint that is switched on."""

    @property
    def route(self) -> Route:
        """What it declares."""

    @property
    def max_body_bytes(self) -> int:
        """The largest request body that it takes; a larger one is 413 before it is called."""

    async def respond(self, request: Request) -> AnyResponse:
        """
        Answer one request of an allowed method; HEAD is asked as GET.

        Raise an error whose code is in `errors.ERRORS` for anything but success.  Awaits nothing
        but Deferreds and coroutines over them; one that never has to wait costs no scheduling.
        """


@frozen
class Page:
    """A `Resource` that takes no body: a route, and the function that answers its requests."""

    route: Route
    answer: Callable[[Request], AnyResponse]
    max_body_bytes: int = 0

    async def respond(self, request: Request) -> AnyResponse:
        """See `Resource.respond`."""
        return self.answer(request)


class Gate(Protocol):
    """Who may call: authentication, permission by endpoint, throttling, in whatever order."""

    def admit(self, request: Request) -> Caller | Deferred[Caller | None] | None:
        """
        Let a request in before its body is read; `request.route` is known.

        Answer who calls (None: nobody in particular), at once where nothing has to be waited for.

        :raises HttpError: (or fails with it) the request is answered with it instead.
        """

    def is_stranger(self, request: Request) -> bool:
        """Return whether keys are asked for and nobody's key came with a request."""

    def header_lines(self, request: Request) -> bytes:
        """
        Return the lines of header fields for the response of any request: RateLimit, and CORS's.
        """

    def preflight(self, request: Request, methods: Sequence[str]) -> Response | None:
        """
        Answer a browser's question whether a page may send a request; None: it asks none.

        :raises HttpError: it may not.
        """


# Not frozen, which would double what it costs to make one per request.
@define(eq=False)
class FinishedRequest:
    """A request that has been answered, or was refused or given up."""

    request: Request
    #: The endpoint's name; ``unknown`` for all paths that nobody serves.
    endpoint: str
    #: As sent; 499 when the client went away before a response began.
    status: int
    #: The error's code, None for success.
    error: str | None
    duration_seconds: float
    #: Of the bodies.
    bytes_in: int
    bytes_out: int


class Observer(Protocol):
    """What is told of each finished request: audit, metrics, the debug log."""

    def request_finished(self, finished: FinishedRequest) -> None:
        """Note it; must not block, and an exception is logged and changes nothing."""
