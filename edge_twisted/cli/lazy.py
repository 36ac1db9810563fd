# SPDX-License-Identifier: Apache-2.0
"""A click group that imports its commands when they are used, so that `help` stays quick."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click
from attrs import frozen


@frozen
class LazyCommand:
    """Import path of a command as ``module:attribute``, and its line in the list of commands."""

    target: str
    summary: str

    def load(self) -> click.Command:
        """Import the command and return it."""
        module, _, attribute = self.target.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), self.target
        return command


class LazyGroup(click.Group):
    """A group with the commands `lazy`, and those that are added as usual."""

    def __init__(self, *args: object, lazy: Mapping[str, LazyCommand], **settings: object) -> None:
        super().__init__(*args, **settings)  # type: ignore[arg-type]  # click's own, passed on
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted; import none."""
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, imported if it is lazy; None if there is none."""
        found = self._lazy.get(cmd_name)
        return found.load() if found is not None else super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands into the help, from their summaries; import none."""
        lines = []
        for name in self.list_commands(ctx):
            found = self._lazy.get(name)
            if found is not None:
                lines.append((name, found.summary))
            elif (command := super().get_command(ctx, name)) is not None:
                lines.append((name, command.get_short_help_str()))
        with formatter.section("Commands"):
            formatter.write_dl(lines)
