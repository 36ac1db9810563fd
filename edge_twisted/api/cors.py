# SPDX-License-Identifier: Apache-2.0
"""
The CORS protocol: which web pages of other origins may call the API.

The protocol is fetch.spec.whatwg.org, 3.2.  An origin of the configuration matches the browser's
Origin field character by character.
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
#: Request fields that a page may send beside those that CORS always permits.
REQUEST_FIELDS: Final = (
    b"Authorization, Content-Type, X-DITTO-TXN-ID, Range, If-Range, If-None-Match"
)
#: Response fields that a page may read beside those that CORS always exposes.
EXPOSED_FIELDS: Final = (
    b"X-Request-Id, Retry-After, ETag, Content-Range, Accept-Ranges, WWW-Authenticate, "
    b"RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
)
#: How long a browser may reuse the answer to a preflight; Chromium's limit is two hours.
MAX_AGE_SECONDS: Final = 600
_VARY: Final = (b"Vary", b"Origin")


class CrossOrigin:
    """The CORS rules of one configuration."""

    def __init__(self, cors: Cors) -> None:
        self._is_open = "*" in cors.allowed_origins
        self._allowed = frozenset(
            origin.encode("utf-8") for origin in cors.allowed_origins if origin != "*"
        )

    def allows(self, origin: bytes) -> bool:
        """Tell whether pages of `origin` may call the API."""
        return self._is_open or origin in self._allowed

    def headers(self, request: Request) -> tuple[Field, ...]:
        """Return the header fields that let a browser's page read any response, errors too."""
        origin = request.headers.get_bytes(_ORIGIN)
        if origin is None or not self.allows(origin):
            return (_VARY,)
        return (
            _VARY,
            # Credentials are not allowed: a page sends its key itself, so `*` gives nothing away.
            (b"Access-Control-Allow-Origin", b"*" if self._is_open else origin),
            (b"Access-Control-Expose-Headers", EXPOSED_FIELDS),
        )

    def preflight(self, request: Request, methods: Iterable[str]) -> Response | None:
        """Answer a preflight, a browser's question before a request; None: `request` is none.

        `methods` are those of the path that is asked about.

        :raises Forbidden: pages of this origin may not call the API: 403.
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
