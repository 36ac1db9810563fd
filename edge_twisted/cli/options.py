# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])

#: Path of a configuration file, not checked by click, which would exit with status 2 for a missing
#: or unreadable file: `config.load` reports that, with exit status 78.
CONFIG_PATH: Final = click.Path(path_type=Path, readable=False)


def config_option(
    name: str, summary: str, callback: Callable[..., Any] | None = None
) -> Callable[[F], F]:
    """Return a decorator that adds the required option ``-c FILE`` to a command.

    :param name: the parameter of the command that gets the path.
    :param summary: the option's line in the help.
    :param callback: converts the path, called by click with (context, parameter, path).
    """
    return click.option(
        "-c",
        "--config",
        name,
        required=True,
        metavar="FILE",
        type=CONFIG_PATH,
        callback=callback,
        help=summary,
    )
