# SPDX-License-Identifier: Apache-2.0
"""From a response to the bytes of its head."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from edge_twisted.api.errors import Field

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
#: What has no body, and says nothing of its length.
BODILESS: Final = frozenset({204, 304})
_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode("ascii"))
    for status in HTTPStatus
}


class DateField:
    """The Date of responses, made once a second."""

    __slots__ = ("_field", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._field = b""

    def at(self, time: float) -> bytes:
        """Return the field for a time in seconds since the epoch."""
        second = int(time)
        if second != self._second:
            self._second = second
            self._field = b"Date: %b\r\n" % formatdate(second, usegmt=True).encode("ascii")
        return self._field


def answer_head(
    status: int,
    request_id: str,
    content_type: bytes | None,
    fields: Iterable[Field],
    *,
    date: bytes,
    framing: bytes,
    connection: bytes,
) -> bytes:
    """
    Return the status line and the header fields, with the empty line.

    `date`, `framing` (a length, chunks or nothing) and `connection` are whole lines, or empty.
    """
    head = b"%bX-Request-Id: %b\r\n%b%b%b" % (
        _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status,
        request_id.encode("ascii"),
        date,
        framing,
        connection,
    )
    if content_type is not None:
        head += b"Content-Type: %b\r\n" % content_type
    for name, value in fields:
        head += b"%b: %b\r\n" % (name, value)
    return head + b"\r\n"
