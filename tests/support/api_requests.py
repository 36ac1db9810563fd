# SPDX-License-Identifier: Apache-2.0
"""Requests as endpoints see them, without a connection."""

from __future__ import annotations

from collections.abc import Mapping

from edge_twisted.api.body import RequestBody
from edge_twisted.api.request import Headers, Request
from edge_twisted.api.request_ids import RequestId
from edge_twisted.api.resource import Resource
from edge_twisted.api.response import AnyResponse, Response, StreamingResponse
from edge_twisted.security.callers import ANYBODY, Caller


class Unhurried:
    """A source that has delivered everything already."""

    def body_wanted(self) -> None:
        """Nothing waits."""

    def body_taken(self) -> None:
        """There was room."""


def api_request(
    method: str = "GET",
    path: str = "/",
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    pieces: int = 1,
    identity: Caller | None = ANYBODY,
    is_secure: bool = False,
) -> Request:
    """Return an admitted request whose body arrived in so many pieces."""
    source = RequestBody(len(body), Unhurried())
    step = max(1, -(-len(body) // pieces))
    for start in range(0, len(body), step):
        source.feed(body[start : start + step])
    source.finish()
    fields = {
        name.lower().encode("latin-1"): value.encode("latin-1")
        for name, value in (headers or {}).items()
    }
    return Request(
        id=RequestId("r-1"),
        method=method,
        path=path,
        query="",
        headers=Headers(fields),
        client="192.0.2.1",
        is_secure=is_secure,
        body=source,
        identity=identity,
    )


async def answered(resource: Resource, request: Request) -> Response:
    """Return what a resource answers, a streamed body gathered."""
    request.route = resource.route
    return await gathered(await resource.respond(request))


async def gathered(response: AnyResponse) -> Response:
    """Return a response whole."""
    if isinstance(response, StreamingResponse):
        body = b"".join([piece async for piece in response.pieces])
        if response.length is not None and len(body) != response.length:
            raise AssertionError(f"{len(body)} bytes came, {response.length} were announced")
        return Response(
            status=response.status,
            headers=response.headers,
            content_type=response.content_type,
            body=body,
        )
    return response
