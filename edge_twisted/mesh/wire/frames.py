# SPDX-License-Identifier: Apache-2.0
"""
Frames: messages on a stream of bytes.

A frame is a 4-byte big-endian header, the upper 8 bits flags and the lower 24 the length of the
body, and the body.  A message is one frame, or several of which all but the last have the flag
`MORE`.  Bodies of `DEFLATED` frames are pieces of one raw deflate stream per direction, which lives
as long as the link: small changes repeat site ids, names and shapes, and cost a third of their
bytes that way.  The stream's window is small, so that an idle link takes little memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct
from typing import Final

from edge_twisted.mesh.wire.violations import PeerViolation

_HEADER: Final = Struct(">I")
HEADER_BYTES: Final = _HEADER.size
_LENGTH_BITS: Final = 24

DEFLATED: Final = 1
MORE: Final = 2

#: Bytes of a body; longer messages take several frames.
MAX_FRAME_BYTES: Final = 1 << 20
#: Bytes of a message after inflating: the most that a peer can make this server hold.
MAX_MESSAGE_BYTES: Final = 32 << 20
#: Bytes of a message before the HELLO of the peer, which needs no more.
MAX_GREETING_BYTES: Final = 4096

#: 4 KiB of history and a small hash table: 48 KiB to deflate, 5 KiB to inflate.
_WINDOW_BITS: Final = -12
_MEMORY_LEVEL: Final = 5
_LEVEL: Final = 1
#: The last bytes of every piece that Z_SYNC_FLUSH ends; they are not sent.
_FLUSH_TAIL: Final = b"\x00\x00\xff\xff"


class FrameWriter:
    """Makes frames, all of which the peer's `FrameReader` must get in order."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(
            _LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY
        )

    def message(self, payload: bytes, *, deflated: bool = True) -> bytes:
        """Return the frames of a message, as bytes to send; `payload` is the encoded message.

        Pass `deflated=False` for a payload that is compressed already, which deflate would not
        shrink.
        """
        if not deflated:
            return b"".join(_frames(payload, 0))
        packed = self._deflate.compress(payload) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return b"".join(_frames(packed.removesuffix(_FLUSH_TAIL), DEFLATED))


def _frames(payload: bytes, flags: int) -> Iterator[bytes]:
    last = max(len(payload) - 1, 0) // MAX_FRAME_BYTES
    for number in range(last + 1):
        piece = payload[number * MAX_FRAME_BYTES : (number + 1) * MAX_FRAME_BYTES]
        more = 0 if number == last else MORE
        yield _HEADER.pack((flags | more) << _LENGTH_BITS | len(piece)) + piece


class FrameReader:
    """
    Takes bytes in any pieces and yields whole messages.

    `limit_bytes` bounds the memory; the session raises it once the peer's HELLO has come.
    """

    def __init__(self) -> None:
        self.limit_bytes = MAX_GREETING_BYTES
        self._inflate = zlib.decompressobj(_WINDOW_BITS)
        self._buffer = bytearray()
        self._message = bytearray()
        #: The flags of the message's first frame, None between messages.
        self._flags: int | None = None

    def feed(self, data: bytes) -> None:
        """Add received bytes, in any pieces; `messages` yields the messages that they complete."""
        self._buffer += data

    def messages(self) -> Iterator[bytes]:
        """Yield the payload of each message that is complete, inflated, in the order of arrival.

        :raises PeerViolation: a frame is malformed or too large; end the link, for the reader
            cannot go on.
        """
        while (frame := self._next_frame()) is not None:
            flags, piece = frame
            self._take(flags, piece)
            if not flags & MORE:
                payload, self._message = bytes(self._message), bytearray()
                self._flags = None
                yield payload

    def _next_frame(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < HEADER_BYTES:
            return None
        header = _HEADER.unpack_from(self._buffer)[0]
        flags, length = header >> _LENGTH_BITS, header & (1 << _LENGTH_BITS) - 1
        if flags & ~(DEFLATED | MORE):
            raise PeerViolation("a frame with unknown flags")
        if length > min(self.limit_bytes, MAX_FRAME_BYTES):
            raise PeerViolation(f"a frame of {length} bytes")
        end = HEADER_BYTES + length
        if len(self._buffer) < end:
            return None
        piece = bytes(self._buffer[HEADER_BYTES:end])
        del self._buffer[:end]
        return flags, piece

    def _take(self, flags: int, piece: bytes) -> None:
        kind = flags & DEFLATED
        if self._flags is not None and kind != self._flags:
            raise PeerViolation("a message of two kinds of frames")
        self._flags = kind
        self._message += self._inflated(piece, flags) if kind else piece
        if len(self._message) > self.limit_bytes:
            raise PeerViolation(f"a message above {self.limit_bytes} bytes")

    def _inflated(self, piece: bytes, flags: int) -> bytes:
        room = self.limit_bytes - len(self._message) + 1
        data = piece if flags & MORE else piece + _FLUSH_TAIL
        try:
            found = self._inflate.decompress(data, room)
        except zlib.error as error:
            raise PeerViolation(f"a frame that does not inflate: {error}") from None
        if self._inflate.unconsumed_tail or self._inflate.eof:
            raise PeerViolation("a frame that inflates beyond the limit, or ends the stream")
        return found
