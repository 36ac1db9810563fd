# SPDX-License-Identifier: Apache-2.0
"""The file system of a store: modes that admit the owner alone, and durable files and folders."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from twisted.logger import Logger

log = Logger()

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


def restrict(path: Path, mode: int) -> None:
    """
    Take from a file or folder whatever rights it has beyond `mode`; nothing if it is absent.

    What belongs to another user stays as it is, and the log says so.
    """
    try:
        found = stat.S_IMODE(path.stat().st_mode)
        if found & ~mode:
            path.chmod(found & mode)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warn(
            "{path} is open to others, and its mode cannot be changed: {reason}",
            path=str(path),
            reason=error.strerror,
        )


def make_folder(path: Path) -> None:
    """
    Make a folder for its owner alone; one that is there is closed to others.

    :raises OSError: it cannot be made.
    """
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    restrict(path, FOLDER_MODE)


def sync_folder(folder: Path) -> None:
    """
    Make renames and new files in `folder` durable (fsync).

    :raises OSError: the folder cannot be opened or synced; so does `sync_file`.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """
    Make a file's content durable (fsync).

    :raises OSError: the file cannot be opened or synced.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
