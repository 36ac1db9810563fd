# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - a table, one row a line
"""Every key and every rule: what is said about a file that is wrong in one place, and where."""

from __future__ import annotations

import pytest
from attrs import frozen

from edge_twisted.config.checks import Checks, CredentialForm, QueryProblem
from edge_twisted.config.mesh_key import BadMeshKey, parse_mesh_key
from tests.unit.config.samples import FULL, MINIMAL, lines_of, load_text

#: In a replacement: the place that the problem must be reported at.
HERE = "‸"


@frozen
class Broken:
    """The file `FULL` with `old` replaced by `new`, and what must be said about it."""

    old: str
    new: str
    message: str
    #: Where the problem is, if not at the mark in `new`: where this text begins.
    at: str | None = None

    def text(self) -> str:
        assert FULL.count(self.old) == 1, self.old
        return FULL.replace(self.old, self.new)

    def expected(self) -> str:
        marked = self.text()
        index = marked.index(HERE if self.at is None else self.at)
        before = marked[:index]
        column = index - (before.rfind("\n") + 1) + 1
        return f"{before.count(chr(10)) + 1}:{column}: {self.message}"


NOT_EMPTY = "must be text that is not empty"
NAMES = "must be text of 1 to 256 characters"
FLAG = "must be true or false"
FOLDER = "must be from_current_exe, temp_dir, {path: FOLDER} or {from_env: NAME}"
COUNT = "must be a whole number from 1 to 2147483647"
HOST_PORT = "must be HOST:PORT or [IPv6]:PORT"
LISTEN = "must be HOST:PORT, [IPv6]:PORT or unix:/PATH"
ORIGIN = "must be an origin, such as https://app.example, or *"
LEVEL = "must be error, warning, info, debug or verbose"

