# SPDX-License-Identifier: Apache-2.0
"""The published schema: every documented key with its default, described, and true to the model."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import pytest
import yaml
from jsonschema import Draft202012Validator

from edge_twisted.config import model
from edge_twisted.config.schema import Schema, resolved, schema
from edge_twisted.config.yaml.nodes import Plain
from tests.unit.config.samples import FULL, MINIMAL, load_text

REQUIRED = "required"
NO_DEFAULT = "no default"

#: The documented interface: each key, and whether it is required or what its default is.
DOCUMENTED: dict[str, object] = {
    "database": REQUIRED,
    "database.db_id": REQUIRED,
    "database.device_name": REQUIRED,
    "database.auth": REQUIRED,
    "database.auth.server": NO_DEFAULT,
    "database.auth.server.access_token": REQUIRED,
    "database.auth.server.auth_url": REQUIRED,
    "database.auth.server.provider": REQUIRED,
    "database.auth.server.enable_cloud_sync": True,
    "database.auth.small_peer_only": NO_DEFAULT,
    "database.auth.small_peer_only.offline_license_token": REQUIRED,
    "database.auth.small_peer_only.key_b64": NO_DEFAULT,
    "database.auth.small_peers_only": NO_DEFAULT,
    "database.auth.small_peers_only.offline_license_token": REQUIRED,
    "database.auth.small_peers_only.key_b64": NO_DEFAULT,
    "database.subscriptions": [],
    "database.subscriptions[].query": REQUIRED,
    "database.subscriptions[].args": {},
    "database.persistence_dir": "from_current_exe",
    "database.persistence_dir.path": NO_DEFAULT,
    "database.persistence_dir.from_env": NO_DEFAULT,
    "database.transport_config": NO_DEFAULT,
    "database.transport_config.peer_to_peer": NO_DEFAULT,
    "database.transport_config.peer_to_peer.lan_enabled": True,
    "database.transport_config.peer_to_peer.lan_mdns_enabled": True,
    "database.transport_config.peer_to_peer.lan_multicast_enabled": None,
    "database.transport_config.peer_to_peer.ble_enabled": None,
    "database.transport_config.peer_to_peer.awdl_enabled": None,
    "database.transport_config.peer_to_peer.wifi_aware_enabled": None,
    "database.transport_config.connect_config": NO_DEFAULT,
    "database.transport_config.connect_config.known_tcp_servers": [],
    "database.transport_config.connect_config.known_ws_servers": [],
    "database.transport_config.connect_config.retry_interval_msec": 5000,
    "database.transport_config.listen_config": NO_DEFAULT,
    "database.transport_config.listen_config.tcp_listen": NO_DEFAULT,
    "database.transport_config.listen_config.tcp_listen.enable": False,
    "database.transport_config.listen_config.tcp_listen.ip": "0.0.0.0",
    "database.transport_config.listen_config.tcp_listen.port": 4040,
    "database.transport_config.max_connections": 64,
    "database.auto_fetch_attachments": False,
    "database.moved_out": "keep",
    "database.transit": False,
    "database.transit.max_mb": 256,
    "database.max_collections": 100000,
    "database.scrub_interval_hours": 24,
    "database.scrub_kib_per_second": 1024,
    "http_server": NO_DEFAULT,
    "http_server.listen_addr": REQUIRED,
    "http_server.tls_config": REQUIRED,
    "http_server.tls_config.cert": REQUIRED,
    "http_server.tls_config.key": REQUIRED,
    "http_server.http_api": REQUIRED,
    "http_server.http_api.execute": False,
    "http_server.http_api.execute.enabled": True,
    "http_server.http_api.execute.max_body_size_mb": 2,
    "http_server.http_api.attachments_upload": False,
    "http_server.http_api.attachments_upload.enabled": True,
    "http_server.http_api.attachments_upload.max_body_size_mb": 50,
    "http_server.http_api.attachments_download": False,
    "http_server.http_api.attachments_download.enabled": True,
    "http_server.http_api.presence": False,
    "http_server.http_api.presence.enabled": True,
    "http_server.http_api.logs": False,
    "http_server.http_api.logs.enabled": True,
    "http_server.http_api.enable_execute": NO_DEFAULT,
    "http_server.enable_healthcheck": False,
    "http_server.serve_docs": False,
    "http_server.throttling": NO_DEFAULT,
    "http_server.throttling.strategies": [],
    "http_server.throttling.strategies[].strategy": REQUIRED,
    "http_server.throttling.strategies[].max_requests": REQUIRED,
    "http_server.throttling.strategies[].window_secs": REQUIRED,
    "http_server.throttling.strategies[].path": NO_DEFAULT,
    "http_server.request_timeout_ms": 10000,
    "http_server.max_connections": 10000,
    "http_server.max_header_bytes": 16384,
    "http_server.keep_alive_timeout_ms": 60000,
    "http_server.header_timeout_ms": 10000,
    "http_server.min_body_bytes_per_sec": 1024,
    "http_server.hsts_max_age_secs": 0,
    "http_server.backlog": 1024,
    "http_server.trusted_proxies": [],
    "http_server.cors": NO_DEFAULT,
    "http_server.cors.allowed_origins": REQUIRED,
    "http_server.enable_metrics": False,
    "auth": REQUIRED,
    "auth.identities": REQUIRED,
    "auth.identities.*.credential": REQUIRED,
    "auth.identities.*.credential.api_key": REQUIRED,
    "auth.identities.*.permissions": REQUIRED,
    "auth.identities.*.id": NO_DEFAULT,
    "auth.permission_sets": REQUIRED,
    "auth.permission_sets.*.permissions": REQUIRED,
    "auth.permission_sets.*.permissions.endpoints": NO_DEFAULT,
    "auth.permission_sets.*.permissions.collections": NO_DEFAULT,
    "auth.permission_sets.*.permissions.collections.*.read": False,
    "auth.permission_sets.*.permissions.collections.*.write": False,
    "logging": NO_DEFAULT,
    "logging.ditto_sdk": "warning",
    "logging.edge_server": NO_DEFAULT,
    "logging.edge_server.level": "info",
    "logging.edge_server.console_logs": "std_out",
    "logging.edge_server.format": NO_DEFAULT,
    "logging.edge_server.audit_logs": None,
    "logging.edge_server.audit_logs.path": REQUIRED,
    "logging.edge_server.audit_logs.max_files": NO_DEFAULT,
    "logging.edge_server.rotating_logs": None,
    "logging.edge_server.rotating_logs.directory": REQUIRED,
    "logging.edge_server.rotating_logs.directory.path": NO_DEFAULT,
    "logging.edge_server.rotating_logs.directory.from_env": NO_DEFAULT,
    "logging.edge_server.rotating_logs.prefix": "edge-server.log",
    "logging.edge_server.rotating_logs.rotation": NO_DEFAULT,
    "logging.edge_server.rotating_logs.rotation.frequency": "daily",
    "logging.edge_server.rotating_logs.rotation.max_size_mb": NO_DEFAULT,
    "logging.edge_server.rotating_logs.max_files": 30,
}


def keys_of(part: Schema, path: str) -> Iterator[tuple[str, object, Schema]]:
    """Yield each key below `part`: its path, what `DOCUMENTED` should say, its own part."""
    part = resolved(part)
    for alternative in part.get("anyOf", ()):
        yield from keys_of(alternative, path)
    for name, child in part.get("properties", {}).items():
        own = resolved(child)
        inner = f"{path}.{name}" if path else name
        required = name in part.get("required", ())
        yield inner, REQUIRED if required else own.get("default", NO_DEFAULT), own
        yield from keys_of(child, inner)
    if isinstance(named := part.get("additionalProperties"), dict):
        yield from keys_of(named, f"{path}.*")
    if "items" in part:
        yield from keys_of(part["items"], f"{path}[]")


def test_the_schema_has_the_documented_keys_and_defaults() -> None:
    assert {path: status for path, status, _ in keys_of(schema(), "")} == DOCUMENTED


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("key", list(keys_of(schema(), "")), ids=lambda key: key[0])
def test_every_key_is_described(key: tuple[str, object, Schema]) -> None:
    assert key[2].get("description", "").endswith("."), key[0]


def test_every_object_is_closed_or_holds_names() -> None:
    for part in parts_of(schema()):
        if part.get("type") == "object" and ("properties" in part or "required" in part):
            assert part.get("additionalProperties") is False


def test_numbers_have_bounds() -> None:
    for part in parts_of(schema()):
        if {"integer", "number"} & set(kinds_of(part)):
            assert "maximum" in part
            assert "minimum" in part or "exclusiveMinimum" in part


def test_secrets_are_marked() -> None:
    secrets = {
        path.rpartition(".")[2] for path, _, part in keys_of(schema(), "") if part.get("writeOnly")
    }
    assert secrets == {"access_token", "offline_license_token", "key_b64", "api_key"}


def test_defaults_obey_the_schema_and_agree_with_the_model() -> None:
    for path, default, part in keys_of(schema(), ""):
        if default not in (REQUIRED, NO_DEFAULT):
            document = {"$defs": schema()["$defs"], **part}
            assert not list(Draft202012Validator(document).iter_errors(default)), path
    configuration = load_text(MINIMAL + HTTP).configuration
    http = configuration.http_server
    assert http is not None
    for value in (
        configuration.database,
        configuration.database.transport,
        configuration.database.transport.peer_to_peer,
        configuration.database.transport.tcp_listen,
        configuration.logging,
        http,
    ):
        for each in attrs.fields(type(value)):
            if each.default is not attrs.NOTHING:
                assert getattr(value, each.name) == each.default, each.name


def fits(value: object, kind: Any) -> bool:
    """Answer whether a value is of a type of the model: a class, Literal, a union, or a tuple."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return any(fits(value, each) for each in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(fits(each, get_args(kind)[0]) for each in value)
    return type(value) is (get_origin(kind) or kind)


