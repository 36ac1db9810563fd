# SPDX-License-Identifier: Apache-2.0
"""``GET /logs``: the server's logs as one archive, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from edge_twisted.api.gate import caller_of
from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.rendering import one_by_one
from edge_twisted.api.request import Request
from edge_twisted.api.response import AnyResponse, StreamingResponse
from edge_twisted.api.route import Route

ROUTE = Route(
    endpoint="logs",
    path="/logs",
    methods=("GET",),
    setting="http_server.http_api.logs",
    streams=True,
)

OPERATION = Operation(
    route=ROUTE,
    id="logs",
    summary="The logs as a gzip tar.",
    description="`edge-server/`, `ditto_sdk/`, and `audit/` for keys with `full`; without secrets.",
    responses={
        200: {"description": "The archive.", "content": content("Binary", "application/gzip")}
    },
)


class LogArchive(Protocol):
    """Who has the logs."""

    def archive(self, *, with_audit: bool) -> Iterator[bytes]:
        """Return them as a gzip tar, a few milliseconds of work a piece."""


class LogsDownload:
    """Sends the archive while it is made, as fast as the client takes it."""

    route = ROUTE
    max_body_bytes = 0

    def __init__(self, logs: LogArchive) -> None:
        self._logs = logs

    async def respond(self, request: Request) -> AnyResponse:
        """Begin the archive."""
        pieces = self._logs.archive(with_audit=caller_of(request).permits.is_full)
        return StreamingResponse(
            pieces=one_by_one(pieces),
            content_type=b"application/gzip",
            headers=(
                (b"Content-Disposition", b'attachment; filename="edge-server-logs.tar.gz"'),
                (b"Cache-Control", b"no-store"),
            ),
        )
