# SPDX-License-Identifier: Apache-2.0
"""What a valid file becomes: every key of it in the model."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from edge_twisted.config.model import (
    AuditLogs,
    CollectionRule,
    Cors,
    DatabaseConfig,
    Endpoint,
    FineGrained,
    HttpApi,
    HttpServer,
    IdentityConfig,
    Level,
    Logging,
    PeerToPeer,
    RotatingLogs,
    Secret,
    ServerAuth,
    SmallPeerOnly,
    SubscriptionConfig,
    TcpAddress,
    TcpListen,
    TemporaryFolder,
    ThrottleStrategy,
    TlsFiles,
    TransportConfig,
    UnixAddress,
)
from tests.unit.config.samples import FULL, MINIMAL, lines_of, load_text, warnings_of

MIB = 2**20
HTTP = """\
http_server:
  listen_addr: 127.0.0.1:80
  tls_config: dev_mode
  http_api: true
"""


def test_database() -> None:
    assert load_text(FULL).configuration.database == DatabaseConfig(
        db_id="12345678-1234-4123-1234-123456789012",
        device_name="hub",
        auth=ServerAuth(
            access_token=Secret("the-token"),
            auth_url="https://cloud.example",
            provider="__playgroundProvider",
            enable_cloud_sync=False,
        ),
        subscriptions=(
            SubscriptionConfig(query="SELECT * FROM tasks"),
            SubscriptionConfig(query="SELECT * FROM orders WHERE total > :min", args={"min": 0}),
        ),
        persistence_dir=Path("/etc/edge/data"),
        auto_fetch_attachments=True,
        moved_out="drop",
        transit_mb=64,
        max_collections=500,
        scrub_kib_per_second=512,
        scrub_interval_hours=12,
        transport=TransportConfig(
            peer_to_peer=PeerToPeer(
                lan_enabled=False,
                lan_mdns_enabled=False,
                lan_multicast_enabled=False,
                ble_enabled=False,
                awdl_enabled=None,
                wifi_aware_enabled=False,
            ),
            known_tcp_servers=("hub.example:4040", "[::1]:4041"),
            known_ws_servers=("wss://hub.example/mesh",),
            retry_interval_msec=500,
            tcp_listen=TcpListen(enable=True, ip="::", port=0),
            max_connections=7,
        ),
    )


def test_http_server() -> None:
    assert load_text(FULL).configuration.http_server == HttpServer(
        listen_addr=TcpAddress(host="::1", port=8443),
        tls=TlsFiles(cert=Path("/etc/edge/tls/cert.pem"), key=Path("/etc/key.pem")),
        http_api=HttpApi(
            execute=Endpoint(enabled=True, max_body_bytes=MIB // 2),
            attachments_upload=Endpoint(enabled=True, max_body_bytes=MIB),
            attachments_download=Endpoint(enabled=True),
            presence=Endpoint(enabled=False),
            logs=Endpoint(enabled=True),
        ),
        enable_healthcheck=True,
        serve_docs=True,
        enable_metrics=True,
        throttling=(
            ThrottleStrategy(strategy="ip_address", max_requests=10, window_secs=1),
            ThrottleStrategy(strategy="api_key", max_requests=20, window_secs=1.5),
            ThrottleStrategy(strategy="route", max_requests=30, window_secs=60, path="/execute"),
        ),
        request_timeout_ms=0,
        max_connections=5,
        max_header_bytes=4096,
        keep_alive_timeout_ms=1000,
        header_timeout_ms=2000,
        min_body_bytes_per_sec=500,
        hsts_max_age_secs=31536000,
        backlog=16,
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
        cors=Cors(allowed_origins=("https://app.example", "http://localhost:3000")),
    )


def test_auth() -> None:
    auth = load_text(FULL).configuration.auth
    assert auth is not None
    fine = FineGrained(
        endpoints=("execute", "presence"),
        collections={
            "tasks": CollectionRule(read=True, write="owner = :identity"),
            "*": CollectionRule(read=False, write=False),
        },
    )
    assert auth.identities == (
        IdentityConfig(
            id="the-first", api_key_hash="aGFzaC1vZi1maXJzdA==", permissions=("full", fine)
        ),
        IdentityConfig(id="second", api_key_hash="aGFzaC1vZi1zZWNvbmQ=", permissions=("data",)),
    )


def test_logging() -> None:
    assert load_text(FULL).configuration.logging == Logging(
        ditto_sdk=Level.DEBUG,
        level=Level.VERBOSE,
        console="off",
        format="json",
        audit=AuditLogs(directory=Path("/etc/edge/logs/audit"), max_files=9),
        rotating=RotatingLogs(
            directory=Path("/etc/edge/env-logs"),
            prefix="edge",
            frequency="never",
            max_size_bytes=MIB // 4,
            max_files=3,
        ),
    )


ON, OFF = Endpoint(enabled=True), Endpoint(enabled=False)
EXECUTE, NO_EXECUTE = (Endpoint(enabled=each, max_body_bytes=2 * MIB) for each in (True, False))
UPLOAD, NO_UPLOAD = (Endpoint(enabled=each, max_body_bytes=50 * MIB) for each in (True, False))


@pytest.mark.parametrize(
    ("value", "endpoints"),
    [
        ("true", (EXECUTE, UPLOAD, ON, ON, ON)),
        ("false", (NO_EXECUTE, NO_UPLOAD, OFF, OFF, OFF)),
        ("{}", (NO_EXECUTE, NO_UPLOAD, OFF, OFF, OFF)),
        ("{execute: true, logs: {}}", (EXECUTE, NO_UPLOAD, OFF, OFF, ON)),
        ("{execute: {enabled: false}}", (NO_EXECUTE, NO_UPLOAD, OFF, OFF, OFF)),
        ("{enable_execute: true}", (EXECUTE, NO_UPLOAD, OFF, OFF, OFF)),
        ("{enable_execute: false, presence: true}", (NO_EXECUTE, NO_UPLOAD, OFF, ON, OFF)),
        (
            "{execute: {max_body_size_mb: 0.0000001}}",
            (Endpoint(enabled=True, max_body_bytes=1), NO_UPLOAD, OFF, OFF, OFF),
        ),
    ],
)
def test_http_api(value: str, endpoints: tuple[Endpoint, ...]) -> None:
    text = MINIMAL + HTTP.replace("http_api: true", f"http_api: {value}")
    http = load_text(text).configuration.http_server
    assert http is not None
    assert http.http_api == HttpApi(
        execute=endpoints[0],
        attachments_upload=endpoints[1],
        attachments_download=endpoints[2],
        presence=endpoints[3],
        logs=endpoints[4],
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:443", TcpAddress(host="0.0.0.0", port=443)),
        ('"[::]:0"', TcpAddress(host="::", port=0)),
        ('"[FE80::1%eth0]:1"', TcpAddress(host="fe80::1%eth0", port=1)),
        ("edge-1.shop.example.:8443", TcpAddress(host="edge-1.shop.example.", port=8443)),
        ("unix:/run/edge.sock", UnixAddress(Path("/run/edge.sock"))),
        ("unix:edge.sock", UnixAddress(Path("/etc/edge/edge.sock"))),
    ],
)
def test_listen_addresses(text: str, address: TcpAddress | UnixAddress) -> None:
    http = load_text(FULL.replace('"[::1]:8443"', text)).configuration.http_server
    assert http is not None
    assert http.listen_addr == address


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ("from_current_exe", Path("/srv/edge-data")),
        ("temp_dir", TemporaryFolder()),
        ("{path: /abs/olute}", Path("/abs/olute")),
        ("{path: ./data}", Path("/etc/edge/data")),
        ("{from_env: LOG_DIR}", Path("/etc/edge/env-logs")),
    ],
)
def test_folders(value: str, folder: Path | TemporaryFolder) -> None:
    configuration = load_text(FULL.replace("{path: data}", value)).configuration
    assert configuration.database.persistence_dir == folder


def test_keys_that_may_be_null_have_their_defaults_then() -> None:
    text = """\
  transport_config:
    peer_to_peer: {lan_enabled: null, lan_mdns_enabled: null, ble_enabled: null}
    connect_config: {retry_interval_msec: null}
