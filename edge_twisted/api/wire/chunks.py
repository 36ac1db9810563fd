# SPDX-License-Identifier: Apache-2.0
"""
Strict decoder of the chunked transfer coding (RFC 9112, 7.1).  Pure.

llhttp is not used for bodies, because it does not say at which byte a message ended, and the bytes
after a body must be checked as the next head.  Chunk extensions and trailers have to follow their
syntax; they are dropped.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from edge_twisted.api.errors import HeadersTooLarge, MalformedRequest

#: The longest line with a chunk's size and its extensions; clients send no extensions in practice.
MAX_SIZE_LINE_BYTES: Final = 256
#: Sixteen digits would be 64 bits; eight are 4 GiB, and no chunk is that large.
_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,8})"
    rb"(?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    rb"(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|\"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*\"))?)*"
)
_WHOLE_SIZE_LINE = re.compile(_SIZE_LINE.pattern + rb"\r\n")
_TRAILER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t -~\x80-\xff]*")
#: Fields that would change the meaning of the head afterwards (RFC 9110, 6.5.1).
_NOT_IN_TRAILERS = frozenset(
    {b"transfer-encoding", b"content-length", b"host", b"authorization", b"content-encoding"}
)


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    DONE = auto()


class ChunkDecoder:
    """Decodes a chunked body; `max_trailer_bytes` bounds the trailer after the last chunk."""

    __slots__ = ("_left", "_line", "_max_trailer_bytes", "_state", "_trailer_bytes")

    def __init__(self, max_trailer_bytes: int) -> None:
        self._max_trailer_bytes = max_trailer_bytes
        self._trailer_bytes = 0
        self._state = _State.SIZE
        self._left = 0
        self._line = b""

    @property
    def is_done(self) -> bool:
        """Whether the end of the body has been read."""
        return self._state is _State.DONE

    def decode(self, data: bytes, at: int) -> tuple[list[bytes], int]:
        """Decode `data[at:]`; return (pieces of the body, index after the last byte decoded).

        That index is the end of the body, or the length of `data` if the body goes on.

        :raises MalformedRequest: the chunks are malformed.
        :raises HeadersTooLarge: the trailer is too long.  After either, answer the error and close.
        """
        pieces: list[bytes] = []
        end = len(data)
        while at < end and self._state is not _State.DONE:
            if self._state is _State.SIZE and not self._line:
                at = self._take_small(data, at, pieces)
                if at == end:
                    break
            if self._state is _State.DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _State.DATA_END
            else:
                at = self._read_line(data, at)
        return pieces, at

    def _take_small(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """
        Decode the chunks from `at` on that are complete; return where the next chunk begins.

        Decoded line by line, 64 KiB of chunks of one byte would take 40 ms.
        """
        while (size := _WHOLE_SIZE_LINE.match(data, at)) is not None:
            begin = size.end()
            stop = begin + int(size[1], 16)
            if (
                stop == begin
                or begin - at > MAX_SIZE_LINE_BYTES
                or data[stop : stop + 2] != b"\r\n"
            ):
                break
            pieces.append(data[begin:stop])
            at = stop + 2
        return at

    def _read_line(self, data: bytes, at: int) -> int:
        """Continue the current line from `at` on; return the index after the bytes read."""
        found = data.find(b"\n", at)
        stop = len(data) if found < 0 else found + 1
        line = self._line + data[at:stop]
        self._bound(line)
        if found < 0:
            self._line = line
            return stop
        self._line = b""
        if not line.endswith(b"\r\n"):
            raise MalformedRequest("a line of the chunks ends without CR")
        self._take_line(line[:-2])
        return stop

    def _bound(self, line: bytes) -> None:
        """Refuse a line as soon as it is too long, complete or not."""
        if self._state is _State.TRAILER:
            if self._trailer_bytes + len(line) > self._max_trailer_bytes:
                raise HeadersTooLarge(f"the trailer is larger than {self._max_trailer_bytes} bytes")
        elif len(line) > (2 if self._state is _State.DATA_END else MAX_SIZE_LINE_BYTES):
            raise MalformedRequest("a chunk is longer than it says, or its size is no number")

    def _take_line(self, line: bytes) -> None:
        if self._state is _State.DATA_END:
            if line:
                raise MalformedRequest("a chunk is longer than it says")
            self._state = _State.SIZE
        elif self._state is _State.SIZE:
            size = _SIZE_LINE.fullmatch(line)
            if size is None:
                raise MalformedRequest("the size of a chunk is no number")
            self._left = int(size[1], 16)
            self._state = _State.DATA if self._left else _State.TRAILER
        elif not line:
            self._state = _State.DONE
        else:
            self._trailer_bytes += len(line) + 2
            trailer = _TRAILER.fullmatch(line)
            if trailer is None or trailer[1].lower() in _NOT_IN_TRAILERS:
                raise MalformedRequest("the trailer is malformed")
