# SPDX-License-Identifier: Apache-2.0
"""
From the bytes of a connection to requests, one after the other.  Pure.

Whoever reads asks: for the next head, then for its body until that is complete, then for the next
head.  What nobody has asked for stays in the buffer, so that a queue of pipelined requests is
never longer than the bytes that were read.  However the bytes are cut on their way, the answers are
the same.
"""

from __future__ import annotations

from edge_twisted.api.errors import HeadersTooLarge, HttpError, MalformedRequest
from edge_twisted.api.wire.chunks import ChunkDecoder
from edge_twisted.api.wire.head import HeadMemory, RequestHead

_END_OF_HEAD = b"\r\n\r\n"


class RequestReader:
    """
    Reads the requests of one connection; a head may have `max_header_bytes`.

    After it has raised, nothing more can be told from the connection.
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
        #: Where what nobody has taken begins; and up to where there is no end of a head.
        self._at = 0
        self._searched = 0
        #: Of the body under way: bytes that are to come, or the chunks.
        self._left = 0
        self._chunks: ChunkDecoder | None = None
        self._failed: bytes | None = None
        self._memory = HeadMemory()

    @property
    def buffered(self) -> int:
        """How many bytes wait to be taken."""
        return len(self._data) - self._at

    @property
    def is_body_complete(self) -> bool:
        """Whether all of the newest request's body has been taken."""
        return not self._left and self._chunks is None

    @property
    def failed_head(self) -> bytes:
        """The beginning of what was refused."""
        return self._failed or b""

    def receive(self, data: bytes) -> None:
        """Take bytes from the connection."""
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
        """
        Return the next request's head; None: more bytes are needed.

        :raises HttpError: what is there is no request that this server takes.
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
        """Return the newest request's body if all of it is here, else take nothing of it."""
        left, begin, data = self._left, self._at, self._data
        if self._chunks is not None or len(data) - begin < left:
            return None
        self._left = 0
        self._taken_to(begin + left)
        return data[begin : begin + left]

    def next_piece(self) -> bytes:
        """
        Return what is here of the body, empty where it is complete or more bytes are needed.

        :raises HttpError: the chunks are broken.
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
        """Drop what is here: nobody asks for it any more."""
        self._data = b""
        self._at = self._searched = 0

    # -- inner

    def _taken_to(self, at: int) -> None:
        """Go on from there; keep nothing that is taken, for a connection may be idle for long."""
        if at == len(self._data):
            self.forget()
        else:
            self._at = at

    def _take_head(self) -> bytes | None:
        data, at = self._data, self._at
        # RFC 9112, 2.2: an empty line before a request is ignored; one.
        begin = at + 2 if data.startswith(b"\r\n", at) else at
        first = data[begin : begin + 1]
        if first and not first.isalnum() and not (first == b"\r" and begin == at):
            # TLS on a plain port, or noise: no need to wait for the end of a head.
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
