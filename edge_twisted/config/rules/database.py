# SPDX-License-Identifier: Apache-2.0
"""Rules for `database`: its folder, absent transports, subscriptions."""

from __future__ import annotations

from edge_twisted.config.problems import KeyPath
from edge_twisted.config.rules.folders import check_folder
from edge_twisted.config.rules.view import ConfigView
from edge_twisted.config.yaml.nodes import Plain

#: Transports of the reference that this server does not have.
ABSENT_RADIOS = ("lan_multicast_enabled", "ble_enabled", "awdl_enabled", "wifi_aware_enabled")


def check_database(view: ConfigView) -> None:
    """Report violations of the rules for `database` that the schema cannot express."""
    if not view.mapping("database"):
        return
    if "small_peers_only" in view.mapping("database", "auth"):
        view.old_spelling(("database", "auth", "small_peers_only"), "small_peer_only")
    check_folder(view, ("database", "persistence_dir"), default="from_current_exe", is_private=True)
    for radio in ABSENT_RADIOS:
        path = ("database", "transport_config", "peer_to_peer", radio)
        if view.value(*path) is True:
            view.warning(path, "this server has no such transport", "set it to false")
    path = ("database", "transport_config", "connect_config", "known_ws_servers")
    if view.items(*path):
        problem = "mesh links over WebSocket are not supported yet, these servers are not dialled"
        view.warning(path, problem, "list them under known_tcp_servers")
    for index, subscription in enumerate(view.items("database", "subscriptions")):
        _subscription(view, ("database", "subscriptions", index), subscription)


def _subscription(view: ConfigView, path: KeyPath, subscription: Plain) -> None:
    args: Plain = {}
    if isinstance(subscription, dict):
        args = subscription.get("args", {})
        path = (*path, "query")
    query = view.text(*path)
    if query is not None and isinstance(args, dict):
        problems = view.checks.subscription(query, args)
        view.queries(path, problems, "must be SELECT * FROM collection [WHERE ...]")
