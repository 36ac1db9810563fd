# SPDX-License-Identifier: Apache-2.0
"""The section `logging` of a valid file as a value."""

from __future__ import annotations

from typing import Final, Literal

from edge_twisted.config.model import AuditLogs, Level, Logging, RotatingLogs
from edge_twisted.config.paths import PathContext
from edge_twisted.config.sections.section import Section

_CONSOLES: Final[dict[str, Literal["std_out", "std_err", "off"]]] = {
    "std_out": "std_out",
    "std_err": "std_err",
    "off": "off",
}
_FORMATS: Final[dict[str, Literal["text", "json"]]] = {"text": "text", "json": "json"}
_FREQUENCIES: Final[dict[str, Literal["minutely", "hourly", "daily", "never"]]] = {
    "minutely": "minutely",
    "hourly": "hourly",
    "daily": "daily",
    "never": "never",
}


def logging(section: Section, surroundings: PathContext) -> Logging:
    """Build the logs' part of the configuration."""
    server = section.section("edge_server")
    return Logging(
        ditto_sdk=Level(section.text("ditto_sdk")),
        level=Level(server.text("level")),
        console=_CONSOLES[server.text("console_logs")],
        format=_FORMATS[server.text("format")] if "format" in server else None,
        audit=_audit(server, surroundings),
        rotating=_rotating(server, surroundings),
    )


def _audit(server: Section, surroundings: PathContext) -> AuditLogs | None:
    value = server.value("audit_logs")
    if value is None:
        return None
    return AuditLogs(
        directory=surroundings.folder(value),
        max_files=server.section("audit_logs").optional_integer("max_files"),
    )


def _rotating(server: Section, surroundings: PathContext) -> RotatingLogs | None:
    if "rotating_logs" not in server:
        return None
    logs = server.section("rotating_logs")
    rotation = logs.section("rotation")
    return RotatingLogs(
        directory=surroundings.folder(logs.value("directory")),
        prefix=logs.text("prefix"),
        frequency=_FREQUENCIES[rotation.text("frequency")],
        max_size_bytes=rotation.mebibytes("max_size_mb") if "max_size_mb" in rotation else None,
        max_files=logs.integer("max_files"),
    )
