# SPDX-License-Identifier: Apache-2.0
"""Checks whether the server can write to a folder or make a socket, without writing."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def folder_problem(folder: Path) -> str | None:
    """Return a sentence why `folder` cannot be written to, or made; None if it can."""
    try:
        if os.path.lexists(folder):
            return _existing_problem(folder)
        above = next(each for each in folder.parents if os.path.lexists(each))
        reason = _existing_problem(above)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return None if reason is None else f"{folder} cannot be made: {reason}"


def temporary_folder_problem() -> str | None:
    """Return a sentence why no temporary folder can be made; None if one can."""
    try:
        return folder_problem(Path(tempfile.gettempdir()))
    except FileNotFoundError as error:
        return f"there is no folder for temporary ones: {error.strerror}"


def unix_socket_problem(path: Path) -> str | None:
    """Return a sentence why a unix socket cannot be made at `path`; None if it can.

    Whether a socket there is in use shows only at the start.
    """
    try:
        if not path.parent.is_dir():
            return f"the folder {path.parent} does not exist"
        if os.path.lexists(path) and not stat.S_ISSOCK(path.lstat().st_mode):
            return f"{path} exists and is no socket"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return _existing_problem(path.parent)


def _existing_problem(folder: Path) -> str | None:
    if not folder.exists():
        return f"{folder} is a link to nothing"
    if not folder.is_dir():
        return f"{folder} is not a folder"
    # The permissions that count are those in effect, also on a file system mounted read-only.
    if not os.access(
        folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids
    ):
        return f"{folder} is not writable by this user"
    return None
