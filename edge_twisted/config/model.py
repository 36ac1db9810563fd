# SPDX-License-Identifier: Apache-2.0
"""
The configuration as frozen values: what the rest of the server sees of the file.

`build` makes these values from a validated file: paths are absolute, secrets are `Secret`.  Names
follow the keys of the file.  Defaults are those of schema.json, asked for with `default_of`, so
that a value made in code and one read from a file cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from edge_twisted.config.schema import default_of


@frozen(repr=False)
class Secret:
    """A text that never shows itself: `repr` and `str` are redacted, `reveal` is explicit."""

    _text: str

    def reveal(self) -> str:
        """Return the secret text; never log or embed the result in a message."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(<redacted>)"

    __str__ = __repr__


# -- folders ----------------------------------------------------------------------------------


@frozen
class TemporaryFolder:
    """A fresh folder under the system's, made at start and removed at stop."""


#: Where files go: an absolute path, or a folder that lives as long as the process.
Folder = Path | TemporaryFolder


# -- database ---------------------------------------------------------------------------------


@frozen(kw_only=True)
class ServerAuth:
    """Membership by a server's token; `enable_cloud_sync` concerns the cloud, not the mesh."""

    access_token: Secret
    auth_url: str
    provider: str
    enable_cloud_sync: bool = default_of("server_auth.enable_cloud_sync")


@frozen(kw_only=True)
class SmallPeerOnly:
    """Membership by a secret that all peers of the mesh share."""

    offline_license_token: Secret
    key_b64: Secret | None = None


@frozen(kw_only=True)
class SubscriptionConfig:
    """One subscription query with its arguments, checked against the language's restrictions."""

    query: str
    args: Mapping[str, object] = field(factory=dict)


@frozen(kw_only=True)
class PeerToPeer:
    """Which transports may discover peers; a radio that we do not have is only warned about."""

    lan_enabled: bool = default_of("transport_config.peer_to_peer.lan_enabled")
    lan_mdns_enabled: bool = default_of("transport_config.peer_to_peer.lan_mdns_enabled")
    lan_multicast_enabled: bool | None = default_of(
        "transport_config.peer_to_peer.lan_multicast_enabled"
    )
    ble_enabled: bool | None = default_of("transport_config.peer_to_peer.ble_enabled")
    awdl_enabled: bool | None = default_of("transport_config.peer_to_peer.awdl_enabled")
    wifi_aware_enabled: bool | None = default_of("transport_config.peer_to_peer.wifi_aware_enabled")


@frozen(kw_only=True)
class TcpListen:
    """Where mesh peers connect to; port 0 is any free one."""

    enable: bool = default_of("transport_config.listen_config.tcp_listen.enable")
    ip: str = default_of("transport_config.listen_config.tcp_listen.ip")
    port: int = default_of("transport_config.listen_config.tcp_listen.port")


@frozen(kw_only=True)
class TransportConfig:
    """How peers are found, dialled and accepted."""

    peer_to_peer: PeerToPeer = PeerToPeer()
    known_tcp_servers: tuple[str, ...] = default_of(
        "transport_config.connect_config.known_tcp_servers"
    )
    known_ws_servers: tuple[str, ...] = default_of(
        "transport_config.connect_config.known_ws_servers"
    )
    retry_interval_msec: int = default_of("transport_config.connect_config.retry_interval_msec")
    tcp_listen: TcpListen = TcpListen()
    max_connections: int = default_of("transport_config.max_connections")


@frozen(kw_only=True)
class DatabaseConfig:
    """The one database of this server, and its place in the mesh."""

    db_id: str
    device_name: str
    auth: ServerAuth | SmallPeerOnly
    subscriptions: tuple[SubscriptionConfig, ...] = default_of("database.subscriptions")
    persistence_dir: Folder
    transport: TransportConfig = TransportConfig()
    auto_fetch_attachments: bool = default_of("database.auto_fetch_attachments")
    moved_out: Literal["keep", "drop"] = default_of("database.moved_out")
    #: MiB of documents that are carried for neighbours; None: none are.
    transit_mb: int | None = None
    max_collections: int = default_of("database.max_collections")
    #: KiB a second that the scrubber reads, 0 for none, and how often it begins a pass.
    scrub_kib_per_second: int = default_of("database.scrub_kib_per_second")
    scrub_interval_hours: int = default_of("database.scrub_interval_hours")


# -- http_server ------------------------------------------------------------------------------


@frozen(kw_only=True)
class TcpAddress:
    """A host (name, IPv4 or bare IPv6 text) and a port to listen on."""

    host: str
    port: int


@frozen
class UnixAddress:
    """A unix socket to listen on."""

    path: Path


ListenAddress = TcpAddress | UnixAddress


