# SPDX-License-Identifier: Apache-2.0
"""A configuration that is valid, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_twisted.config.checks import Checks
from edge_twisted.config.paths import Surroundings
from edge_twisted.config.problems import ConfigurationError
from edge_twisted.config.reading import Loaded, read

#: Short, so that line numbers in tests are easy to count.
MINIMAL = """\
database:
  db_id: 12345678-1234-4123-1234-123456789012
  device_name: here
  auth: {small_peer_only: {offline_license_token: token}}
auth: dev_mode
"""

FOLDER = Path("/etc/edge")


def load_text(
    text: str | bytes,
    *,
    environ: Mapping[str, str] | None = None,
    checks: Checks | None = None,
) -> Loaded:
    """Read `text` as the file ``/etc/edge/edge.yaml``, with ``/srv`` as the current folder."""
    surroundings = Surroundings(
        config_folder=FOLDER, working_folder=Path("/srv"), environ=environ or {}
    )
    data = text.encode() if isinstance(text, str) else text
    return read(data, Path("edge.yaml"), surroundings, checks or Checks())


def lines_of(
    text: str | bytes,
    *,
    environ: Mapping[str, str] | None = None,
    checks: Checks | None = None,
) -> list[str]:
    """Return the problems of `text`, one line each, without the file's name; none if it loads."""
    try:
        load_text(text, environ=environ, checks=checks)
    except ConfigurationError as error:
        return [str(problem).removeprefix("edge.yaml:") for problem in error.problems]
    return []
