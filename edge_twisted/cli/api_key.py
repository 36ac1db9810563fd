# SPDX-License-Identifier: Apache-2.0
"""`edge-server api-key`: make a key for a caller, and check one against its hash."""

from __future__ import annotations

import sys

import click

from edge_twisted.security.api_keys import generate, verify
from edge_twisted.security.errors import BadKeyHash


@click.group("api-key")
def api_key() -> None:
    """Make and check API keys."""


@api_key.command("generate")
def generate_key() -> None:
    """
    Make a new key.

    The private key is shown this once: give it to the caller, who sends it as
    `Authorization: Bearer KEY`. The hash goes into the configuration, under
    auth.identities.NAME.credential.api_key.
    """
    made = generate()
    click.echo(f"Generated Private Key: {made.key}")
    click.echo(f"Secure Public Hash: {made.hash}")


@api_key.command("validate")
@click.option("--key", required=True, help="The private key; - reads it from standard input.")
@click.option("--hash", "hash_text", required=True, help="The hash to check it against.")
@click.pass_context
def validate_key(context: click.Context, key: str, hash_text: str) -> None:
    """Check that a key belongs to a hash: exit status 0 if it does, 1 if not."""
    if key == "-":
        # Other users see the arguments of a process, but not its input.
        key = sys.stdin.readline().rstrip("\r\n")
    try:
        valid = verify(key, hash_text)
    except BadKeyHash as error:
        click.echo(f"the hash {error}", err=True)
        valid = False
    click.echo("Key is valid" if valid else "Key is not valid")
    context.exit(0 if valid else 1)
