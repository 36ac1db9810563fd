# SPDX-License-Identifier: Apache-2.0
"""Runs all rules on a file."""

from __future__ import annotations

from edge_twisted.config.rules.auth import check_auth
from edge_twisted.config.rules.database import check_database
from edge_twisted.config.rules.folders import check_folder
from edge_twisted.config.rules.http import check_http_server
from edge_twisted.config.rules.view import ConfigView


def check_rules(view: ConfigView) -> None:
    """Report every violation of a rule; violations of the schema are reported elsewhere."""
    check_database(view)
    check_http_server(view)
    check_auth(view)
    logs = ("logging", "edge_server")
    check_folder(view, (*logs, "rotating_logs", "directory"))
    check_folder(view, (*logs, "audit_logs"))
