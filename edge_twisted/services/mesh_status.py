# SPDX-License-Identifier: Apache-2.0
"""The state of the server and its mesh as one JSON document: `edge-server status` shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NotRequired, TypedDict

from edge_twisted.api.presence import SERVER_VERSION
from edge_twisted.mesh.links.dialer import Dial
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.links.node import MeshNode
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.replication.transit_relay import TransitAccount
from edge_twisted.services.listening import listening_text
from edge_twisted.services.mesh import MeshService


class PeerStatus(TypedDict):
    """
    One peer that is linked with this server, or once was.

    `carrier` is what the bytes of its link run over, ``tcp``; `carrier` and `address` are empty
    without a link.
    `acknowledged` is the commit here up to which the peer has all it wants, `behind` the number of
    commits after that one, `received_at` when documents last came from it (ms since 1970).  -1:
    never.
    """

    peer: str
    device_name: str
    connected: bool
    carrier: str
    address: str
    dialled: bool
    connected_seconds: float
    acknowledged: int
    behind: int
    received_at: int
    bytes_in: int
    bytes_out: int


class TransitStatus(TypedDict):
    """
    What is carried for neighbours.

    `bytes` and `documents` are kept, of at most `max_bytes`; `scopes` are subscribed to for
    others; `dropped` documents went since the start to make room.  `paused` is whether nothing more
    is taken until neighbours acknowledge what is kept.
    """

    bytes: int
    max_bytes: int
    documents: int
    scopes: int
    dropped: int
    paused: bool


class AddressStatus(TypedDict):
    """One address that is dialled; `source` is ``configuration`` or ``discovery``."""

    carrier: str
    address: str
    source: str
    state: str
    problem: str


class OtherPeer(TypedDict):
    """A peer without a link to this server, which is reached through other peers."""

    peer: str
    device_name: str


class MeshStatus(TypedDict):
    """
    The mesh.

    `mesh` is why this server links with no peer, empty if it can; `transit` is None where nothing
    is carried for neighbours.
    """

    peer: str
    device_name: str
    db_id: str
    version: str
    mesh: str
    listening: Sequence[str]
    commit: int
    peers: Sequence[PeerStatus]
    through_others: Sequence[OtherPeer]
    addresses: Sequence[AddressStatus]
    #: A server of an earlier version does not send it.
    transit: NotRequired[TransitStatus | None]


class HttpStatus(TypedDict):
    """The HTTP listener; `problem` is why HTTPS is not served, empty if it is or none is wanted."""

    listening: Sequence[str]
    problem: str


class ServerStatus(MeshStatus):
    """The whole document, as the socket sends it; `problems` are sentences, the server's faults."""

    # A server of an earlier version sends neither.
    http: NotRequired[HttpStatus]
    problems: NotRequired[Sequence[str]]


def status_of(mesh: MeshService) -> MeshStatus:
    """Return the state of a mesh that has started, in the form of `edge-server status`."""
    graph = mesh.graph
    assert graph is not None
    direct: Mapping[PeerKey, Link] = mesh.node.peers if mesh.node is not None else {}
    return MeshStatus(
        peer=graph.local.peer,
        device_name=graph.local.device_name,
        db_id=mesh.configuration.db_id,
        version=SERVER_VERSION,
        mesh=mesh.problem,
        listening=[listening_text(port) for port in mesh.ports],
        commit=mesh.replication.documents.lsn,
        peers=list(_peers(mesh, direct)),
        through_others=[
            OtherPeer(peer=record.peer, device_name=record.device_name)
            for record in graph.peers()
            if record.peer not in direct
        ],
        addresses=[_address(mesh, dial) for dial in mesh.dialer.dials] if mesh.dialer else [],
        transit=_transit(mesh.replication.transit),
    )


def _peers(mesh: MeshService, direct: Mapping[PeerKey, Link]) -> Iterator[PeerStatus]:
    keys = [PeerKey(key) for key in mesh.replication.known_peers]
    lags = mesh.replication.lags(keys)
    for key in keys:
        link, progress = direct.get(key), mesh.replication.progress(key)
        yield PeerStatus(
            peer=key,
            device_name="" if link is None else link.device_name,
            connected=link is not None,
            carrier="" if link is None else link.route.carrier.name,
            address="" if link is None else link.address,
            dialled=link is not None and link.route.is_dialled,
            connected_seconds=0.0 if link is None else round(_age(mesh.node, link), 3),
            acknowledged=progress.acknowledged_lsn,
            behind=lags[key],
            received_at=progress.received_at,
            bytes_in=0 if link is None else link.bytes_in,
            bytes_out=0 if link is None else link.bytes_out,
        )


def _transit(account: TransitAccount | None) -> TransitStatus | None:
    if account is None:
        return None
    return TransitStatus(
        bytes=account.size,
        max_bytes=account.most_bytes,
        documents=account.documents,
        scopes=account.scopes,
        dropped=account.dropped,
        paused=account.is_paused,
    )


def _age(node: MeshNode | None, link: Link) -> float:
    assert node is not None
    return node.now - link.began


def _address(mesh: MeshService, dial: Dial) -> AddressStatus:
    return AddressStatus(
        carrier=dial.target.carrier,
        address=str(dial.target),
        source="configuration" if mesh.is_configured(dial.target) else "discovery",
        state=dial.state.value,
        problem=dial.problem,
    )
