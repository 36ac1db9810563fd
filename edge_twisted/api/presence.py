# SPDX-License-Identifier: Apache-2.0
"""
``GET /presence``: who is in the mesh, and who is connected with whom.

The JSON has the shape of the reference's SDK, so that its viewers can draw it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from typing import Literal

from attrs import field, frozen

from edge_twisted import __version__
from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.request import Request
from edge_twisted.api.response import AnyResponse, Response
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

#: How this server calls itself where the reference has the version of its SDK.
SERVER_VERSION = f"edge-twisted/{__version__}"


@frozen(kw_only=True)
class PresenceLink:
    """A link between two peers, named by their keys in any order; LAN and TCP: AccessPoint."""

    peer: str
    other: str
    kind: Literal["AccessPoint", "WebSocket"] = "AccessPoint"

    def as_json(self) -> Mapping[str, object]:
        """Return it with the lesser key first."""
        first, second = sorted((self.peer, self.other))
        return {
            "id": f"{first}<->{second}:{self.kind}",
            "connectionType": self.kind,
            "peerKeyString1": first,
            "peerKeyString2": second,
            "approximateDistanceInMeters": None,
        }


@frozen(kw_only=True)
class PresencePeer:
    """One server of the mesh, as far as it is known."""

    key: str
    device_name: str
    os: str | None = None
    version: str | None = None
    is_connected_to_cloud: bool = False
    is_compatible: bool | None = True
    metadata: Mapping[str, object] = field(factory=dict)
    identity_metadata: Mapping[str, object] = field(factory=dict)
    connections: tuple[PresenceLink, ...] = ()

    def as_json(self) -> Mapping[str, object]:
        """Return it in the documented shape."""
        return {
            "peerKeyString": self.key,
            "deviceName": self.device_name,
            "os": self.os,
            "dittoSdkVersion": self.version,
            "isConnectedToDittoCloud": self.is_connected_to_cloud,
            "isCompatible": self.is_compatible,
            "peerMetadata": dict(self.metadata),
            "identityServiceMetadata": dict(self.identity_metadata),
            "connections": [each.as_json() for each in self.connections],
        }


@frozen(kw_only=True)
class Graph:
    """The mesh as this server sees it."""

    local: PresencePeer
    remote: tuple[PresencePeer, ...] = ()

    def as_json(self) -> Mapping[str, object]:
        """Return it in the documented shape."""
        return {
            "localPeer": self.local.as_json(),
            "remotePeers": [each.as_json() for each in self.remote],
        }


def local_peer(
    key: str, device_name: str, *, connections: tuple[PresenceLink, ...] = ()
) -> PresencePeer:
    """Return this server; `key` is its public key's text."""
    return PresencePeer(
        key=key,
        device_name=device_name,
        os=platform.system() or None,
        version=SERVER_VERSION,
        connections=connections,
    )


class PresenceResource:
    """Answers with what `graph` returns at that moment."""

    route = ROUTE
    max_body_bytes = 0

    def __init__(self, graph: Callable[[], Graph]) -> None:
        self._graph = graph

    async def respond(self, request: Request) -> AnyResponse:
        """Show the graph as of now."""
        return Response.json(self._graph().as_json(), headers=((b"Cache-Control", b"no-store"),))
