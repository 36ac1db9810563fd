# SPDX-License-Identifier: Apache-2.0
"""``GET /logs``: the server's logs as one archive, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from edge_twisted.api.gate import caller_of
from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.rendering import one_by_one
from edge_twisted.api.request import Request
from edge_twisted.api.resource import Page
from edge_twisted.api.response import StreamingResponse
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
    """The logs of the server, as `edge_twisted.logs.service` keeps them."""

    def archive(self, *, with_audit: bool) -> Iterator[bytes]:
        """Yield the logs as a tar in gzip, piece by piece; each takes a few milliseconds to make.

        The audit logs are in it if `with_audit`.
        """


def logs_page(logs: LogArchive) -> Page:
    """Return the endpoint that sends the archive while it is made, as fast as the client reads."""

    def answer(request: Request) -> StreamingResponse:
        pieces = logs.archive(with_audit=caller_of(request).permits.is_full)
        return StreamingResponse(
            pieces=one_by_one(pieces),
            content_type=b"application/gzip",
            headers=(
                (b"Content-Disposition", b'attachment; filename="edge-server-logs.tar.gz"'),
                (b"Cache-Control", b"no-store"),
            ),
        )

    return Page(ROUTE, answer)
