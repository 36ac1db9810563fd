# SPDX-License-Identifier: Apache-2.0
"""Finds the address of the client behind trusted proxies."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from edge_twisted.security.networks import parsed_address

Networks = Sequence[IPv4Network | IPv6Network]
#: The name of the peer of a unix socket: a proxy on this machine, which is always trusted.
UNIX = "unix"


def client_address(peer: str, forwarded_for: str | None, trusted: Networks) -> str:
    """
    Return the client's address, under which requests are counted and logged.

    The client is the peer, unless the peer is a trusted proxy.  Then the client is the last address
    in ``X-Forwarded-For`` that is no trusted proxy itself.  The search, from the end, stops before
    a text that is no address, because no proxy wrote that text.
    """
    found = plain(peer)
    if not forwarded_for or not _is_trusted(found, trusted):
        return found
    for part in reversed(forwarded_for.split(",")):
        address = parsed_address(part.strip())
        if address is None:
            return found
        found = plain(str(address))
        if not _is_trusted(found, trusted):
            return found
    return found


def plain(address: str) -> str:
    """Return an address as text without its zone; one mapped into IPv6 as the IPv4 address.

    A text that is no address is returned as it is.
    """
    parsed = parsed_address(address.partition("%")[0])
    if parsed is None:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def _is_trusted(address: str, trusted: Networks) -> bool:
    if address == UNIX:
        return True
    parsed = parsed_address(address)
    if parsed is None:
        return False
    return any(parsed.version == each.version and parsed in each for each in trusted)
