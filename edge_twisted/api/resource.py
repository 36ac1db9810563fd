# SPDX-License-Identifier: Apache-2.0
"""The interfaces of the HTTP layer: endpoints (`Resource`) and observers of requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import define, frozen

from edge_twisted.api.request import Request
from edge_twisted.api.response import AnyResponse
from edge_twisted.api.route import Route


class Resource(Protocol):
    """One endpoint that is switched on."""

    @property
    def route(self) -> Route:
        """The declaration of the endpoint."""

    @property
    def max_body_bytes(self) -> int:
        """Most bytes of a request body; a larger one is answered with 413 before `respond`."""

    async def respond(self, request: Request) -> AnyResponse:
        """
        Answer one request of an allowed method; a HEAD request is answered as GET.

        Return a response for success, and raise an error with a code of `errors.ERRORS` for
        everything else.  Await nothing but Deferreds and coroutines over them.
        """


@frozen
class Page:
    """A `Resource` that takes no body: a route, and the function that answers its requests."""

    route: Route
    answer: Callable[[Request], AnyResponse]
    max_body_bytes: int = 0

    async def respond(self, request: Request) -> AnyResponse:
        """Return what `answer` returns for the request."""
        return self.answer(request)


# Not frozen, which would double what it costs to make one per request.
@define(eq=False)
class FinishedRequest:
    """A request that was answered or refused, or whose client went away."""

    request: Request
    #: The endpoint's name; ``unknown`` for every path without an endpoint.
    endpoint: str
    #: The status as sent; 499 if the client went away before the response began.
    status: int
    #: The error's code; None for success.
    error: str | None
    duration_seconds: float
    #: Lengths of the request's and of the response's body, as far as they were transferred.
    bytes_in: int
    bytes_out: int


class Observer(Protocol):
    """Receives each finished request: audit log, metrics, debug log."""

    def request_finished(self, finished: FinishedRequest) -> None:
        """Note a finished request, without blocking.

        It is called on the reactor thread.  An exception is logged and has no other effect.
        """