DATABASE = [
    Broken("db_id: 12345678-", "db_id: ‸12345678", 'database.db_id: "123456781234-4123-1234-123456789012" is no UUID; must be a UUID: 8-4-4-4-12 hexadecimal digits'),
    Broken("12345678-1234-4123-1234-123456789012", "‸12", "database.db_id: is a number; must be a UUID: 8-4-4-4-12 hexadecimal digits; put it in quotes"),
    Broken("device_name: hub", "device_name: ‸''", f"database.device_name: is empty; {NAMES}"),
    Broken("device_name: hub", f"device_name: ‸{'x' * 257}", f"database.device_name: has 257 characters; {NAMES}"),
    Broken("device_name: hub", "device_name: ‸007", f"database.device_name: is a number; {NAMES}; put it in quotes"),
    Broken("device_name: hub", "device_name:‸", f"database.device_name: is empty; {NAMES}; write a value or remove the key"),
    Broken("  device_name: hub\n", "", "database.device_name: is missing; this key is required", at="database:"),
    Broken("device_name: hub", "‸devicename: hub", "database.devicename: unknown key; did you mean device_name?"),
    Broken("access_token: the-token", "access_token: ‸17", f"database.auth.server.access_token: is a number; {NOT_EMPTY}; put it in quotes"),
    Broken("      access_token: the-token\n", "", "database.auth.server.access_token: is missing; this key is required", at="server:"),
    Broken("https://cloud.example", "‸cloud.example", "database.auth.server.auth_url: has no scheme that is known here; must be a URL that begins with https:// or http://"),
    Broken("https://cloud.example", "‸https:///x", "database.auth.server.auth_url: names no host; must be a URL that begins with https:// or http://"),
    Broken("https://cloud.example", "‸https://a:b", "database.auth.server.auth_url: its host or port cannot be read; must be a URL that begins with https:// or http://"),
    Broken("https://cloud.example", "‸https://a b", "database.auth.server.auth_url: has characters that a URL cannot have; percent-encode them; must be a URL that begins with https:// or http://"),
    Broken("provider: __playgroundProvider", "provider: ‸[]", f"database.auth.server.provider: is a list; {NOT_EMPTY}"),
    Broken("enable_cloud_sync: false", "enable_cloud_sync: ‸no", f"database.auth.server.enable_cloud_sync: is text; {FLAG}; yes, no, on and off are texts: write false"),
    Broken("    server:\n", "    ‸servers:\n", "database.auth.servers: unknown key; did you mean server?"),
    Broken("  subscriptions:\n", "    ‸small_peer_only: {offline_license_token: t}\n  subscriptions:\n", "database.auth.small_peer_only: cannot stand beside server; must have exactly one of server, small_peer_only or small_peers_only"),
    Broken("- SELECT * FROM tasks", "- ‸''", "database.subscriptions[0]: is empty; must be text that is not empty"),
    Broken("- SELECT * FROM tasks", "- ‸5", "database.subscriptions[0]: is a number; must be a DQL query `SELECT * FROM collection [WHERE ...]`, or an object of `query` and `args`; put it in quotes"),
    Broken("- query: SELECT * FROM orders WHERE total > :min\n", "- ‸quer: x\n", "database.subscriptions[1].quer: unknown key; did you mean query?"),
    Broken("{min: 0}", "‸[0]", "database.subscriptions[1].args: is a list; must be an object"),
    Broken("{min: 0}", "{‸1: 0}", "database.subscriptions[1].args: a key must be text; put it in quotes"),
    Broken("{min: 0}", "{min: ‸.nan}", "database.subscriptions[1].args.min: infinity and not-a-number are not accepted; write a finite number, or quote a text"),
    Broken("{min: 0}", "{min: ‸9223372036854775808}", "database.subscriptions[1].args.min: a whole number has at most 64 bits; write a smaller one, or quote a text"),
    Broken("{path: data}", "‸here", f"database.persistence_dir: is a text that is not known; {FOLDER}"),
    Broken("{path: data}", "‸temp_dri", f"database.persistence_dir: is a text that is not known; {FOLDER}; did you mean temp_dir?"),
    Broken("{path: data}", "{path: ‸''}", "database.persistence_dir.path: is empty; must be a path"),
    Broken("{path: data}", '{path: ‸"a\\0b"}', "database.persistence_dir.path: has a NUL character, which no path can have; must be a path"),
    Broken("{path: data}", "{path: data, ‸from_env: LOG_DIR}", "database.persistence_dir.from_env: cannot stand beside path; must have exactly one of path or from_env"),
    Broken("{path: data}", "{}", "database.persistence_dir: has none of path or from_env; must have exactly one of path or from_env", at="persistence_dir"),
    Broken("{path: data}", "{from_env: ‸A=B}", 'database.persistence_dir.from_env: "A=B" is no name of an environment variable; must be the name of an environment variable'),
    Broken("{path: data}", "{from_env: ‸UNSET}", 'database.persistence_dir.from_env: the environment variable "UNSET" is not set; set the variable to a path before the start'),
    Broken("{path: data}", "{from_env: ‸EMPTY}", 'database.persistence_dir.from_env: the environment variable "EMPTY" is empty; set the variable to a path before the start'),
    Broken("auto_fetch_attachments: true", "auto_fetch_attachments: ‸1", f"database.auto_fetch_attachments: is a number; {FLAG}"),
    Broken("moved_out: drop", "moved_out: ‸dropp", 'database.moved_out: "dropp" is not known; must be keep or drop; did you mean drop?'),
    Broken("max_collections: 500", "max_collections: ‸0", "database.max_collections: 0 is too small; must be a whole number from 1 to 4000000"),
    Broken("moved_out: drop", "moved_out: ‸true", "database.moved_out: is true; must be keep or drop"),
]  # fmt: skip

