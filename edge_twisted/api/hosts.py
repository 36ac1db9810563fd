# SPDX-License-Identifier: Apache-2.0
"""
The Host names that a server without API keys answers to: a defence against DNS rebinding.

An attacker can let the name of his page resolve to this machine.  To a browser that page then has
the same origin as this server, so the Origin field does not tell them apart.  The requests of the
page carry its name as their Host, though, and names that strangers can register are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address


class HostNames:
    """
    The names and addresses that a Host field may have.

    Accepted are addresses (they do not resolve to anything), names without a dot (nobody can
    register one; containers use them), ``localhost`` and names that end in ``.localhost``, and
    what `names` returns, with wildcards as certificates have them.
    """

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names

    def include(self, host: str) -> bool:
        """Whether a Host field, with or without its port, is for this server."""
        name = _without_port(host).lower().rstrip(".")
        if "." not in name or name.endswith(".localhost"):
            return bool(name)
        if _is_address(name):
            return True
        parent = "*." + name.partition(".")[2]
        return any(each.lower() in (name, parent) for each in self._names())


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
