# SPDX-License-Identifier: Apache-2.0
"""
Splits the bytes of one connection into request heads and bodies.  Pure.

The connection pulls: it asks for the next head, then for pieces of the body until the body is
complete, then for the next head.  Bytes that it has not asked for stay in the buffer, so pipelined
requests never take more memory than their bytes.  The results do not depend on how the network cut
the bytes.
"""

from __future__ import annotations

from edge_twisted.api.errors import HeadersTooLarge, HttpError, MalformedRequest
from edge_twisted.api.wire.chunks import ChunkDecoder
from edge_twisted.api.wire.head import HeadMemory, RequestHead

_END_OF_HEAD = b"\r\n\r\n"


class RequestReader:
    """
    Reads the requests of one connection; a head may have up to `max_header_bytes` bytes.

    After an `HttpError`, where the next request begins is unknown: the connection has to close.
    """

    __slots__ = (
        "_at",
        "_chunks",
        "_data",
        "_failed",
        "_left",
        "_memory",
        "_searched",
        "max_header_bytes",
    )

    def __init__(self, max_header_bytes: int) -> None:
        self.max_header_bytes = max_header_bytes
        self._data = b""
        #: Index in `_data` of the first byte that has not been taken.
        self._at = 0
        #: Index in `_data` before which no head ends, so that no byte is searched twice.
        self._searched = 0
        #: Bytes of the current body that have not been taken, if Content-Length announced it.
        self._left = 0
        #: The decoder of the current body, if it is chunked; None at its end.
        self._chunks: ChunkDecoder | None = None
        #: The beginning of a head that was refused.
        self._failed: bytes | None = None
        self._memory = HeadMemory()

    @property
    def buffered(self) -> int:
        """Number of received bytes that have not been taken."""
        return len(self._data) - self._at

    @property
    def is_body_complete(self) -> bool:
        """Whether the whole body of the newest request has been taken."""
        return not self._left and self._chunks is None

    @property
    def failed_head(self) -> bytes:
        """The beginning of the head that `next_head` refused; empty if it refused none."""
        return self._failed or b""

    def receive(self, data: bytes) -> None:
        """Add bytes that the connection received."""
        if self._at == len(self._data):
            self._data = data
            self._searched = self._at = 0
        else:
            if self._at:
                self._searched = max(0, self._searched - self._at)
                self._data = self._data[self._at :] + data
                self._at = 0
            else:
                self._data += data

    def next_head(self) -> RequestHead | None:
        """Take the head of the next request; return it, or None if more bytes are needed.

        :raises HttpError: the bytes are no request that this server takes; answer it and close.
        """
        if self._at == len(self._data):
            return None
        head = self._take_head()
        if head is None:
            return None
        try:
            parsed = self._memory.parse(head)
        except HttpError:
            self._failed = head
            raise
        if parsed.content_length is None:
            self._chunks = ChunkDecoder(self.max_header_bytes)
        else:
            self._left = parsed.content_length
        return parsed

    def whole_body(self) -> bytes | None:
        """Take the newest request's body and return it, if all of it is buffered.

        None: it is not, or comes in chunks; nothing is taken then.
        """
        left, begin, data = self._left, self._at, self._data
        if self._chunks is not None or len(data) - begin < left:
            return None
        self._left = 0
        self._taken_to(begin + left)
        return data[begin : begin + left]

    def next_piece(self) -> bytes:
        """Take the buffered part of the body and return it, chunks decoded.

        It is empty at the end of the body (`is_body_complete`), and while none has arrived.

        :raises HttpError: the chunks are malformed; answer it and close.
        """
        if self._chunks is not None:
            pieces, at = self._chunks.decode(self._data, self._at)
            self._taken_to(at)
            if self._chunks.is_done:
                self._chunks = None
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        begin = self._at
        if not self._left or begin == len(self._data):
            return b""
        piece = self._data[begin : begin + self._left]
        self._taken_to(begin + len(piece))
        self._left -= len(piece)
        return piece

    def forget(self) -> None:
        """Drop all buffered bytes."""
        self._data = b""
        self._at = self._searched = 0

    # -- inner

    def _taken_to(self, at: int) -> None:
        """Continue at index `at`; free a used-up buffer, as the connection may stay idle."""
        if at == len(self._data):
            self.forget()
        else:
            self._at = at

    def _take_head(self) -> bytes | None:
        data, at = self._data, self._at
        # RFC 9112, 2.2: one empty line before a request is ignored.
        begin = at + 2 if data.startswith(b"\r\n", at) else at
        first = data[begin : begin + 1]
        if first and not first.isalnum() and not (first == b"\r" and begin == at):
            # TLS on a plain port, or noise: refused before the end of a head arrives.
            self._failed = data[begin : begin + 64]
            raise MalformedRequest("this is no HTTP request")
        end = data.find(_END_OF_HEAD, max(begin, self._searched - 3))
        size = (len(data) if end < 0 else end + 4) - begin
        if size > self.max_header_bytes:
            self._failed = data[begin : begin + self.max_header_bytes]
            raise HeadersTooLarge(f"the head is larger than {self.max_header_bytes} bytes")
        if end < 0:
            self._searched = len(data)
            return None
        self._at = self._searched = end + 4
        return data[begin : end + 4]
