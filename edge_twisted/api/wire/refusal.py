# SPDX-License-Identifier: Apache-2.0
"""Answers to what never became a request: malformed heads, slow ones, too many connections."""

from __future__ import annotations

from time import monotonic

from edge_twisted.api.body import RequestBody
from edge_twisted.api.errors import HttpError
from edge_twisted.api.failures import code_of, response_to
from edge_twisted.api.request import Headers, Request
from edge_twisted.api.wire.answer import answer_head
from edge_twisted.api.wire.context import ConnectionContext


class _Nobody:
    """The source of an empty body."""

    def body_wanted(self) -> None:
        """Nothing waits."""

    def body_taken(self) -> None:
        """There was room."""


_NOBODY = _Nobody()


def refusal(
    context: ConnectionContext,
    error: HttpError,
    peer: str,
    *,
    is_secure: bool,
    line: tuple[str, str] = ("", ""),
) -> bytes:
    """
    Return the whole response for `error`, and report it to the observers; the caller closes.

    `line` is the method and the path, empty where they could not be parsed.
    """
    request = Request(
        id=context.new_request_id(),
        method=line[0],
        path=line[1],
        query="",
        headers=Headers({}),
        client=peer,
        is_secure=is_secure,
        body=RequestBody(0, _NOBODY),
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
