# SPDX-License-Identifier: Apache-2.0
"""Configurations that are valid, and a way to read them without a file system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edge_twisted.config.checks import Checks
from edge_twisted.config.paths import PathContext
from edge_twisted.config.problems import ConfigurationError
from edge_twisted.config.reading import LoadedConfiguration, read

#: Short, so that line numbers in tests are easy to count.
MINIMAL: Final = """\
database:
  db_id: 12345678-1234-4123-1234-123456789012
  device_name: here
  auth: {small_peer_only: {offline_license_token: token}}
auth: dev_mode
"""
#: Every key of the schema, at a value that is not its default.
FULL: Final = Path(__file__).with_name("full.yaml").read_text("utf-8")

FOLDER: Final = Path("/etc/edge")
ENVIRON: Final[Mapping[str, str]] = {"LOG_DIR": "env-logs", "EMPTY": ""}


def load_text(text: str | bytes, checks: Checks | None = None) -> LoadedConfiguration:
    """Read `text` as the file ``/etc/edge/edge.yaml``, with ``/srv`` as the current folder."""
    context = PathContext(config_folder=FOLDER, working_folder=Path("/srv"), environ=ENVIRON)
    data = text.encode() if isinstance(text, str) else text
    return read(data, Path("edge.yaml"), context, checks or Checks())


def lines_of(text: str | bytes, checks: Checks | None = None) -> list[str]:
    """Return the problems of `text`, one line each, without the file's name; none if it loads."""
    try:
        load_text(text, checks)
    except ConfigurationError as error:
        return [str(problem).removeprefix("edge.yaml:") for problem in error.problems]
    return []


def warnings_of(text: str, checks: Checks | None = None) -> list[str]:
    """Return the warnings of `text`, which must load, one line each, without the file's name."""
    warnings = load_text(text, checks).warnings
    return [str(warning).removeprefix("edge.yaml:") for warning in warnings]