TRANSPORT = [
    Broken("lan_enabled: false", "lan_enabled: ‸'false'", "database.transport_config.peer_to_peer.lan_enabled: is text; must be true or false or null"),
    Broken("lan_mdns_enabled: false", "lan_mdns_enabled: ‸0", "database.transport_config.peer_to_peer.lan_mdns_enabled: is a number; must be true or false or null"),
    Broken("lan_multicast_enabled: false", "lan_multicast_enabled: ‸{}", "database.transport_config.peer_to_peer.lan_multicast_enabled: is an object; must be true or false or null"),
    Broken("ble_enabled: false", "‸bel_enabled: false", "database.transport_config.peer_to_peer.bel_enabled: unknown key; did you mean ble_enabled?"),
    Broken("awdl_enabled: null", "awdl_enabled: ‸x", "database.transport_config.peer_to_peer.awdl_enabled: is text; must be true or false or null"),
    Broken("wifi_aware_enabled: false", "wifi_aware_enabled: ‸on", "database.transport_config.peer_to_peer.wifi_aware_enabled: is text; must be true or false or null; yes, no, on and off are texts: write true"),
    Broken('"hub.example:4040"', "‸hub.example", f'database.transport_config.connect_config.known_tcp_servers[0]: "hub.example" has no port; add one, as in "hub.example:8080"; {HOST_PORT}'),
    Broken('"hub.example:4040"', '‸"hub.example:0"', f'database.transport_config.connect_config.known_tcp_servers[0]: "0" is no port; a port is 1 to 65535; {HOST_PORT}'),
    Broken('"[::1]:4041"', '‸"[::g]:4041"', f'database.transport_config.connect_config.known_tcp_servers[1]: "::g" is no IPv6 address; {HOST_PORT}'),
    Broken('["wss://hub.example/mesh"]', "[‸https://x]", "database.transport_config.connect_config.known_ws_servers[0]: has no scheme that is known here; must be a URL that begins with wss:// or ws://"),
    Broken('["wss://hub.example/mesh"]', "‸wss://x", "database.transport_config.connect_config.known_ws_servers: is text; must be a list; put it in [ ]"),
    Broken("retry_interval_msec: 500", "retry_interval_msec: ‸49", "database.transport_config.connect_config.retry_interval_msec: 49 is too small; must be a whole number from 50 to 2147483647 or null"),
    Broken("retry_interval_msec: 500", "retry_interval_msec: ‸5s", "database.transport_config.connect_config.retry_interval_msec: is text; must be a whole number from 50 to 2147483647 or null"),
    Broken("enable: true\n        ip", "enable: ‸oui\n        ip", f"database.transport_config.listen_config.tcp_listen.enable: is text; {FLAG}"),
    Broken('ip: "::"', "ip: ‸localhost", 'database.transport_config.listen_config.tcp_listen.ip: "localhost" is no IP address; must be an IPv4 or IPv6 address, such as 0.0.0.0'),
    Broken("port: 0", "port: ‸65536", "database.transport_config.listen_config.tcp_listen.port: 65536 is too large; must be a whole number from 0 to 65535"),
    Broken("port: 0", "port: ‸-1", "database.transport_config.listen_config.tcp_listen.port: -1 is too small; must be a whole number from 0 to 65535"),
    Broken("port: 0", "port: ‸'4040'", "database.transport_config.listen_config.tcp_listen.port: is text; must be a whole number from 0 to 65535; remove the quotes"),
    Broken("    listen_config:\n      tcp_listen:\n", "    ‸tcp_listen:\n", "database.transport_config.tcp_listen: unknown key; it belongs under listen_config"),
    Broken("max_connections: 7", "max_connections: ‸0", f"database.transport_config.max_connections: 0 is too small; {COUNT}"),
]  # fmt: skip

