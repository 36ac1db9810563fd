# SPDX-License-Identifier: Apache-2.0
"""
Which pages of other origins may call the API: the CORS protocol (fetch.spec.whatwg.org, 3.2).

Origins match exactly, letter by letter, as browsers send them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edge_twisted.api.errors import Field, Forbidden
from edge_twisted.api.request import Request
from edge_twisted.api.response import Response
from edge_twisted.config.model import Cors

_ORIGIN = b"origin"
_WANTED_METHOD = b"access-control-request-method"
#: What a page may send beside what every page may.
REQUEST_FIELDS: Final = (
    b"Authorization, Content-Type, X-DITTO-TXN-ID, Range, If-Range, If-None-Match"
)
#: What a page gets to see of a response.
EXPOSED_FIELDS: Final = (
    b"X-Request-Id, Retry-After, ETag, Content-Range, Accept-Ranges, WWW-Authenticate, "
    b"RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
)
#: How long a browser may go without asking again; Chromium takes no longer than two hours.
MAX_AGE_SECONDS: Final = 600
_VARY: Final = (b"Vary", b"Origin")


class CrossOrigin:
    """What one configuration says of pages of other origins."""

    def __init__(self, cors: Cors) -> None:
        self._is_open = "*" in cors.allowed_origins
        self._allowed = frozenset(
            origin.encode("utf-8") for origin in cors.allowed_origins if origin != "*"
        )

    def allows(self, origin: bytes) -> bool:
        """Whether pages of an origin may call."""
        return self._is_open or origin in self._allowed

    def headers(self, request: Request) -> tuple[Field, ...]:
        """Return the fields of a response, errors too, by which a browser lets its page see it."""
        origin = request.headers.get_bytes(_ORIGIN)
        if origin is None or not self.allows(origin):
            return (_VARY,)
        return (
            _VARY,
            # Never with credentials, for keys are sent by hand: `*` then names nobody.
            (b"Access-Control-Allow-Origin", b"*" if self._is_open else origin),
            (b"Access-Control-Expose-Headers", EXPOSED_FIELDS),
        )

    def preflight(self, request: Request, methods: Iterable[str]) -> Response | None:
        """
        Answer what a browser asks before it sends a request; None: it is no such question.

        :raises Forbidden: pages of its origin may not call.
        """
        origin = request.headers.get_bytes(_ORIGIN)
        if request.method != "OPTIONS" or origin is None:
            return None
        if request.headers.get_bytes(_WANTED_METHOD) is None:
            return None
        if not self.allows(origin):
            raise Forbidden(
                "pages of this origin may not call; http_server.cors.allowed_origins does not "
                "name it"
            )
        return Response(
            status=204,
            content_type=None,
            headers=(
                (b"Access-Control-Allow-Methods", ", ".join(methods).encode("ascii")),
                (b"Access-Control-Allow-Headers", REQUEST_FIELDS),
                (b"Access-Control-Max-Age", b"%d" % MAX_AGE_SECONDS),
            ),
        )
