# SPDX-License-Identifier: Apache-2.0
"""Parses IP addresses, and maps an address to the network by which limits per client count."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def parsed_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that `text` is; None for any other text, such as a host name."""
    try:
        return ip_address(text)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the network of an IP address: an IPv4 address itself, or the /64 of an IPv6 one.

    A home gets one /64.  A text that is no address is returned as it is.
    """
    parsed = parsed_address(address)
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, 64), strict=False))
