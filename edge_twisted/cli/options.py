# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])


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
        type=click.Path(path_type=Path),
        callback=callback,
        help=summary,
    )
