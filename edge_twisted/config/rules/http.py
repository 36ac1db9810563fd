# SPDX-License-Identifier: Apache-2.0
"""Rules for `http_server`: address, certificate, old spellings, throttling."""

from __future__ import annotations

from edge_twisted.config.addresses import BadFormat, is_loopback, parse_listen_address
from edge_twisted.config.model import ListenAddress, TcpAddress, TlsFiles, UnixAddress
from edge_twisted.config.problems import quoted
from edge_twisted.config.rules.folders import warn_of_tilde
from edge_twisted.config.rules.view import ConfigView

#: A route that no strategy ever counts.
EXEMPT_ROUTE = "/health"


def check_http_server(view: ConfigView) -> None:
    """Report violations of the rules for `http_server` that the schema cannot express."""
    listen = _listen_address(view)
    _tls(view, listen)
    _old_spelling(view)
    for index, _ in enumerate(view.items("http_server", "throttling", "strategies")):
        _strategy(view, index)
    if view.text("auth") == "dev_mode" and listen is not None and not is_loopback(listen):
        what = "anyone who reaches this address may do anything, because auth is dev_mode"
        view.warning(("http_server", "listen_addr"), what, "listen on 127.0.0.1, or use keys")


def _listen_address(view: ConfigView) -> ListenAddress | None:
    path = ("http_server", "listen_addr")
    text = view.text(*path)
    if text is None:
        return None
    try:
        listen = parse_listen_address(text, view.context.config_folder)
    except BadFormat as error:
        # The schema knows the text, not the folder that a relative path is in.
        view.problem(path, f"with this file's folder, {error}", "must be a shorter path")
        return None
    if isinstance(listen, UnixAddress):
        reason = view.checks.unix_socket(listen.path)
        if reason is not None:
            view.problem(path, reason, "must be a new path in a folder that this user can write to")
    return listen


def _tls(view: ConfigView, listen: ListenAddress | None) -> None:
    path = ("http_server", "tls_config")
    cert, key = view.text(*path, "cert"), view.text(*path, "key")
    if cert is None or key is None:
        return
    warn_of_tilde(view, (*path, "cert"))
    warn_of_tilde(view, (*path, "key"))
    files = TlsFiles(cert=view.context.path(cert), key=view.context.path(key))
    host = listen.host if isinstance(listen, TcpAddress) else None
    for finding in view.checks.certificate(files, host):
        report = view.warning if finding.is_warning else view.problem
        report((*path, finding.role), finding.what, finding.right)


def _old_spelling(view: ConfigView) -> None:
    path = ("http_server", "http_api")
    endpoints = view.mapping(*path)
    if "enable_execute" not in endpoints:
        return
    old = (*path, "enable_execute")
    if "execute" in endpoints:
        view.wrong_key(old, "is the old spelling of execute, which is there too", "keep execute")
    else:
        view.old_spelling(old, "execute")


def _strategy(view: ConfigView, index: int) -> None:
    path = ("http_server", "throttling", "strategies", index)
    strategy = view.text(*path, "strategy")
    route = view.text(*path, "path")
    if strategy is not None and strategy != "route" and "path" in view.mapping(*path):
        what = f"strategy {strategy} counts all paths together"
        view.wrong_key((*path, "path"), what, "remove it, or use strategy route")
    elif strategy == "route" and route == EXEMPT_ROUTE:
        what = f"{quoted(route)} is never throttled, so this strategy does nothing"
        view.warning((*path, "path"), what, "remove the strategy")
    if strategy == "api_key" and view.text("auth") == "dev_mode":
        what = "without keys this strategy does nothing, because auth is dev_mode"
        view.warning((*path, "strategy"), what, "use ip_address, or use keys")
