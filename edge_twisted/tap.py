# SPDX-License-Identifier: Apache-2.0
"""
The plugin of twistd: ``twistd edgeserver --config FILE``, from the command line to a service.

`makeService` reads and checks the configuration and returns an `EdgeServer`, not started.  Its
parts start from the top down, each once the part above has started, and stop from the bottom up:

    allocator                   services.allocator     bounds the C library's unused memory
    logging                     logs.service           log files; twistd's events go there too
    [development certificate]   security.development   made at the first start without --config
    reactor lag                 services.lag           measures how late the reactor's timers are
    store                       services.database      SQLite store, and the DQL database on it
    garbage collection          services.garbage       bounds the pauses of Python's collector
    mesh                        services.mesh          links to peers, which replicate the store
    status                      services.status        unix socket for `edge-server status`
    [http]                      services.http          the HTTP API: database, attachments, presence
    [watchdog]                  services.systemd       tells systemd that the reactor turns

A part in brackets exists only where it is configured.  `EdgeServer` connects the parts: it gives
the store to mesh and HTTP API, and the logging's audit log and one set of metrics to all of them.
SIGHUP reloads logging, store, mesh and HTTP API in two phases (`services.reload`).

twistd calls `makeService` before it forks, so the configuration file is all that is read here: no
store, socket, log file or thread is opened before the start.  A configuration that cannot be used
ends the process with status 78, and every problem is on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from twisted.application.service import IService
from twisted.python import usage

from edge_twisted import __version__
from edge_twisted.config.model import Configuration
from edge_twisted.config.problems import ConfigurationError
from edge_twisted.services.configuration import read_for_reload, read_for_start
from edge_twisted.services.edge_server import EdgeServer, Load
from edge_twisted.services.embedded import embedded_configuration
from edge_twisted.services.process import EX_CONFIG, ExitStatus
from edge_twisted.services.reactor import reactor


class Options(usage.Options):
    """The command line behind ``twistd [options] edgeserver``."""

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
    load: Load | None = None
    if options["config"] is None:
        configuration = embedded_configuration(Path.cwd())
    else:
        path = Path(options["config"])
        configuration = _read(path)
        # Absolute, because twistd changes the current folder when it daemonizes.
        load = partial(read_for_reload, path.absolute(), os.environ)
    return EdgeServer(configuration, load, reactor, status, os.environ, twistd)


def _read(path: Path) -> Configuration:
    """Return the configuration at `path`; print its warnings, or exit with its problems."""
    try:
        loaded = read_for_start(path, os.environ)
    except ConfigurationError as error:
        for problem in (*error.warnings, *error.problems):
            sys.stderr.write(f"{problem}\n")
        raise SystemExit(EX_CONFIG) from None
    for warning in loaded.warnings:
        sys.stderr.write(f"{warning}\n")
    return loaded.configuration