HTTP = [
    Broken('"[::1]:8443"', "‸8443", f"http_server.listen_addr: is a number; {LISTEN}; put it in quotes"),
    Broken('"[::1]:8443"', "‸localhost", f'http_server.listen_addr: "localhost" has no port; add one, as in "localhost:8080"; {LISTEN}'),
    Broken('"[::1]:8443"', "‸:8443", f'http_server.listen_addr: ":8443" has no host; 0.0.0.0:8443 is all of IPv4; {LISTEN}'),
    Broken('"[::1]:8443"', '‸"::1:8443"', f'http_server.listen_addr: "::1:8443" is ambiguous; put the IPv6 address in brackets; {LISTEN}'),
    Broken('"[::1]:8443"', "‸localhost:http", f'http_server.listen_addr: "http" is no port; a port is 0 to 65535; {LISTEN}'),
    Broken('"[::1]:8443"', "‸localhost:99999", f'http_server.listen_addr: "99999" is no port; a port is 0 to 65535; {LISTEN}'),
    Broken('"[::1]:8443"', "‸300.1.1.1:80", f'http_server.listen_addr: "300.1.1.1" is no IP address; {LISTEN}'),
    Broken('"[::1]:8443"', '‸"*:80"', f'http_server.listen_addr: "*" is no host; 0.0.0.0 is all of IPv4, [::] all of IPv6; {LISTEN}'),
    Broken('"[::1]:8443"', "‸-a.example:80", f'http_server.listen_addr: "-a.example" is no host; {LISTEN}'),
    Broken('"[::1]:8443"', "‸'unix:'", f"http_server.listen_addr: is empty; {LISTEN}"),
    Broken('"[::1]:8443"', f"‸unix:/{'x' * 107}", f"http_server.listen_addr: a unix socket's path has at most 107 bytes; {LISTEN}"),
    Broken('"[::1]:8443"', f"‸unix:{'x' * 99}", "http_server.listen_addr: with this file's folder, a unix socket's path has at most 107 bytes; must be a shorter path"),
    Broken('  listen_addr: "[::1]:8443"\n', "", "http_server.listen_addr: is missing; this key is required", at="http_server:"),
    Broken("{cert: tls/cert.pem, key: /etc/key.pem}", "‸none", "http_server.tls_config: is a text that is not known; must be dev_mode or an object of `cert` and `key`, the paths of PEM files"),
    Broken("cert: tls/cert.pem, ", "", "http_server.tls_config.cert: is missing; this key is required", at="tls_config:"),
    Broken("key: /etc/key.pem", "key: ‸' '", "http_server.tls_config.key: is empty; must be a path"),
    Broken("key: /etc/key.pem", "key: /etc/key.pem, ‸chain: x", "http_server.tls_config.chain: unknown key; known here: cert or key"),
    Broken("execute: {enabled: true, max_body_size_mb: 0.5}", "execute: {enabled: ‸1}", f"http_server.http_api.execute.enabled: is a number; {FLAG}"),
    Broken("max_body_size_mb: 0.5", "max_body_size_mb: ‸0", "http_server.http_api.execute.max_body_size_mb: 0 is too small; must be a number above 0 and up to 1048576"),
    Broken("max_body_size_mb: 0.5", "max_body_size_mb: ‸2mb", "http_server.http_api.execute.max_body_size_mb: is text; must be a number above 0 and up to 1048576"),
    Broken("max_body_size_mb: 0.5", "max_body_size_mb: ‸1e999", "http_server.http_api.execute.max_body_size_mb: the number is too large; write a smaller one, or quote a text"),
    Broken("max_body_size_mb: 1}", "max_body_size_mb: ‸-1}", "http_server.http_api.attachments_upload.max_body_size_mb: -1 is too small; must be a number above 0 and up to 1048576"),
    Broken("attachments_download: true", "attachments_download: {‸max_body_size_mb: 1}", "http_server.http_api.attachments_download.max_body_size_mb: unknown key; known here: enabled"),
    Broken("presence: false", "‸present: false", "http_server.http_api.present: unknown key; did you mean presence?"),
    Broken("presence: false", "presence: ‸null", "http_server.http_api.presence: is empty; must be true, false, or an object with `enabled`; write a value or remove the key"),
    Broken("logs: {enabled: true}", "logs: ‸all", "http_server.http_api.logs: is text; must be true, false, or an object with `enabled`"),
    Broken("logs: {enabled: true}", "‸enable_execute: true", "http_server.http_api.enable_execute: is the old spelling of execute, which is there too; keep execute"),
    Broken("enable_healthcheck: true", "enable_healthcheck: ‸[]", f"http_server.enable_healthcheck: is a list; {FLAG}"),
    Broken("serve_docs: true", "serve_docs: ‸y", f"http_server.serve_docs: is text; {FLAG}; yes, no, on and off are texts: write true"),
    Broken("enable_metrics: true", "enable_metrics:‸", f"http_server.enable_metrics: is empty; {FLAG}; write a value or remove the key", at="‸\n  throttling"),
    Broken("strategy: ip_address", "strategy: ‸ip", 'http_server.throttling.strategies[0].strategy: "ip" is not known; must be ip_address, api_key or route'),
    Broken("max_requests: 10,", "max_requests: ‸0,", f"http_server.throttling.strategies[0].max_requests: 0 is too small; {COUNT}"),
    Broken("max_requests: 10,", "max_requests: ‸1.5,", f"http_server.throttling.strategies[0].max_requests: is a number; {COUNT}"),
    Broken("window_secs: 1}", "window_secs: ‸0.5}", "http_server.throttling.strategies[0].window_secs: 0.5 is too small; must be a number from 1 to 2147483647"),
    Broken(", window_secs: 1.5", "", "http_server.throttling.strategies[1].window_secs: is missing; this key is required", at="{strategy: api_key"),
    Broken("window_secs: 1.5", "window_secs: 1, ‸path: /execute", "http_server.throttling.strategies[1].path: strategy api_key counts all paths together; remove it, or use strategy route"),
    Broken(", path: /execute", "", "http_server.throttling.strategies[2].path: is missing; this key is required", at="{strategy: route"),
    Broken("path: /execute", "path: ‸execute", 'http_server.throttling.strategies[2].path: "execute" does not fit; must be a path that begins with /, such as /execute'),
    Broken("request_timeout_ms: 0", "request_timeout_ms: ‸-1", "http_server.request_timeout_ms: -1 is too small; must be a whole number from 0 to 2147483647"),
    Broken("max_connections: 5", "max_connections: ‸0", f"http_server.max_connections: 0 is too small; {COUNT}"),
    Broken("max_header_bytes: 4096", "max_header_bytes: ‸1", "http_server.max_header_bytes: 1 is too small; must be a whole number from 128 to 16777216"),
    Broken("keep_alive_timeout_ms: 1000", "keep_alive_timeout_ms: ‸10s", f"http_server.keep_alive_timeout_ms: is text; {COUNT}"),
    Broken("header_timeout_ms: 2000", "header_timeout_ms: ‸2147483648", f"http_server.header_timeout_ms: 2147483648 is too large; {COUNT}"),
    Broken("backlog: 16", "backlog: ‸16_000", f"http_server.backlog: is text; {COUNT}"),
    Broken("10.0.0.0/8", "‸10.0.0.1/8", 'http_server.trusted_proxies[0]: "10.0.0.1/8" has bits beyond its prefix; the network is 10.0.0.0/8; must be a network in CIDR form, such as 10.0.0.0/8'),
    Broken("10.0.0.0/8", "‸proxy", 'http_server.trusted_proxies[0]: "proxy" is no network; must be a network in CIDR form, such as 10.0.0.0/8'),
    Broken('"https://app.example"', "‸https://app.example/", f'http_server.cors.allowed_origins[0]: "https://app.example/" has more than scheme, host and port; {ORIGIN}'),
    Broken('"https://app.example"', "‸https://App.example", f'http_server.cors.allowed_origins[0]: "https://App.example" is not in lower case, as browsers send it; {ORIGIN}'),
    Broken('"https://app.example"', "‸https://app.example:443", f'http_server.cors.allowed_origins[0]: "https://app.example:443" names the default port, which browsers leave out; {ORIGIN}'),
    Broken('"https://app.example"', "‸app.example", f"http_server.cors.allowed_origins[0]: has no scheme that is known here; {ORIGIN}"),
    Broken('allowed_origins: ["https://app.example", "http://localhost:3000"]', "", "http_server.cors.allowed_origins: is missing; this key is required", at="cors:"),
]  # fmt: skip

