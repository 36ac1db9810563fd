# SPDX-License-Identifier: Apache-2.0
"""
What happens to every request, whatever carries it: find the endpoint, let the caller in, answer.

The one place where an exception becomes a response, and where those who observe are told.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from edge_twisted.api.errors import Field, HttpError
from edge_twisted.api.failures import code_of, response_to
from edge_twisted.api.request import Request
from edge_twisted.api.resource import Finished, Gate, Observer, Resource
from edge_twisted.api.response import AnyResponse

log = Logger()

#: Metrics name all paths that nobody serves so.
UNKNOWN = "unknown"
#: The client went away before there was a response; nginx's number for it.
CLIENT_GONE = 499


class RequestTimeout(HttpError):
    """The answer took longer than the server works on one."""

    code = "statement_timeout"


class Endpoints(Protocol):
    """The endpoints of the configuration in force; see `edge_twisted.api.live`."""

    @property
    def gate(self) -> Gate:
        """Who gets in."""

    def find(self, request: Request) -> Resource:
        """See `edge_twisted.api.routing.Router.find`."""


class Pipeline:
    """Takes requests to their endpoints and responses back."""

    def __init__(
        self,
        endpoints: Endpoints,
        observer: Observer,
        clock: IReactorTime,
        timeout_seconds: float | None,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._endpoints = endpoints
        self._observer = observer
        self._clock = clock

    async def answer(self, request: Request) -> tuple[AnyResponse, str | None]:
        """Return the response to a request, and the code of its error; raises nothing else."""
        try:
            response = await self._admitted(request)
        except CancelledError:
            raise
        except Exception as error:
            return response_to(error, request.id), code_of(error)
        return response, None

    def limit_for(self, request: Request) -> int:
        """
        Return how many bytes of body the request's endpoint takes.

        :raises EdgeError: there is no such endpoint.
        """
        return self._endpoints.find(request).max_body_bytes

    def headers(self, request: Request) -> tuple[Field, ...]:
        """Return what every response to an admitted request carries."""
        return tuple(self._endpoints.gate.headers(request)) if request.route is not None else ()

    def finished(
        self,
        request: Request,
        status: int,
        error: str | None,
        started: float,
        bytes_out: int,
    ) -> None:
        """Tell those who observe."""
        try:
            self._observer.request_finished(
                Finished(
                    request=request,
                    endpoint=request.route.endpoint if request.route else UNKNOWN,
                    status=status,
                    error=error,
                    duration_seconds=monotonic() - started,
                    bytes_in=request.content_length or 0,
                    bytes_out=bytes_out,
                )
            )
        except Exception:
            log.failure("Request {request_id} was not noted", request_id=request.id)

    async def _admitted(self, request: Request) -> AnyResponse:
        resource = self._endpoints.find(request)
        admitted = self._endpoints.gate.admit(request)
        if isinstance(admitted, Deferred):
            await admitted
        work = Deferred.fromCoroutine(_respond(resource.respond, request))
        if self.timeout_seconds is None or resource.route.streams or work.called:
            return await work
        late = self._clock.callLater(self.timeout_seconds, work.cancel)
        try:
            return await work
        except CancelledError:
            if late.active():
                raise
            raise RequestTimeout(
                f"no answer within {self.timeout_seconds:g} s; the statement was stopped"
            ) from None
        finally:
            if late.active():
                late.cancel()


async def _respond(respond: Callable[[Request], Any], request: Request) -> AnyResponse:
    response: AnyResponse = await respond(request)
    return response
