# SPDX-License-Identifier: Apache-2.0
"""The response of an endpoint: whole, or streamed piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Protocol, Self

import orjson
from attrs import define

from edge_twisted.api.errors import Field

JSON_TYPE = b"application/json"


class BodyPieces(AsyncIterable[bytes], Protocol):
    """The pieces of a streamed body, such as an asynchronous generator of bytes."""

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """Free what the pieces hold, begun or not; harmless when repeated."""


# Not frozen: an object of each is made per request, and frozen doubles the cost of making one.
@define(kw_only=True)
class Response:
    """
    A whole response; the connection adds Content-Length, Date, X-Request-Id and Connection.

    `headers` are the endpoint's own fields beside `content_type`.  For HEAD, the connection drops
    the body and keeps its length; for 204 and 304 it drops both.
    """

    status: int = 200
    headers: tuple[Field, ...] = ()
    content_type: bytes | None = JSON_TYPE
    body: bytes = b""

    @classmethod
    def json(cls, value: object, status: int = 200, headers: tuple[Field, ...] = ()) -> Self:
        """Return a response whose body is `value` in JSON.

        `value` is anything that orjson encodes.
        """
        return cls(status=status, headers=headers, body=orjson.dumps(value))


@define(kw_only=True)
class StreamingResponse:
    """
    A response whose body is made while it is sent, as fast as the client takes it.

    `pieces` is iterated only while the client reads.  It is always closed (`aclose`): at its end,
    when the client goes away, for HEAD, and after an error; so cleaning up belongs there, or in the
    ``finally`` of a generator.  `length` is the number of bytes that `pieces` yields; None sends
    chunks.  If `pieces` raises, the connection is cut, which the client sees as a truncated body.
    """

    status: int = 200
    headers: tuple[Field, ...] = ()
    content_type: bytes | None = b"application/octet-stream"
    pieces: BodyPieces
    length: int | None = None


AnyResponse = Response | StreamingResponse
