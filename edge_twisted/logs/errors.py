# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with the places of logs."""

from __future__ import annotations

from pathlib import Path

from edge_twisted.errors import EdgeError


class LogFolderUnusable(EdgeError):
    """A folder that log files cannot be written to; the operator must change it or `key`."""

    code = "log_folder_unusable"

    def __init__(self, *, key: str, folder: Path, reason: str) -> None:
        super().__init__(key, folder, reason)
        #: The configuration's key, such as ``logging.edge_server.audit_logs``.
        self.key = key
        self.folder = folder
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"{self.key}: cannot write log files in {self.folder}: {self.reason}; "
            "name another folder or prefix, or make the folder writable for the server's user"
        )
