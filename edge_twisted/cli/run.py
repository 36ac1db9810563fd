# SPDX-License-Identifier: Apache-2.0
"""``edge-server run``: runs the server in the foreground, like ``twistd -n edgeserver``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_twisted.cli.options import CONFIG_PATH


@click.command("run")
@click.option(
    "-c",
    "--config",
    type=CONFIG_PATH,
    help="The configuration file; without it, a server to try on this machine only.",
)
def run(config: Path | None) -> None:
    """Run the server in the foreground."""
    # Imported late: Twisted's runner takes longer to import than other commands take to run.
    from twisted.scripts._twistd_unix import ServerOptions
    from twisted.scripts.twistd import runApp

    options = ServerOptions()
    arguments = ["--nodaemon", "--pidfile=", "edgeserver"]
    options.parseOptions(arguments + (["--config", str(config)] if config else []))
    runApp(options)
