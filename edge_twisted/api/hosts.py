# SPDX-License-Identifier: Apache-2.0
"""
By which names a server that asks nobody for a key may be called.

A page whose own name suddenly resolves to this machine (DNS rebinding) is, to its browser, of the
same origin as this server: no Origin tells them apart.  Its requests carry that name as their Host,
though, and a name that strangers can register is none of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address


class HostNames:
    """
    Tells whether a Host names this server.

    Addresses do, for they cannot be made to resolve to another; names without a dot do, for nobody
    can register one (containers call each other so), ``localhost`` and what ends in it; and what
    `names` says: certificates' wildcards are understood.
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
