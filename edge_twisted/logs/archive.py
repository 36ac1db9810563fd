# SPDX-License-Identifier: Apache-2.0
"""
Makes the archive of ``GET /logs``: a gzip tar, in pieces while it is sent.

A piece costs at most a millisecond or two, and the archive needs memory for one piece only.  A file
is archived with its size at its turn: it may grow, rotate or be deleted meanwhile.
"""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

from attrs import frozen

#: Bytes that are read, compressed and handed out at once.
PIECE_BYTES: Final = 64 * 1024
#: Log lines shrink to a tenth at any level; the fastest costs a third of the default.
_COMPRESSION_LEVEL: Final = 1
_GZIP_WINDOW: Final = 31  # zlib's way to ask for a gzip header and trailer

_MODE = 0o640


class ArchiveEntry(Protocol):
    """One file of the archive."""

    @property
    def name(self) -> str:
        """The path of the entry inside the archive, with slashes."""

    def pieces(self, modified: float) -> Iterator[bytes]:
        """
        Yield the bytes of the entry in a tar: header, then content, padded to whole blocks.

        Yields none if the content cannot be read any more.

        :param modified: the time, in seconds since the epoch, of content without a time of its own.
        """


@frozen
class MemoryEntry:
    """Lines that are kept in memory."""

    name: str
    content: bytes

    def pieces(self, modified: float) -> Iterator[bytes]:
        """See `ArchiveEntry.pieces`."""
        yield _header(self.name, len(self.content), modified)
        for start in range(0, len(self.content), PIECE_BYTES):
            yield self.content[start : start + PIECE_BYTES]
        yield _filling(len(self.content))


@frozen
class FileEntry:
    """A log file; left out if it has been deleted by its turn."""

    name: str
    path: Path

    def pieces(self, modified: float) -> Iterator[bytes]:
        """See `ArchiveEntry.pieces`."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            yield _header(self.name, status.st_size, status.st_mtime)
            left = status.st_size
            while left:
                # A file that shrank is padded, because the header has promised its size.
                piece = file.read(min(left, PIECE_BYTES)) or bytes(min(left, PIECE_BYTES))
                left -= len(piece)
                yield piece
        yield _filling(status.st_size)


def gzip_tar(entries: Iterable[ArchiveEntry], modified: float) -> Iterator[bytes]:
    """
    Yield the bytes of a gzip tar in pieces of some ten kilobytes, none empty.

    :param entries: what the archive contains, in this order.
    :param modified: the time, in seconds since the epoch, of entries without a time of their own.
    """
    compressor = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for entry in entries:
        for piece in entry.pieces(modified):
            # zlib may hold many pieces back; flushing costs a few bytes and keeps data coming.
            yield compressor.compress(piece) or compressor.flush(zlib.Z_SYNC_FLUSH)
    # Two empty blocks end a tar.
    yield compressor.compress(bytes(2 * tarfile.BLOCKSIZE)) + compressor.flush()


def _header(name: str, size: int, modified: float) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mtime = int(modified)
    info.mode = _MODE
    return info.tobuf(tarfile.PAX_FORMAT)


def _filling(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