logging: {edge_server: {audit_logs: null, rotating_logs: null}}
auth: dev_mode
"""
    configuration = load_text(MINIMAL.replace("auth: dev_mode\n", text)).configuration
    assert configuration.database.transport == TransportConfig()
    assert configuration.logging == Logging()


def test_whole_numbers_may_have_a_fraction_of_nothing() -> None:
    text = FULL.replace("max_connections: 5\n", "max_connections: 5.0\n")
    http = load_text(text).configuration.http_server
    assert http is not None
    assert http.max_connections == 5
    assert isinstance(http.max_connections, int)


def test_the_database_id_is_compared_in_lower_case() -> None:
    text = MINIMAL.replace("12345678-", "ABCDEF78-")
    assert load_text(text).configuration.database.db_id.startswith("abcdef78-")


def test_small_peers_share_a_key() -> None:
    key = (
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2OF/2NxApJCzGCEDdfSp6VQO30"
        "hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ"
        "1P087G"
    )
    text = MINIMAL.replace(
        "offline_license_token: token", f"offline_license_token: t, key_b64: {key}"
    )
    auth = load_text(text).configuration.database.auth
    assert auth == SmallPeerOnly(offline_license_token=Secret("t"), key_b64=Secret(key))


# -- warnings


def test_old_spellings_are_accepted_with_a_warning() -> None:
    text = MINIMAL.replace("small_peer_only", "small_peers_only") + HTTP.replace(
        "http_api: true", "http_api: {enable_execute: true}"
    )
    assert warnings_of(text) == [
        "4:10: warning: database.auth.small_peers_only: is deprecated; write small_peer_only "
        "instead",
        "9:14: warning: http_server.http_api.enable_execute: is deprecated; write execute instead",
    ]
    auth = load_text(text).configuration.database.auth
    assert auth == SmallPeerOnly(offline_license_token=Secret("token"))


@pytest.mark.parametrize(
    "radio", ["lan_multicast_enabled", "ble_enabled", "awdl_enabled", "wifi_aware_enabled"]
)
def test_a_radio_that_is_not_there_is_warned_about(radio: str) -> None:
    text = MINIMAL.replace(
        "auth: dev", f"  transport_config: {{peer_to_peer: {{{radio}: true}}}}\nauth: dev"
    )
    assert warnings_of(text) == [
        f"5:{39 + len(radio)}: warning: database.transport_config.peer_to_peer.{radio}: this "
        "server has no such transport; set it to false"
    ]


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("127.0.0.1:80", False),
        ("127.9.9.9:80", False),
        ('"[::1]:80"', False),
        ("localhost:80", False),
        ("unix:/run/x", False),
        ("0.0.0.0:80", True),
        ('"[::]:80"', True),
        ("192.168.1.1:80", True),
        ("edge.example:80", True),
    ],
)
def test_no_authentication_for_everyone_is_warned_about(address: str, is_open: bool) -> None:
    warnings = warnings_of(MINIMAL + HTTP.replace("127.0.0.1:80", address))
    expected = (
        "7:16: warning: http_server.listen_addr: anyone who reaches this address may do anything, "
        "because auth is dev_mode; listen on 127.0.0.1, or use keys"
    )
    assert warnings == ([expected] if is_open else [])


def test_strategies_that_do_nothing_are_warned_about() -> None:
    text = f"""{MINIMAL}{HTTP}\
  throttling:
    strategies:
      - {{strategy: api_key, max_requests: 1, window_secs: 1}}
      - {{strategy: route, path: /health, max_requests: 1, window_secs: 1}}
