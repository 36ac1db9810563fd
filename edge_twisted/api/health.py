# SPDX-License-Identifier: Apache-2.0
"""``GET /health``: the server is up and answers."""

from __future__ import annotations

from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.request import Request
from edge_twisted.api.resource import Route
from edge_twisted.api.response import AnyResponse, Response

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
    summary="Whether the server answers.",
    responses={200: {"description": "It does.", "content": content("Health")}},
)


class Health:
    """Answers 200 to whoever asks; a probe must never need a key or be throttled."""

    route = ROUTE
    max_body_bytes = 0

    async def respond(self, request: Request) -> AnyResponse:
        """Say that all is well."""
        return Response(body=b'{"status":"ok"}', headers=((b"Cache-Control", b"no-store"),))
