# SPDX-License-Identifier: Apache-2.0
"""Whether every user of this machine gets at a file or folder, whatever group they are in."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def is_open_to_all(path: Path) -> bool:
    """
    Tell whether others than owner and group can read the file `path`, or use the folder.

    A file that lies below a folder that they may not enter is safe, whatever its own mode is; so is
    one that is not there.
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
