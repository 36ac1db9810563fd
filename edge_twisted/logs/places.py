# SPDX-License-Identifier: Apache-2.0
"""What keeps log files from where the configuration wants them, found without making anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from edge_twisted.config.model import Folder, Logging, TemporaryFolder
from edge_twisted.logs.errors import LogFolderUnusable

AUDIT_KEY: Final = "logging.edge_server.audit_logs"
ROTATING_KEY: Final = "logging.edge_server.rotating_logs"
AUDIT_PREFIX: Final = "audit.log"


def folder_problems(logging: Logging) -> list[LogFolderUnusable]:
    """Return what would keep a server from writing its log files, without making anything."""
    problems = []
    if logging.rotating is not None:
        problems += _problems(ROTATING_KEY, logging.rotating.directory)
        if logging.audit is not None and _collide(logging):
            problems.append(
                LogFolderUnusable(
                    key=f"{ROTATING_KEY}.prefix",
                    folder=Path(str(logging.audit.directory)),
                    reason=f"{AUDIT_PREFIX} is the prefix of the audit log in the same folder",
                )
            )
    if logging.audit is not None:
        problems += _problems(AUDIT_KEY, logging.audit.directory)
    return problems


def _collide(logging: Logging) -> bool:
    assert logging.rotating is not None and logging.audit is not None
    return (
        logging.rotating.prefix == AUDIT_PREFIX
        and logging.rotating.directory == logging.audit.directory
        and not isinstance(logging.audit.directory, TemporaryFolder)
    )


def _problems(key: str, folder: Folder) -> list[LogFolderUnusable]:
    if isinstance(folder, TemporaryFolder):
        return []
    there = next((each for each in (folder, *folder.parents) if os.path.lexists(each)), folder)
    if not there.is_dir():
        reason = f"{there} is not a folder"
    elif not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        reason = f"no permission to write in {there}"
    else:
        return []
    return [LogFolderUnusable(key=key, folder=folder, reason=reason)]
