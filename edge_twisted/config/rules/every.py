# SPDX-License-Identifier: Apache-2.0
"""What a file must be beyond the schema: keys that depend on each other, and on the machine."""

from __future__ import annotations

from edge_twisted.config.rules.auth import check_auth
from edge_twisted.config.rules.database import check_database
from edge_twisted.config.rules.folders import check_folder
from edge_twisted.config.rules.http import check_http_server
from edge_twisted.config.rules.view import ConfigView


def check_rules(view: ConfigView) -> None:
    """Report what is wrong with the file as far as the schema cannot tell."""
    check_database(view)
    check_http_server(view)
    check_auth(view)
    logs = ("logging", "edge_server")
    check_folder(view, (*logs, "rotating_logs", "directory"))
    check_folder(view, (*logs, "audit_logs"))