"""
    assert warnings_of(text) == [
        "12:20: warning: http_server.throttling.strategies[0].strategy: without keys this strategy "
        "does nothing, because auth is dev_mode; use ip_address, or use keys",
        '13:33: warning: http_server.throttling.strategies[1].path: "/health" is never throttled, '
        "so this strategy does nothing; remove the strategy",
    ]


def test_a_tilde_is_warned_about() -> None:
    text = FULL.replace("{path: data}", "{path: ~/data}")
    assert [each for each in warnings_of(text) if each not in warnings_of(FULL)] == [
        "14:27: warning: database.persistence_dir.path: ~ is not expanded here; write the path in "
        "full"
    ]


# -- the form of the file


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + FULL,
        FULL.replace("\n", "\r\n"),
        f"---\n{FULL}...\n",
        f"x-anything: [&a {{b: 1}}, *a]\n{FULL}",
        FULL.replace("device_name: hub", "device_name: &name hub").replace(
            "prefix: edge", "prefix: *name"
        ),
    ],
    ids=["mark", "crlf", "markers", "x-", "alias"],
)
def test_forms_of_yaml_that_are_fine(text: str) -> None:
    assert lines_of(text) == []


def test_anchors_in_ignored_keys_serve_the_others() -> None:
    text = f"""\
x-base: &base {{max_requests: 5, window_secs: 10}}
{MINIMAL}{HTTP}\
  throttling:
    strategies:
      - {{<<: *base, strategy: ip_address}}
      - {{<<: *base, strategy: ip_address, window_secs: 60}}
"""
    http = load_text(text).configuration.http_server
    assert http is not None
    assert http.throttling == (
        ThrottleStrategy(strategy="ip_address", max_requests=5, window_secs=10),
        ThrottleStrategy(strategy="ip_address", max_requests=5, window_secs=60),
    )


def test_a_mistake_that_is_merged_in_is_reported_where_it_stands() -> None:
    text = f"""\
x-base: &base {{max_requests: 0, window_secs: 10}}
{MINIMAL}{HTTP}\
  throttling: {{strategies: [{{<<: *base, strategy: ip_address}}]}}
"""
    assert lines_of(text) == [
        "1:30: http_server.throttling.strategies[0].max_requests: 0 is too small; must be a whole "
        "number from 1 to 2147483647"
    ]
