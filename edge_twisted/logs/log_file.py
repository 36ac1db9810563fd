# SPDX-License-Identifier: Apache-2.0
"""One open log file: whole lines at its end, or nothing of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o640
FOLDER_MODE: Final = 0o750

# Not through a symbolic link: whoever may write the folder must not choose the file we append to.
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW

#: `os.write`, or what a test puts in its place: may write less than asked, or raise `OSError`.
WriteCall = Callable[[int, memoryview], int]


class LogFile:
    """
    A file open for appending, made with `FILE_MODE` if it was not there.

    :raises OSError: from the constructor: it cannot be opened.
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
            #: Bytes in the file, as far as we wrote it.
            self.size = status.st_size
            self._end_torn_line()
        except OSError:
            os.close(self._fd)
            raise

    def is_there(self) -> bool:
        """Tell whether the file is still what its path names: not deleted, moved, or replaced."""
        try:
            status = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def append(self, lines: memoryview) -> int:
        """
        Append whole lines and return how many bytes of them, always whole lines, are in the file.

        :raises OSError: none of them is.
        """
        written = 0
        try:
            while written < len(lines):
                written += self._write(self._fd, lines[written:])
        except OSError:
            whole = bytes(lines[:written]).rfind(b"\n") + 1
            if whole < written:
                # By its real size, for somebody else may have truncated it (logrotate does).
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - (written - whole))
            if not whole:
                raise
            written = whole
        self.size += written
        return written

    def close(self) -> None:
        """
        Close the file, once.

        :raises OSError: what was written is not safe, as network file systems say it only here.
        """
        os.close(self._fd)

    def _end_torn_line(self) -> None:
        """End a line that a crash or a power cut tore, so that it does not spoil the next one."""
        if self.size and os.pread(self._fd, 1, self.size - 1) != b"\n":
            self.size += self._write(self._fd, memoryview(b"\n"))


def make_folder(folder: Path) -> None:
    """
    Make a folder for log files, and its parents, unless it is there already.

    :raises OSError: it cannot be made.
    """
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)  # whatever the umask
