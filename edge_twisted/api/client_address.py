# SPDX-License-Identifier: Apache-2.0
"""The address of the client, also behind trusted proxies."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

Networks = Sequence[IPv4Network | IPv6Network]
#: What the peer of a unix socket is called: a proxy on this machine, always trusted.
UNIX = "unix"


def client_address(peer: str, forwarded_for: str | None, trusted: Networks) -> str:
    """
    Return the address to count and to log.

    That is the peer, unless it is a trusted proxy: then the last address of ``X-Forwarded-For``
    that is not one itself.  What is no address ends the search: it was not written by a proxy.
    """
    found = plain(peer)
    if not forwarded_for or not _is_trusted(found, trusted):
        return found
    for part in reversed(forwarded_for.split(",")):
        try:
            found = plain(str(ip_address(part.strip())))
        except ValueError:
            return found
        if not _is_trusted(found, trusted):
            return found
    return found


def plain(address: str) -> str:
    """Return an address without zone, an IPv4 one as such even if IPv6 carried it."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def _is_trusted(address: str, trusted: Networks) -> bool:
    if address == UNIX:
        return True
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed.version == each.version and parsed in each for each in trusted)
