# SPDX-License-Identifier: Apache-2.0
"""`edge-server config open-api`: prints the OpenAPI document of a configuration."""

from __future__ import annotations

import os
from pathlib import Path

import click
import orjson

from edge_twisted.api.tree import openapi_document_of
from edge_twisted.cli.options import config_option
from edge_twisted.config.load import load


@click.command("open-api")
@config_option("path", "The configuration file.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it; without, to standard output.",
)
def open_api(path: Path, output: Path | None) -> None:
    """Print the OpenAPI document of exactly the endpoints that a configuration switches on."""
    # Certificates and folders need not be there: the document may be made on any machine.
    configuration = load(path, os.environ).configuration
    if configuration.http_server is None:
        raise click.ClickException(f"{path} has no http_server, so there is no API")
    document = orjson.dumps(openapi_document_of(configuration), option=orjson.OPT_INDENT_2) + b"\n"
    if output is None:
        click.echo(document, nl=False)
        return
    try:
        output.write_bytes(document)
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from error
