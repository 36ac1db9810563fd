# SPDX-License-Identifier: Apache-2.0
"""``GET /health``: whether the server answers, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import orjson
from attrs import asdict, frozen

from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.request import Request
from edge_twisted.api.resource import Page
from edge_twisted.api.response import Response
from edge_twisted.api.route import Route

ROUTE = Route(
    endpoint="health",
    path="/health",
    methods=("GET",),
    setting="http_server.enable_healthcheck",
    needs_key=False,
    is_throttled=False,
)

OPERATION = Operation(
    route=ROUTE,
    id="health",
    summary="Whether the server answers, and what is wrong with it.",
    responses={200: {"description": "It does, well or not.", "content": content("Health")}},
)

_OK = b'{"status":"ok"}'


@frozen
class Trouble:
    """A fault that does not stop the server; anyone may read it, so it names no path or data."""

    code: str
    description: str


def health_page(troubles: Sequence[Callable[[], Iterable[Trouble]]] = ()) -> Page:
    """Return the endpoint ``/health``; it needs no key and is never throttled.

    `troubles` are asked for faults at each request.  The status is 200 even if something is wrong:
    a degraded server serves all that it can, and a balancer that took it out of service would make
    it serve nothing.  The body tells.
    """

    def answer(_request: Request) -> Response:
        found = [asdict(trouble) for told in troubles for trouble in told()]
        body = orjson.dumps({"status": "degraded", "detail": found}) if found else _OK
        return Response(body=body, headers=((b"Cache-Control", b"no-store"),))

    return Page(ROUTE, answer)