AUTH = [
    Broken("credential: {api_key: aGFzaC1vZi1maXJzdA==}", "credential: ‸aGFzaC1vZi1maXJzdA==", "auth.identities.first.credential: is text; must be an object"),
    Broken("      credential: {api_key: aGFzaC1vZi1maXJzdA==}\n", "", "auth.identities.first.credential: is missing; this key is required", at="first:"),
    Broken("{api_key: aGFzaC1vZi1maXJzdA==}", "{}", "auth.identities.first.credential.api_key: is missing; this key is required", at="credential: {}"),
    Broken("aGFzaC1vZi1zZWNvbmQ=", "‸aGFzaC1vZi1maXJzdA==", 'auth.identities.second.credential.api_key: this is the key of the identity "first" too; generate a key for each identity'),
    Broken("[everything, fine]", "‸[]", "auth.identities.first.permissions: is empty; must be a list, with at least one entry"),
    Broken("[everything, fine]", "‸''", "auth.identities.first.permissions: is empty; must be text that is not empty"),
    Broken("[everything, fine]", "[everything, ‸fin]", 'auth.identities.first.permissions[1]: there is no permission set "fin"; must be one of everything, monitoring, looking or fine; did you mean fine?'),
    Broken("permissions: monitoring", "permissions: ‸full", 'auth.identities.second.permissions: there is no permission set "full"; must be one of everything, monitoring, looking or fine'),
    Broken("      permissions: monitoring\n", "", "auth.identities.second.permissions: is missing; this key is required", at="second:"),
    Broken("id: the-first", "id: ‸1", f"auth.identities.first.id: is a number; {NAMES}; put it in quotes"),
    Broken("looking: {permissions: read_only}", "looking: {permissions: ‸readonly}", "auth.permission_sets.looking.permissions: is a text that is not known; must be full, data, read_only, or an object of `endpoints` and `collections`; did you mean read_only?"),
    Broken("looking: {permissions: read_only}", "looking: {permissions: ‸{}}", "auth.permission_sets.looking.permissions: is empty; must be an object of `endpoints` and `collections`, with at least one entry"),
    Broken("looking: {permissions: read_only}", "looking: ‸read_only", "auth.permission_sets.looking: is text; must be an object"),
    Broken("endpoints: [execute, presence]", "endpoints: [‸transaction]", 'auth.permission_sets.fine.permissions.endpoints[0]: "transaction" is not known; must be execute, attachments_upload, attachments_download, presence, logs or metrics'),
    Broken("endpoints: [execute, presence]", "endpoints: ‸[]", "auth.permission_sets.fine.permissions.endpoints: is empty; must be a list, with at least one entry"),
    Broken("{read: true, write:", "{‸reed: true, write:", "auth.permission_sets.fine.permissions.collections.tasks.reed: unknown key; did you mean read?"),
    Broken('"*": {read: false}', '"*": {read: ‸null}', 'auth.permission_sets.fine.permissions.collections.*.read: is empty; must be true, false, or a DQL condition such as "owner = :identity"; write a value or remove the key'),
    Broken("auth:\n  identities:", "auth: ‸devmode\nx-auth:\n  identities:", "auth: is a text that is not known; must be dev_mode or an object of `identities` and `permission_sets`; did you mean dev_mode?"),
]  # fmt: skip

