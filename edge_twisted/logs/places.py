# SPDX-License-Identifier: Apache-2.0
"""
The keys of the configuration that say where log files go, and what they may not say together.

Whether a folder can be written to is a rule of the configuration, which knows the position.
"""

from __future__ import annotations

from typing import Final

from edge_twisted.config.model import Logging, TemporaryFolder
from edge_twisted.logs.errors import LogFolderUnusable

AUDIT_KEY: Final = "logging.edge_server.audit_logs"
ROTATING_KEY: Final = "logging.edge_server.rotating_logs"
AUDIT_PREFIX: Final = "audit.log"


def check_names(logging: Logging) -> None:
    """
    Check that the two series of files can be told apart.

    :raises LogFolderUnusable: both would have the same names in the same folder.
    """
    if logging.rotating is None or logging.audit is None:
        return
    folder = logging.audit.directory
    if isinstance(folder, TemporaryFolder) or logging.rotating.directory != folder:
        return
    if logging.rotating.prefix == AUDIT_PREFIX:
        reason = f"{AUDIT_PREFIX} is the prefix of the audit log, which is in the same folder"
        raise LogFolderUnusable(key=f"{ROTATING_KEY}.prefix", folder=folder, reason=reason)
