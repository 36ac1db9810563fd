# SPDX-License-Identifier: Apache-2.0
"""``GET /health``: the server is up and answers, and whether anything is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import orjson
from attrs import asdict, frozen

from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.request import Request
from edge_twisted.api.response import AnyResponse, Response
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
    """
    Something that is wrong while the server serves.

    Anyone may read it: a stable code, and a sentence without paths or names.
    """

    code: str
    description: str


class Health:
    """
    Answers 200 to whoever asks; a probe must never need a key or be throttled.

    A server that is degraded serves all that it can, and one that is taken out of service serves
    nothing: so that is told beside the status code, not by it.
    """

    route = ROUTE
    max_body_bytes = 0

    def __init__(self, troubles: Sequence[Callable[[], Iterable[Trouble]]] = ()) -> None:
        self._troubles = troubles

    async def respond(self, request: Request) -> AnyResponse:
        """Say that all is well, or what is not."""
        found = [asdict(trouble) for told in self._troubles for trouble in told()]
        body = orjson.dumps({"status": "degraded", "detail": found}) if found else _OK
        return Response(body=body, headers=((b"Cache-Control", b"no-store"),))