def test_defaults_are_of_the_types_of_their_fields() -> None:
    """`default_of` reads them from the schema at run time, where no type checker looks."""
    kinds = [each for each in vars(model).values() if attrs.has(each)]
    assert len(kinds) > 15
    wrong = [
        f"{kind.__name__}.{each.name}: {each.default!r}"
        for kind in kinds
        for each in attrs.fields(kind)
        if each.default is not attrs.NOTHING
        if not hasattr(each.default, "factory")  # an attrs.Factory, which mypy does check
        if not fits(each.default, get_type_hints(kind)[each.name])
    ]
    assert wrong == []


def test_the_full_sample_has_every_key_but_the_alternatives_that_it_cannot_have() -> None:
    present = set(paths_of(yaml.safe_load(FULL), ""))
    absent = {path for path in DOCUMENTED if path not in present}
    assert {path for path in absent if "small_peer" not in path} == {
        "database.persistence_dir.from_env",
        "http_server.http_api.attachments_download.enabled",
        "http_server.http_api.attachments_upload.enabled",
        "http_server.http_api.presence.enabled",
        "http_server.http_api.enable_execute",
        "logging.edge_server.rotating_logs.directory.path",
    }


def test_the_model_has_nothing_that_the_file_cannot_say() -> None:
    names = {path.rpartition(".")[2].removesuffix("[]") for path in DOCUMENTED}
    sections = (model.PeerToPeer, model.TcpListen, model.ServerAuth, model.SmallPeerOnly)
    for section in sections:
        assert {each.name for each in attrs.fields(section)} <= names


HTTP = "http_server: {listen_addr: 127.0.0.1:80, tls_config: dev_mode, http_api: true}\n"


def kinds_of(part: Schema) -> list[str]:
    kinds = part.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def parts_of(part: Any) -> Iterator[Schema]:
    """Yield every schema inside a schema."""
    if isinstance(part, dict):
        yield part
        for each in part.values():
            yield from parts_of(each)
    elif isinstance(part, list):
        for each in part:
            yield from parts_of(each)


def paths_of(value: Plain, path: str) -> Iterator[str]:
    """Yield the path of every key of a file, as `DOCUMENTED` has it."""
    if isinstance(value, dict):
        named = path in ("auth.identities", "auth.permission_sets") or path.endswith(".collections")
        for key, each in value.items():
            inner = f"{path}.{'*' if named else key}" if path else key
            yield inner
            yield from paths_of(each, inner)
    elif isinstance(value, list):
        for each in value:
            yield from paths_of(each, f"{path}[]")
