# SPDX-License-Identifier: Apache-2.0
"""
`edge-server`: the table of commands, and their common handling of errors.

Exit status: 0; 1 if what was asked for failed; 2 for wrong usage; 78 for a bad configuration.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import click

from edge_twisted import __version__
from edge_twisted.cli.lazy import LazyCommand, LazyGroup
from edge_twisted.config.problems import ConfigurationError
from edge_twisted.errors import EdgeError

#: Name -> command; add new commands here.
COMMANDS: Mapping[str, LazyCommand] = {
    "api-key": LazyCommand("edge_twisted.cli.api_key:api_key", "Make and check API keys."),
    "backup": LazyCommand(
        "edge_twisted.cli.data:backup", "Copy the data of a server that may run."
    ),
    "check": LazyCommand("edge_twisted.cli.data:check", "Check the data, and repair it."),
    "config": LazyCommand(
        "edge_twisted.cli.config:config", "Check a configuration, print its schema."
    ),
    "mesh": LazyCommand("edge_twisted.cli.mesh:mesh", "Make the key that a mesh shares."),
    "restore": LazyCommand("edge_twisted.cli.data:restore", "Put a backup in place."),
    "run": LazyCommand("edge_twisted.cli.run:run", "Run the server in the foreground."),
    "status": LazyCommand("edge_twisted.cli.status:status", "Show how a running server's mesh is."),
}


class _EdgeServer(LazyGroup):
    """Turns the errors of this project into messages and exit statuses."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; print an error of this project as a message, and set the exit status."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            for problem in (*error.warnings, *error.problems):
                click.echo(str(problem), err=True)
            ctx.exit(ConfigurationError.EXIT_STATUS)
        except EdgeError as error:
            raise click.ClickException(str(error)) from error


@click.group(
    "edge-server",
    cls=_EdgeServer,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="edge-server", message="%(prog)s %(version)s")
@click.pass_context
def edge_server(ctx: click.Context) -> None:
    """An edge data server: documents, DQL over HTTPS, and a peer mesh."""
    # https://no-color.org: present and not empty.
    if os.environ.get("NO_COLOR"):
        ctx.color = False


@edge_server.command("help")
@click.argument("command", nargs=-1)
@click.pass_context
def help_command(ctx: click.Context, command: tuple[str, ...]) -> None:
    """Show what a command does."""
    parent = ctx.parent
    assert parent is not None
    current: click.Command = edge_server
    shown = parent
    for name in command:
        found = current.get_command(shown, name) if isinstance(current, click.Group) else None
        if found is None:
            raise click.UsageError(f"There is no command {' '.join(command)!r}.", parent)
        shown = click.Context(found, info_name=name, parent=shown)
        current = found
    click.echo(current.get_help(shown), color=ctx.color)


def main() -> None:
    """Run the command line of this process, and end it."""
    try:
        edge_server(prog_name="edge-server")
    except BrokenPipeError:
        # The reader of the output (`head`) has ended.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
