# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])

#: A configuration file, unchecked: whoever loads one that is not there, or may not be read, says so
#: with exit status 78, and click would end with 2.
CONFIG_PATH: Final = click.Path(path_type=Path, readable=False)


def config_option(
    name: str, summary: str, callback: Callable[..., Any] | None = None
) -> Callable[[F], F]:
    """Return ``-c FILE``, required: the parameter `name` gets its path, or what `callback` says."""
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