@frozen(kw_only=True)
class TlsFiles:
    """PEM files: the certificate with its chain, and its key."""

    cert: Path
    key: Path


@frozen(kw_only=True)
class Endpoint:
    """Whether an endpoint is served, and the largest body that it takes."""

    enabled: bool = False
    max_body_bytes: int = 0


@frozen(kw_only=True)
class HttpApi:
    """The endpoints that are switched one by one."""

    execute: Endpoint
    attachments_upload: Endpoint
    attachments_download: Endpoint
    presence: Endpoint
    logs: Endpoint


@frozen(kw_only=True)
class ThrottleStrategy:
    """At most `max_requests` in `window_secs`, counted by `strategy`; `path` for route."""

    strategy: Literal["ip_address", "api_key", "route"]
    max_requests: int
    window_secs: float
    path: str | None = None


@frozen(kw_only=True)
class Cors:
    """Which origins' pages may call the API; ``*`` is any."""

    allowed_origins: tuple[str, ...]


@frozen(kw_only=True)
class HttpServer:
    """The HTTP listener, its limits, and what it serves."""

    listen_addr: ListenAddress
    tls: TlsFiles | None
    http_api: HttpApi
    enable_healthcheck: bool = default_of("http_server.enable_healthcheck")
    serve_docs: bool = default_of("http_server.serve_docs")
    enable_metrics: bool = default_of("http_server.enable_metrics")
    throttling: tuple[ThrottleStrategy, ...] = default_of("http_server.throttling.strategies")
    request_timeout_ms: int = default_of("http_server.request_timeout_ms")
    max_connections: int = default_of("http_server.max_connections")
    max_header_bytes: int = default_of("http_server.max_header_bytes")
    keep_alive_timeout_ms: int = default_of("http_server.keep_alive_timeout_ms")
    header_timeout_ms: int = default_of("http_server.header_timeout_ms")
    min_body_bytes_per_sec: int = default_of("http_server.min_body_bytes_per_sec")
    backlog: int = default_of("http_server.backlog")
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = default_of(
        "http_server.trusted_proxies"
    )
    cors: Cors | None = None
    hsts_max_age_secs: int = default_of("http_server.hsts_max_age_secs")


# -- auth -------------------------------------------------------------------------------------


@frozen(kw_only=True)
class CollectionRule:
    """What may be read and written in one collection: yes, no, or where a DQL condition holds."""

    read: bool | str = default_of("collection_rule.read")
    write: bool | str = default_of("collection_rule.write")


@frozen(kw_only=True)
class FineGrained:
    """Endpoints and collections one by one; None means all of them."""

    endpoints: tuple[str, ...] | None = None
    collections: Mapping[str, CollectionRule] | None = None


Permissions = Literal["full", "data", "read_only"] | FineGrained


@frozen(kw_only=True)
class IdentityConfig:
    """Who may call: a key's hash, what it may do (a union), and its name in audit logs."""

    id: str
    api_key_hash: str = field(repr=False)
    permissions: tuple[Permissions, ...]


@frozen(kw_only=True)
class Auth:
    """The identities that may call; None in `Configuration` means no authentication at all."""

    identities: tuple[IdentityConfig, ...]


# -- logging ----------------------------------------------------------------------------------


class Level(Enum):
    """Log levels of the file, the least talkative first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"
    VERBOSE = "verbose"


@frozen(kw_only=True)
class RotatingLogs:
    """JSON lines in files that are replaced by time, by size, or both."""

    directory: Folder
    prefix: str = default_of("rotating_logs.prefix")
    frequency: Literal["minutely", "hourly", "daily", "never"] = default_of(
        "rotating_logs.rotation.frequency"
    )
    max_size_bytes: int | None = None
    max_files: int = default_of("rotating_logs.max_files")


@frozen(kw_only=True)
class AuditLogs:
    """The folder of the audit log; nothing deletes its files unless `max_files` is set."""

    directory: Folder
    max_files: int | None = None


@frozen(kw_only=True)
class Logging:
    """Levels and places of all logs."""

    ditto_sdk: Level = Level(default_of("logging.ditto_sdk"))
    level: Level = Level(default_of("logging.edge_server.level"))
    console: Literal["std_out", "std_err", "off"] = default_of("logging.edge_server.console_logs")
    format: Literal["text", "json"] | None = None
    audit: AuditLogs | None = None
    rotating: RotatingLogs | None = None


# -- the whole --------------------------------------------------------------------------------


@frozen(kw_only=True)
class Configuration:
    """One configuration file, complete."""

    path: Path
    database: DatabaseConfig
    http_server: HttpServer | None
    #: None is ``auth: dev_mode``.
    auth: Auth | None
    logging: Logging = Logging()
