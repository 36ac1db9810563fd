# SPDX-License-Identifier: Apache-2.0
"""An open log file, to which whole lines are appended or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o640
FOLDER_MODE: Final = 0o750

# O_NOFOLLOW: users who may write to the folder must not choose the file we append to.
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW

#: `os.write` or a test's double: may write less than asked, or raise `OSError`.
WriteCall = Callable[[int, memoryview], int]


class LogFile:
    """
    A file open for appending, made with mode `FILE_MODE` if it does not exist.

    :raises OSError: the constructor cannot open the file.
    """

    def __init__(self, path: Path, write: WriteCall = os.write) -> None:
        self.path = path
        self._write = write
        self._fd = os.open(path, _FLAGS, FILE_MODE)
        try:
            status = os.fstat(self._fd)
            if not status.st_size:
                os.fchmod(self._fd, FILE_MODE)  # a umask took rights away
            self._identity = (status.st_dev, status.st_ino)
            #: Bytes in the file, unless another process has written to it.
            self.size = status.st_size
            self._end_torn_line()
        except OSError:
            os.close(self._fd)
            raise

    def is_there(self) -> bool:
        """Return whether the path still names this file: it may be deleted, moved or replaced."""
        try:
            status = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def append(self, lines: memoryview) -> int:
        """
        Append whole lines; return the number of bytes written, which are always whole lines.

        If fewer were written than given, call again with the rest.

        :raises OSError: nothing was written.
        """
        written = 0
        try:
            while written < len(lines):
                written += self._write(self._fd, lines[written:])
        except OSError:
            whole = bytes(lines[:written]).rfind(b"\n") + 1
            if whole < written:
                # By the real size, because another process (logrotate) may have truncated the file.
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - (written - whole))
            if not whole:
                raise
            written = whole
        self.size += written
        return written

    def close(self) -> None:
        """
        Close the file, once.

        :raises OSError: written lines may be lost; network file systems report that only at close.
        """
        os.close(self._fd)

    def _end_torn_line(self) -> None:
        """End a line that a crash cut off, so that it does not run into the next one."""
        if self.size and os.pread(self._fd, 1, self.size - 1) != b"\n":
            self.size += self._write(self._fd, memoryview(b"\n"))


def make_folder(folder: Path) -> None:
    """
    Make a folder for log files, of mode `FOLDER_MODE`, and its parents, unless it exists.

    :raises OSError: the folder cannot be made; report it, with the key of the configuration.
    """
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)  # whatever the umask
