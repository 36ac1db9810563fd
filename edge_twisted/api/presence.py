# SPDX-License-Identifier: Apache-2.0
"""
``GET /presence``: the servers of the mesh, and the links between them.

The JSON has the shape of the reference's SDK, so that viewers of its graph can draw ours.  The
classes are that JSON: their fields, renamed, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Self

import msgspec
from msgspec import Struct, field

from edge_twisted import __version__
from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.request import Request
from edge_twisted.api.resource import Page
from edge_twisted.api.response import Response
from edge_twisted.api.route import Route

ROUTE = Route(
    endpoint="presence",
    path="/presence",
    methods=("GET",),
    setting="http_server.http_api.presence",
)

OPERATION = Operation(
    route=ROUTE,
    id="presence",
    summary="The mesh: this server, its peers, and their connections.",
    description="Also peers that are reached through others.",
    responses={200: {"description": "The graph.", "content": content("Presence")}},
)

#: This server's name and version, in the field where the reference has the version of its SDK.
SERVER_VERSION = f"edge-twisted/{__version__}"


class PresenceLink(Struct, frozen=True, kw_only=True, rename="camel"):
    """A link between two peers in the form of the answer; make one with `between`."""

    id: str
    connection_type: Literal["AccessPoint", "WebSocket"]
    peer_key_string1: str
    peer_key_string2: str
    approximate_distance_in_meters: float | None = None

    @classmethod
    def between(
        cls, peer: str, other: str, kind: Literal["AccessPoint", "WebSocket"] = "AccessPoint"
    ) -> Self:
        """Return the link of two peers, whose keys may come in any order.

        `kind` is the published name of the carrier; "AccessPoint" stands for LAN and TCP.
        """
        first, second = sorted((peer, other))
        return cls(
            id=f"{first}<->{second}:{kind}",
            connection_type=kind,
            peer_key_string1=first,
            peer_key_string2=second,
        )


class PresencePeer(Struct, frozen=True, kw_only=True, rename="camel"):
    """One server of the mesh, as far as it is known."""

    key: str = field(name="peerKeyString")
    device_name: str
    os: str | None = None
    version: str | None = field(default=None, name="dittoSdkVersion")
    is_connected_to_cloud: bool = field(default=False, name="isConnectedToDittoCloud")
    is_compatible: bool | None = True
    metadata: Mapping[str, object] = field(default_factory=dict, name="peerMetadata")
    identity_metadata: Mapping[str, object] = field(
        default_factory=dict, name="identityServiceMetadata"
    )
    connections: tuple[PresenceLink, ...] = ()


class Graph(Struct, frozen=True, kw_only=True):
    """The mesh as this server sees it."""

    local: PresencePeer = field(name="localPeer")
    remote: tuple[PresencePeer, ...] = field(default=(), name="remotePeers")


def presence_page(graph: Callable[[], Graph]) -> Page:
    """Return the endpoint that shows what `graph` returns at that moment."""

    def answer(_request: Request) -> Response:
        # `dict` for metadata that is another kind of mapping.
        body = msgspec.json.encode(graph(), enc_hook=dict)
        return Response(body=body, headers=((b"Cache-Control", b"no-store"),))

    return Page(ROUTE, answer)
