# SPDX-License-Identifier: Apache-2.0
"""Errors about the folders of log files."""

from __future__ import annotations

from pathlib import Path

from edge_twisted.errors import Culprit, EdgeError


class LogFolderUnusable(EdgeError):
    """Log files cannot be written to a folder; the operator must mend it or change `key`."""

    code = "log_folder_unusable"
    culprit = Culprit.OPERATOR

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
