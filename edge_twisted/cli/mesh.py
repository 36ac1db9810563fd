# SPDX-License-Identifier: Apache-2.0
"""`edge-server mesh`: makes the key that the servers of a mesh share."""

from __future__ import annotations

import base64

import click
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@click.group("mesh")
def mesh() -> None:
    """Make the key that the servers of a mesh share."""


@mesh.command("generate-key")
def generate_key() -> None:
    """
    Make a new shared key, and print it.

    It goes into the configuration of every server of the mesh, under
    database.auth.small_peer_only.key_b64. Whoever has it is a member: keep it secret.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    click.echo(base64.b64encode(der).decode("ascii"))
