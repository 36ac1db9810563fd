# SPDX-License-Identifier: Apache-2.0
"""The section `http_server` of a valid file as a value."""

from __future__ import annotations

from typing import Final, Literal

from edge_twisted.config.addresses import listen_address, network
from edge_twisted.config.model import (
    Cors,
    Endpoint,
    HttpApi,
    HttpServer,
    ThrottleStrategy,
    TlsFiles,
)
from edge_twisted.config.paths import PathContext
from edge_twisted.config.sections.section import Section
from edge_twisted.config.yaml.nodes import Plain

_STRATEGIES: Final[dict[str, Literal["ip_address", "api_key", "route"]]] = {
    "ip_address": "ip_address",
    "api_key": "api_key",
    "route": "route",
}


def http_server(section: Section, surroundings: PathContext) -> HttpServer:
    """Build the HTTP server's part of the configuration."""
    throttling = section.section("throttling")
    return HttpServer(
        listen_addr=listen_address(section.text("listen_addr"), surroundings.config_folder),
        tls=_tls(section, surroundings),
        http_api=_http_api(section),
        enable_healthcheck=section.flag("enable_healthcheck"),
        serve_docs=section.flag("serve_docs"),
        enable_metrics=section.flag("enable_metrics"),
        throttling=tuple(_strategy(each) for each in throttling.objects("strategies")),
        request_timeout_ms=section.integer("request_timeout_ms"),
        max_connections=section.integer("max_connections"),
        max_header_bytes=section.integer("max_header_bytes"),
        keep_alive_timeout_ms=section.integer("keep_alive_timeout_ms"),
        header_timeout_ms=section.integer("header_timeout_ms"),
        min_body_bytes_per_sec=section.integer("min_body_bytes_per_sec"),
        backlog=section.integer("backlog"),
        trusted_proxies=tuple(network(each) for each in section.texts("trusted_proxies")),
        cors=_cors(section),
        hsts_max_age_secs=section.integer("hsts_max_age_secs"),
    )


def _tls(section: Section, surroundings: PathContext) -> TlsFiles | None:
    if section.value("tls_config") == "dev_mode":
        return None
    files = section.section("tls_config")
    return TlsFiles(
        cert=surroundings.path(files.text("cert")), key=surroundings.path(files.text("key"))
    )


def _http_api(section: Section) -> HttpApi:
    everything = section.value("http_api")
    api = section.section("http_api")

    def endpoint(key: str) -> Endpoint:
        value = everything if isinstance(everything, bool) else api.value(key)
        return _endpoint(api.section(key), value)

    if isinstance(everything, bool) or "enable_execute" not in api:
        execute = endpoint("execute")
    else:
        execute = _endpoint(api.section("execute"), api.flag("enable_execute"))
    return HttpApi(
        execute=execute,
        attachments_upload=endpoint("attachments_upload"),
        attachments_download=endpoint("attachments_download"),
        presence=endpoint("presence"),
        logs=endpoint("logs"),
    )


def _endpoint(settings: Section, value: Plain) -> Endpoint:
    """Build an endpoint from its `value`, which is a truth value or the object of `settings`."""
    takes_body = "max_body_size_mb" in settings.part["properties"]
    return Endpoint(
        enabled=value if isinstance(value, bool) else settings.flag("enabled"),
        max_body_bytes=settings.mebibytes("max_body_size_mb") if takes_body else 0,
    )


def _strategy(section: Section) -> ThrottleStrategy:
    return ThrottleStrategy(
        strategy=_STRATEGIES[section.text("strategy")],
        max_requests=section.integer("max_requests"),
        window_secs=section.number("window_secs"),
        path=section.text("path") if "path" in section else None,
    )


def _cors(section: Section) -> Cors | None:
    if "cors" not in section:
        return None
    return Cors(allowed_origins=section.section("cors").texts("allowed_origins"))
