# SPDX-License-Identifier: Apache-2.0
"""`edge-server config`: check a configuration file, print its schema."""

from __future__ import annotations

import os
from pathlib import Path

import click
import yaml

from edge_twisted.cli.lazy import LazyCommand, LazyGroup
from edge_twisted.cli.options import config_option
from edge_twisted.config.schema import schema, schema_text
from edge_twisted.services.configuration import read_configuration

#: Imported lazily, because it imports the whole API.
_LAZY = {
    "open-api": LazyCommand(
        "edge_twisted.cli.open_api:open_api", "Print the OpenAPI document of a configuration."
    )
}


@click.group("config", cls=LazyGroup, lazy=_LAZY)
def config() -> None:
    """Check a configuration, print its schema or its API."""


@config.command("schema")
@click.argument("form", type=click.Choice(["json", "yaml"]), default="json")
def print_schema(form: str) -> None:
    """
    Print the JSON Schema of the configuration file, as JSON or YAML.

    It is what validates the file; editors can use it for completion.
    """
    if form == "json":
        click.echo(schema_text(), nl=False)
    else:
        text = yaml.safe_dump(dict(schema()), sort_keys=False, allow_unicode=True, width=100)
        click.echo(text, nl=False)


@config.command("validate")
@config_option("path", "The configuration file.")
def validate(path: Path) -> None:
    """
    Check a configuration file as a start does, and create nothing.

    Exit status 0 if it can be used, warnings or not; 78 if it cannot.
    """
    loaded = read_configuration(path, os.environ)
    for warning in loaded.warnings:
        click.echo(str(warning), err=True)
    click.echo(f"{path}: the configuration is valid")
