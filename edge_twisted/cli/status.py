# SPDX-License-Identifier: Apache-2.0
"""`edge-server status`: prints the state of a running server and of its mesh."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from edge_twisted.cli.options import config_option
from edge_twisted.config.load import load
from edge_twisted.config.model import TemporaryFolder
from edge_twisted.services.status import status_socket
from edge_twisted.services.wall_clock import now_seconds

if TYPE_CHECKING:
    # Only its names: a command that prints a few lines need not import a server.
    from edge_twisted.services.mesh_status import (
        AddressStatus,
        HttpStatus,
        OtherPeer,
        PeerStatus,
        ServerStatus,
        TransitStatus,
    )

#: A server that does not answer within this time hangs.
PATIENCE_SECONDS: Final = 10.0

_STATES: Final = {
    "waiting": "not linked",
    "connecting": "not linked",
    "linked": "linked",
    "resting": "not dialled",
    "self": "not dialled",
}


@click.command("status")
@config_option("path", "The configuration file of the running server.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(path: Path, as_json: bool) -> None:
    """
    Show the peers of a running server, and how far they are.

    Exit status 1 if no server runs with this configuration.
    """
    # `load` without checks: a server runs with this file, whose certificates may have expired.
    folder = load(path, os.environ).configuration.database.persistence_dir
    if isinstance(folder, TemporaryFolder):
        raise click.ClickException(
            "a server with persistence_dir: temp_dir cannot be found; ask GET /presence"
        )
    text = _ask(status_socket(folder))
    if as_json:
        click.echo(text, nl=False)
    else:
        for line in status_lines(json.loads(text), now_seconds()):
            click.echo(line)


def status_lines(document: ServerStatus, now: float) -> Iterator[str]:
    """Yield the lines of a status for people; `now` is the date in seconds since 1970."""
    yield f"{document['device_name']} ({document['peer']}), database {document['db_id']}"
    yield from _http(document.get("http"))
    for problem in document.get("problems", ()):
        yield f"Degraded: {problem}"
    if document["mesh"]:
        yield f"The mesh is off: {document['mesh']}"
        return
    places = document["listening"]
    yield f"Listening for peers on {', '.join(places)}" if places else "Not listening for peers"
    yield f"Newest commit: {document['commit']}"
    yield ""
    yield from _peers(document["peers"], now)
    others = document["through_others"]
    if others:
        yield f"Reached through others: {', '.join(map(_name, others))}"
    yield from _transit(document.get("transit"))
    addresses = document["addresses"]
    if addresses:
        yield ""
        yield "Addresses that are dialled:"
        for each in addresses:
            yield f"  {_address(each)}"


def _http(document: HttpStatus | None) -> Iterator[str]:
    # A server of an earlier version has no such field.
    if document is None:
        return
    if document["problem"]:
        yield f"HTTPS IS NOT SERVED: {document['problem']}"
    elif document["listening"]:
        yield f"Serving HTTP on {', '.join(document['listening'])}"


def _transit(transit: TransitStatus | None) -> Iterator[str]:
    if transit is None:
        return
    size, most = transit["bytes"] / 2**20, transit["max_bytes"] / 2**20
    yield (
        f"Carried for neighbours: {transit['documents']} documents, {size:.1f} of {most:.0f} MiB;"
        f" {transit['scopes']} scopes; {transit['dropped']} documents dropped to make room"
    )
    if transit["paused"]:
        yield "  Nothing more is taken for them until they acknowledge what is kept"


def _peers(peers: Sequence[PeerStatus], now: float) -> Iterator[str]:
    connected = [each for each in peers if each["connected"]]
    yield f"Connected peers: {len(connected) or 'none'}"
    for each in connected:
        direction = "dialled" if each["dialled"] else "accepted"
        yield f"  {_name(each)}, {direction}, {each['address']}, {_progress(each, now)}"
    gone = [each for each in peers if not each["connected"]]
    if gone:
        yield "Not connected now:"
        for each in gone:
            yield f"  {_name(each)}, {_progress(each, now)}"


def _progress(peer: PeerStatus, now: float) -> str:
    if peer["acknowledged"] < 0:
        behind = "has taken nothing from here yet"
    elif peer["behind"]:
        behind = f"{peer['behind']} commits behind"
    else:
        behind = "up to date"
    received = peer["received_at"]
    came = "nothing came from it" if received < 0 else f"last news {_ago(now - received / 1000)}"
    return f"{behind}, {came}"


def _ago(seconds: float) -> str:
    whole = max(0, round(seconds))
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if whole >= 2 * length:
            return f"{whole // length} {unit} ago"
    return f"{whole} s ago"


def _name(peer: PeerStatus | OtherPeer) -> str:
    return f"{peer['device_name']} ({peer['peer']})" if peer["device_name"] else str(peer["peer"])


def _address(document: AddressStatus) -> str:
    state, problem = _STATES.get(document["state"], document["state"]), document["problem"]
    found = " (found on the local network)" if document["source"] == "discovery" else ""
    return f"{document['address']}{found}: {state}{': ' if problem else ''}{problem}"


def _ask(path: Path) -> str:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(os.fsencode(path))
            with connection.makefile("r", encoding="utf-8") as answer:
                text = answer.read()
    except (FileNotFoundError, ConnectionRefusedError):
        raise click.ClickException(f"no server runs with {path.parent}") from None
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror or error}") from None
    if not text:
        raise click.ClickException("the server did not tell; its log says why")
    return text
