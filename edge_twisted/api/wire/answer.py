# SPDX-License-Identifier: Apache-2.0
"""The head of a response: its status line and its header fields, as bytes."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from edge_twisted.api.errors import Field, header_lines_of
from edge_twisted.api.request_ids import RequestId

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
#: Statuses of responses that have neither a body nor a Content-Length.
BODILESS: Final = frozenset({204, 304})
_PHRASES = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}


class DateField:
    """The Date header line, composed once a second."""

    __slots__ = ("_field", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._field = b""

    def at(self, time: float) -> bytes:
        """Return the whole Date header line for a time in seconds since 1970."""
        second = int(time)
        if second != self._second:
            self._second = second
            self._field = b"Date: %b\r\n" % formatdate(second, usegmt=True).encode("ascii")
        return self._field


@lru_cache(maxsize=64)  # few statuses and types are answered again and again
def _beginning(status: int, content_type: bytes | None) -> bytes:
    phrase = _PHRASES.get(status, b"")
    # A browser must not take an answer for anything but what its type says.
    line = b"HTTP/1.1 %d %b\r\nX-Content-Type-Options: nosniff\r\n" % (status, phrase)
    return line if content_type is None else b"%bContent-Type: %b\r\n" % (line, content_type)


def answer_head(
    status: int,
    request_id: RequestId,
    content_type: bytes | None,
    fields: Iterable[Field],
    *lines: bytes,
) -> bytes:
    """Return the bytes of a response's head: status line, header fields, empty line.

    `fields` are (name, value) pairs; `lines` (Date, framing, Connection, ...) are whole header
    lines, none or several in each, with their line ends.
    """
    beginning, id_ = _beginning(status, content_type), request_id.encode("ascii")
    if fields:
        lines = (*lines, header_lines_of(fields))
    return b"%bX-Request-Id: %b\r\n%b\r\n" % (beginning, id_, b"".join(lines))