LOGGING = [
    Broken("ditto_sdk: debug", "ditto_sdk: ‸warn", f'logging.ditto_sdk: "warn" is not known; {LEVEL}; did you mean warning?'),
    Broken("level: verbose", "level: ‸3", f"logging.edge_server.level: is a number; {LEVEL}"),
    Broken("console_logs: off", "console_logs: ‸stdout", 'logging.edge_server.console_logs: "stdout" is not known; must be std_out, std_err or off; did you mean std_out?'),
    Broken("console_logs: off", "console_logs: ‸false", "logging.edge_server.console_logs: is false; must be std_out, std_err or off"),
    Broken("format: json", "format: ‸xml", 'logging.edge_server.format: "xml" is not known; must be text or json'),
    Broken("{path: logs/audit, max_files: 9}", "‸logs", "logging.edge_server.audit_logs: is a text that is not known; must be {path: FOLDER}, temp_dir or null"),
    Broken("{path: logs/audit, max_files: 9}", "{max_files: 9}", "logging.edge_server.audit_logs.path: is missing; this key is required", at="audit_logs"),
    Broken("max_files: 9", "max_files: ‸0", f"logging.edge_server.audit_logs.max_files: 0 is too small; {COUNT}"),
    Broken("{from_env: LOG_DIR}", "{from_env: ‸UNSET}", 'logging.edge_server.rotating_logs.directory.from_env: the environment variable "UNSET" is not set; set the variable to a path before the start'),
    Broken("      directory: {from_env: LOG_DIR}\n", "", "logging.edge_server.rotating_logs.directory: is missing; this key is required", at="rotating_logs"),
    Broken("prefix: edge", "prefix: ‸logs/edge", 'logging.edge_server.rotating_logs.prefix: "logs/edge" has a path in it; must be the beginning of a file name, without a path'),
    Broken("frequency: never", "frequency: ‸weekly", 'logging.edge_server.rotating_logs.rotation.frequency: "weekly" is not known; must be minutely, hourly, daily or never'),
    Broken("max_size_mb: 0.25", "max_size_mb: ‸0", "logging.edge_server.rotating_logs.rotation.max_size_mb: 0 is too small; must be a number above 0 and up to 1048576"),
    Broken("max_files: 3", "max_files: ‸three", f"logging.edge_server.rotating_logs.max_files: is text; {COUNT}"),
    Broken("logging:\n", "logging: {}\n‸loging:\n", "loging: unknown key; known here: auth, database, http_server or logging"),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", DATABASE + TRANSPORT + HTTP + AUTH + LOGGING, ids=lambda case: case.message[:70]
)
def test_one_mistake_is_one_line_at_its_place(case: Broken) -> None:
    assert lines_of(case.text().replace(HERE, "")) == [case.expected()]


