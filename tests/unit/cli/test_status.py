# SPDX-License-Identifier: Apache-2.0
"""What `edge-server status` says of a status document."""

from __future__ import annotations

from edge_twisted.cli.status import status_lines
from edge_twisted.services.mesh_status import (
    AddressStatus,
    HttpStatus,
    OtherPeer,
    PeerStatus,
    ServerStatus,
)

NOW = 1_000_000.0
PEER = PeerStatus(
    peer="pk2", device_name="spoke", connected=True, carrier="tcp", address="192.0.2.2:4000",
    dialled=True, connected_seconds=1.0, acknowledged=7, behind=2,
    received_at=int(NOW - 300) * 1000, bytes_in=0, bytes_out=0,
)  # fmt: skip
GONE = PeerStatus(
    peer="pk3", device_name="", connected=False, carrier="", address="", dialled=False,
    connected_seconds=0.0, acknowledged=-1, behind=9, received_at=-1, bytes_in=0, bytes_out=0,
)  # fmt: skip


def document() -> ServerStatus:
    """Return the document of a server with one link, as a server of an earlier version sends it."""
    return ServerStatus(
        peer="pk1",
        device_name="hub",
        db_id="db",
        version="1",
        mesh="",
        listening=["192.0.2.1:4000"],
        commit=9,
        peers=[PEER, GONE],
        through_others=[OtherPeer(peer="pk4", device_name="far")],
        addresses=[
            AddressStatus(
                carrier="tcp",
                address="192.0.2.3:4000",
                source="discovery",
                state="waiting",
                problem="refused",
            )
        ],
    )


def test_every_part_of_the_document_is_told() -> None:
    assert list(status_lines(document(), NOW)) == [
        "hub (pk1), database db",
        "Listening for peers on 192.0.2.1:4000",
        "Newest commit: 9",
        "",
        "Connected peers: 1",
        "  spoke (pk2), dialled, 192.0.2.2:4000, 2 commits behind, last news 5 min ago",
        "Not connected now:",
        "  pk3, has taken nothing from here yet, nothing came from it",
        "Reached through others: far (pk4)",
        "",
        "Addresses that are dialled:",
        "  192.0.2.3:4000 (found on the local network): not linked: refused",
    ]


def test_troubles_come_before_the_mesh() -> None:
    told = document()
    told["http"] = HttpStatus(listening=[], problem="the certificate has expired")
    told["problems"] = ["the disk is damaged"]
    told["mesh"] = "there is no key"
    assert list(status_lines(told, NOW))[1:] == [
        "HTTPS IS NOT SERVED: the certificate has expired",
        "Degraded: the disk is damaged",
        "The mesh is off: there is no key",
    ]
    told["http"] = HttpStatus(listening=["127.0.0.1:8443"], problem="")
    assert list(status_lines(told, NOW))[1] == "Serving HTTP on 127.0.0.1:8443"
