# SPDX-License-Identifier: Apache-2.0
"""What an endpoint answers: a response that is whole, or one that is produced piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Self

import orjson
from attrs import define

from edge_twisted.api.errors import Field

JSON_TYPE = b"application/json"


# Not frozen: an object of each is made per request, and frozen doubles the cost of making one.
@define(kw_only=True)
class Response:
    """
    A whole response.  The site adds Content-Length, Date, X-Request-Id and Connection.

    `headers` are the endpoint's own beside `content_type`; for HEAD the site drops the body and
    keeps its length.  A body goes with any status but 204 and 304.
    """

    status: int = 200
    headers: tuple[Field, ...] = ()
    content_type: bytes | None = JSON_TYPE
    body: bytes = b""

    @classmethod
    def json(cls, value: object, status: int = 200, headers: tuple[Field, ...] = ()) -> Self:
        """Answer with a JSON value: anything that orjson encodes."""
        return cls(status=status, headers=headers, body=orjson.dumps(value))


@define(kw_only=True)
class StreamingResponse:
    """
    A response whose body is produced while it is sent, as fast as the client takes it.

    `pieces` is iterated only while the client has room; it is closed (`aclose`) when the client
    goes away, for HEAD, and after an error, so cleaning up belongs in its ``finally``.  `length`
    is the number of bytes that it will yield; None sends chunks.  If it raises, the connection is
    cut, which the client sees as a truncated body.
    """

    status: int = 200
    headers: tuple[Field, ...] = ()
    content_type: bytes | None = b"application/octet-stream"
    pieces: AsyncIterator[bytes]
    length: int | None = None


AnyResponse = Response | StreamingResponse
