# SPDX-License-Identifier: Apache-2.0
"""
``twistd edgeserver``: the command line and the service that it gets.

twistd calls `makeService` before it daemonizes, so nothing here opens a file but the
configuration, nor a socket, nor starts a thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from twisted.application.service import IService
from twisted.python import usage

from edge_twisted import __version__
from edge_twisted.config.model import Configuration
from edge_twisted.config.problems import ConfigurationError
from edge_twisted.services.configuration import read_for_reload, read_for_start
from edge_twisted.services.edge_server import EdgeServer
from edge_twisted.services.embedded import embedded_configuration
from edge_twisted.services.process import EX_CONFIG, ExitStatus
from edge_twisted.services.reactor import reactor


class Options(usage.Options):
    """What stands after ``twistd [options] edgeserver``."""

    synopsis = "[--config FILE]"
    longdesc = (
        "An edge data server.  Without --config it serves https://localhost:8443 from edge-data/ "
        "in the current folder, to this machine only, for trying it out."
    )
    optParameters = [["config", "c", None, "The configuration file (YAML)."]]

    def opt_version(self) -> None:
        """Print the version and exit."""
        sys.stdout.write(f"edge-server {__version__}\n")
        raise SystemExit(0)


def makeService(options: Options) -> IService:
    """Read the configuration and return the server, not started; exit with 78 if it is wrong."""
    status = ExitStatus()
    status.install()
    twistd: Mapping[str, object] = options.parent or {}
    if options["config"] is None:
        embedded = embedded_configuration(Path.cwd())
        return EdgeServer(embedded, None, reactor, status, os.environ, twistd)
    # Absolute, for a daemon changes its folder.
    path = Path(options["config"])
    configuration = _read(path)
    again = path.absolute()
    return EdgeServer(
        configuration,
        lambda: read_for_reload(again, os.environ),
        reactor,
        status,
        os.environ,
        twistd,
    )


def _read(path: Path) -> Configuration:
    try:
        loaded = read_for_start(path, os.environ)
    except ConfigurationError as error:
        for problem in (*error.warnings, *error.problems):
            sys.stderr.write(f"{problem}\n")
        raise SystemExit(EX_CONFIG) from None
    for warning in loaded.warnings:
        sys.stderr.write(f"{warning}\n")
    return loaded.configuration
