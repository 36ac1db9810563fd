# SPDX-License-Identifier: Apache-2.0
"""Checks whether every user of this machine has access to a file or folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def is_open_to_all(path: Path) -> bool:
    """
    Tell whether users beside owner and group can read the file `path`, or enter the folder.

    False for a file below a folder that those users may not enter, whatever its own mode is, and
    for a file that does not exist.
    """
    try:
        real = Path(os.path.realpath(path))
        mode = real.stat().st_mode
        wanted = stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
        return bool(mode & wanted) and all(
            folder.stat().st_mode & stat.S_IXOTH for folder in real.parents
        )
    except OSError:
        return False
