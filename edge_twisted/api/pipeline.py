# SPDX-License-Identifier: Apache-2.0
"""
The pipeline of every request: find the endpoint, pass the gate, respond.

Only the pipeline turns exceptions into responses (by `failures.response_to`), and only the pipeline
reports finished requests to the observers.
"""

from __future__ import annotations

from time import monotonic
from typing import Protocol

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from edge_twisted.api.errors import ErrorWithDetails, LengthRequired, MethodNotAllowed
from edge_twisted.api.failures import code_of, response_to
from edge_twisted.api.gate import ApiGate
from edge_twisted.api.request import Request
from edge_twisted.api.resource import FinishedRequest, Observer, Resource
from edge_twisted.api.response import AnyResponse
from edge_twisted.dql.execution.interruption import StatementTimeout
from edge_twisted.security.callers import Caller

log = Logger()

#: The endpoint's name in metrics for all paths without an endpoint.
UNKNOWN = "unknown"
#: The status in logs and metrics of a request whose client went away; nginx uses the same number.
CLIENT_GONE = 499


class Endpoints(Protocol):
    """The endpoints of the configuration in force; see `edge_twisted.api.reloadable`."""

    @property
    def gate(self) -> ApiGate:
        """The gate that every request passes before its endpoint."""

    def find(self, request: Request) -> Resource:
        """Return the resource of a request, or raise its 404 or 405; see `Router.find`."""


class Pipeline:
    """Answers requests with the endpoints and the gate of the configuration in force."""

    def __init__(self, endpoints: Endpoints, observer: Observer) -> None:
        self._endpoints = endpoints
        self._observer = observer

    async def answer(self, request: Request) -> tuple[AnyResponse, str | None]:
        """Return (response, error code) for a request; the code is None for success.

        It raises nothing but the `CancelledError` of a client that went away or of a time limit.
        """
        endpoints = self._endpoints
        try:
            resource = endpoints.find(request)
            admitted = endpoints.gate.admit(request)
            # Asked this way round because `isinstance(admitted, Deferred)` is slow to say no.
            if admitted is not None and not isinstance(admitted, Caller):
                await admitted
            # After the gate: a caller who is not admitted learns nothing about the endpoint.
            request.bound_body(resource.max_body_bytes)
            if request.method == "POST" and not _has_framing(request):
                raise LengthRequired("a body is needed: send Content-Length, or chunks")
            return await resource.respond(request), None
        except CancelledError:
            raise
        except MethodNotAllowed as error:
            # No endpoint has OPTIONS, so preflights arrive here.
            return self._preflight(request, error)
        except Exception as error:
            return _response_to(error, request), code_of(error)

    def too_late(self, request: Request, seconds: float) -> tuple[AnyResponse, str | None]:
        """Return (response, error code) for an endpoint that was stopped after `seconds`."""
        error = StatementTimeout(seconds)
        return _response_to(error, request), error.code

    def is_stranger(self, request: Request) -> bool:
        """Tell whether a response must wait for its turn, because the caller has no valid key."""
        return request.identity is None and self._endpoints.gate.is_stranger(request)

    def header_lines(self, request: Request) -> bytes:
        """Return the header lines that any response to the request needs, errors too."""
        return self._endpoints.gate.header_lines(request)

    def finished(
        self,
        request: Request,
        status: int,
        error: str | None,
        started: float,
        bytes_out: int,
    ) -> None:
        """Report a finished request to the observers.

        :param error: its code; None for success.
        :param started: when the request began, a time of `time.monotonic` in seconds.
        """
        try:
            self._observer.request_finished(
                FinishedRequest(
                    request,
                    request.route.endpoint if request.route else UNKNOWN,
                    status,
                    error,
                    monotonic() - started,
                    request.bytes_received,
                    bytes_out,
                )
            )
        except Exception:
            log.failure("Request {request_id} was not noted", request_id=request.id)

    def _preflight(
        self, request: Request, refused: MethodNotAllowed
    ) -> tuple[AnyResponse, str | None]:
        """Answer a method that no endpoint of the path takes: a CORS preflight, or an error."""
        try:
            answer = self._endpoints.gate.preflight(request, refused.allowed)
        except Exception as error:
            return _response_to(error, request), code_of(error)
        if answer is None:
            return _response_to(refused, request), code_of(refused)
        return answer, None


def _has_framing(request: Request) -> bool:
    """Tell whether a request announces a body, an empty one included."""
    headers = request.headers
    return (
        headers.get_bytes(b"content-length") is not None
        or headers.get_bytes(b"transfer-encoding") is not None
    )


def _response_to(error: Exception, request: Request) -> AnyResponse:
    if request.route is not None and not isinstance(error, ErrorWithDetails):
        error = ErrorWithDetails(error, beside=request.route.beside_errors)
    return response_to(error, request.id)
