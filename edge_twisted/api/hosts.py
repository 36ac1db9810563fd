# SPDX-License-Identifier: Apache-2.0
"""
The Host names that a server without keys answers to: against DNS rebinding.

An attacker can let the host name of a web page resolve to this machine.  For the browser, that page
then has the same origin as this server, so the Origin field does not tell the two apart.  But the
page's requests carry the attacker's name in the Host field, and the server refuses every name that
a stranger can register.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge_twisted.security.networks import parsed_address

#: Returns the names and addresses of the server, with wildcards as certificates have them.
OwnNames = Callable[[], Iterable[str]]


def is_own_host(host: str, own_names: OwnNames) -> bool:
    """Tell whether a Host field, with or without a port, names this server.

    Accepted are IP addresses (no resolution takes place), names without a dot (nobody can register
    such a name; containers use them), ``localhost``, names that end in ``.localhost``, and what
    `own_names` returns; ``*.`` there stands for any one label.
    """
    name = _without_port(host).lower().rstrip(".")
    if "." not in name or name.endswith(".localhost"):
        return bool(name)
    if parsed_address(name) is not None:
        return True
    parent = "*." + name.partition(".")[2]
    return any(each.lower() in (name, parent) for each in own_names())


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