def test_the_file_that_the_cases_spoil_is_valid() -> None:
    # It names a server over WebSocket, a transport that is accepted and not there yet.
    (warning,) = load_text(FULL).warnings
    assert "known_ws_servers: mesh links over WebSocket are not supported yet" in str(warning)


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ("{}", "4:3: database.auth: has none of server, small_peer_only or small_peers_only; must "
            "have exactly one of server, small_peer_only or small_peers_only"),
        ("{small_peer_only: {}}", "4:10: database.auth.small_peer_only.offline_license_token: is "
            "missing; this key is required"),
        ("{small_peers_only: {offline_license_token: ''}}", "4:52: database.auth.small_peers_only."
            "offline_license_token: is empty; must be text that is not empty"),
        ("{small_peer_only: {offline_license_token: t, key_b64: '###'}}", "4:63: database.auth."
            "small_peer_only.key_b64: is not base64; must be the base64 text that `edge-server "
            "mesh generate-key` prints"),
        ("{small_peer_only: {offline_license_token: t, key_b64: aGVsbG8=}}", "4:63: database.auth."
            "small_peer_only.key_b64: is no PKCS#8 DER private key without a passphrase; must be "
            "the base64 text that `edge-server mesh generate-key` prints"),
        ("dev_mode", "4:9: database.auth: is text; must be an object"),
    ],
)  # fmt: skip
def test_membership(auth: str, expected: str) -> None:
    text = MINIMAL.replace("{small_peer_only: {offline_license_token: token}}", auth)
    assert lines_of(text) == [expected]


def test_missing_sections_are_reported_at_the_top() -> None:
    assert lines_of("# nothing else\n\nx-any: 1\n") == [
        "3:1: database: is missing; this key is required",
        "3:1: auth: is missing; this key is required",
    ]
    assert lines_of("") == [
        "1:1: the file is empty; must be an object with `database` and `auth`",
    ]


def test_a_bad_query_is_reported_at_its_place_inside_the_text() -> None:
    def check(query: str, args: object) -> list[QueryProblem]:
        return [QueryProblem(reason="no such thing", column=query.index("tasks") + 1)]

    text = MINIMAL.replace(
        "auth: {", 'subscriptions: [{args: {}, query: "SELECT * FROM tasks"}]\n  auth: {'
    )
    assert lines_of(text, Checks(subscription=check)) == [
        "4:52: database.subscriptions[0].query: no such thing; must be SELECT * FROM collection "
        "[WHERE ...]"
    ]


def test_a_query_gets_its_arguments() -> None:
    seen = []

    def check(query: str, args: object) -> list[QueryProblem]:
        seen.append((query, args))
        return []

    assert lines_of(FULL, Checks(subscription=check)) == []
    assert seen == [
        ("SELECT * FROM tasks", {}),
        ("SELECT * FROM orders WHERE total > :min", {"min": 0}),
    ]


def line_of(text: str) -> int:
    """Return the line of the whole sample in which a text is first, from 1."""
    return FULL[: FULL.index(text)].count("\n") + 1


def test_a_bad_condition_is_reported_at_its_place() -> None:
    checks = Checks(
        condition=lambda text, on: [QueryProblem(reason=f"saw {text} on {on}", column=9)]
    )
    assert lines_of(FULL, checks) == [
        f"{line_of('write: ')}:47: auth.permission_sets.fine.permissions.collections.tasks.write: saw owner = "
        ":identity on tasks; must be true, false, or a DQL condition"
    ]


def test_what_is_no_hash_of_ours_is_refused_and_not_quoted() -> None:
    def check(text: str) -> CredentialForm:
        if text.startswith("aGFzaC1vZi1maXJzdA"):
            return CredentialForm(same_key=text)
        return CredentialForm(reason="is no hash; make one")

    assert lines_of(FULL, Checks(credential=check)) == [
        f"{line_of('aGFzaC1vZi1zZWNvbmQ')}:29: auth.identities.second.credential.api_key: is no hash; make one"
    ]


def test_a_mesh_key_of_another_kind_is_refused() -> None:
    with pytest.raises(BadMeshKey, match="not base64"):
        parse_mesh_key("ä")
