# SPDX-License-Identifier: Apache-2.0
"""Responses without a request: to malformed or slow heads, and to refused connections."""

from __future__ import annotations

from time import monotonic

from edge_twisted.api.body import RequestBody
from edge_twisted.api.errors import HttpError
from edge_twisted.api.failures import code_of, response_to
from edge_twisted.api.request import Headers, Request
from edge_twisted.api.wire.answer import answer_head
from edge_twisted.api.wire.context import ConnectionContext


class _NoSource:
    """A `BodySource` of an empty body, which never has to be waited for."""

    def body_wanted(self) -> None:
        """Do nothing: there is no body."""

    def body_taken(self) -> None:
        """Do nothing: there is no body."""


_NO_SOURCE = _NoSource()


def refusal(
    context: ConnectionContext,
    error: HttpError,
    peer: str,
    *,
    is_secure: bool,
    line: tuple[str, str] = ("", ""),
) -> bytes:
    """Return all bytes of the response for `error`, and report the response to the observers.

    The caller sends the bytes and closes the connection.

    :param peer: the text of the client's address.
    :param line: (method, path) of the request, each empty where it could not be parsed.
    """
    request = Request(
        id=context.new_request_id(),
        method=line[0],
        path=line[1],
        query="",
        headers=Headers({}),
        client=peer,
        is_secure=is_secure,
        body=RequestBody(0, _NO_SOURCE),
    )
    response = response_to(error, request.id)
    body = b"" if request.method == "HEAD" else response.body
    head = answer_head(
        response.status,
        request.id,
        response.content_type,
        response.headers,
        context.header_lines(is_secure=is_secure),
        b"Content-Length: %d\r\n" % len(response.body),
        b"Connection: close\r\n",
    )
    context.pipeline.finished(request, response.status, code_of(error), monotonic(), len(body))
    return head + body
