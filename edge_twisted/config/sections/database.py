# SPDX-License-Identifier: Apache-2.0
"""The section `database` of a valid file as a value."""

from __future__ import annotations

from edge_twisted.config.model import (
    DatabaseConfig,
    PeerToPeer,
    Secret,
    ServerAuth,
    SmallPeerOnly,
    SubscriptionConfig,
    TcpListen,
    TransportConfig,
)
from edge_twisted.config.paths import PathContext
from edge_twisted.config.sections.section import Section
from edge_twisted.config.yaml.nodes import Plain


def database(section: Section, surroundings: PathContext) -> DatabaseConfig:
    """Build the database's part of the configuration."""
    return DatabaseConfig(
        db_id=section.text("db_id").lower(),
        device_name=section.text("device_name"),
        auth=_auth(section.section("auth")),
        subscriptions=tuple(_subscription(each) for each in section.items("subscriptions")),
        persistence_dir=surroundings.folder(section.value("persistence_dir")),
        transport=_transport(section.section("transport_config")),
        auto_fetch_attachments=section.flag("auto_fetch_attachments"),
        moved_out="drop" if section.text("moved_out") == "drop" else "keep",
        max_collections=section.integer("max_collections"),
        scrub_kib_per_second=section.integer("scrub_kib_per_second"),
        scrub_interval_hours=section.integer("scrub_interval_hours"),
    )


def _auth(section: Section) -> ServerAuth | SmallPeerOnly:
    if "server" in section:
        server = section.section("server")
        return ServerAuth(
            access_token=Secret(server.text("access_token")),
            auth_url=server.text("auth_url"),
            provider=server.text("provider"),
            enable_cloud_sync=server.flag("enable_cloud_sync"),
        )
    spelling = "small_peer_only" if "small_peer_only" in section else "small_peers_only"
    peer = section.section(spelling)
    return SmallPeerOnly(
        offline_license_token=Secret(peer.text("offline_license_token")),
        key_b64=Secret(peer.text("key_b64")) if "key_b64" in peer else None,
    )


def _subscription(value: Plain) -> SubscriptionConfig:
    if not isinstance(value, dict):
        return SubscriptionConfig(query=str(value))
    args = value.get("args")
    return SubscriptionConfig(
        query=str(value["query"]), args=args if isinstance(args, dict) else {}
    )


def _transport(section: Section) -> TransportConfig:
    peer_to_peer = section.section("peer_to_peer")
    connect = section.section("connect_config")
    listen = section.section("listen_config").section("tcp_listen")
    return TransportConfig(
        peer_to_peer=PeerToPeer(
            lan_enabled=peer_to_peer.flag("lan_enabled"),
            lan_mdns_enabled=peer_to_peer.flag("lan_mdns_enabled"),
            lan_multicast_enabled=peer_to_peer.optional_flag("lan_multicast_enabled"),
            ble_enabled=peer_to_peer.optional_flag("ble_enabled"),
            awdl_enabled=peer_to_peer.optional_flag("awdl_enabled"),
            wifi_aware_enabled=peer_to_peer.optional_flag("wifi_aware_enabled"),
        ),
        known_tcp_servers=connect.texts("known_tcp_servers"),
        known_ws_servers=connect.texts("known_ws_servers"),
        retry_interval_msec=connect.integer("retry_interval_msec"),
        tcp_listen=TcpListen(
            enable=listen.flag("enable"),
            ip=listen.text("ip"),
            port=listen.integer("port"),
        ),
        max_connections=section.integer("max_connections"),
    )
