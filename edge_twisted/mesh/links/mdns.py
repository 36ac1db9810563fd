# SPDX-License-Identifier: Apache-2.0
"""
Multicast DNS by the zeroconf library.

The library has threads of its own, and its calls block for up to seconds.  So everything here runs
outside the reactor thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import ifaddr
from twisted.logger import Logger
from zeroconf import (
    InterfaceChoice,
    IPVersion,
    ServiceBrowser,
    ServiceInfo,
    ServiceStateChange,
    Zeroconf,
)

from edge_twisted.mesh.carriers.tcp import TcpPeerAddress
from edge_twisted.mesh.links.discovery import (
    SERVICE_TYPE,
    Announcement,
    InstanceHandler,
    MdnsSession,
)

log = Logger()

#: How long to wait for the addresses of an instance.
RESOLVE_MS: Final = 3000


class ZeroconfMdns:
    """See `edge_twisted.mesh.links.discovery.Mdns`; `interfaces`: addresses to use; None: all."""

    def __init__(self, interfaces: Sequence[str] | None = None) -> None:
        self._interfaces = interfaces

    def addresses(self) -> frozenset[str]:
        """Return the machine's IP addresses as texts; see `Mdns.addresses`."""
        found = {
            str(address.ip if address.is_IPv4 else address.ip[0])
            for adapter in ifaddr.get_adapters()
            for address in adapter.ips
        }
        return frozenset(each for each in found if not ip_address(each).is_loopback)

    def open(self, announcement: Announcement | None, handler: InstanceHandler) -> MdnsSession:
        """Begin to announce and to listen, with zeroconf; see `Mdns.open`."""
        zeroconf = self._zeroconf()
        try:
            return _Session(zeroconf, self._service(announcement), handler)
        except BaseException:
            zeroconf.close()
            raise

    # -- inner

    def _zeroconf(self) -> Zeroconf:
        if self._interfaces is not None:
            return Zeroconf(interfaces=list(self._interfaces))
        try:
            return Zeroconf(interfaces=InterfaceChoice.All, ip_version=IPVersion.All)
        except OSError:
            # A machine without IPv6.
            return Zeroconf(interfaces=InterfaceChoice.All)

    def _service(self, announcement: Announcement | None) -> ServiceInfo | None:
        if announcement is None:
            return None
        addresses = self._announced(announcement.ip)
        if not addresses:
            return None
        return ServiceInfo(
            SERVICE_TYPE,
            f"{announcement.instance}.{SERVICE_TYPE}",
            port=announcement.port,
            parsed_addresses=addresses,
            # Not the name of the machine: outsiders need not learn it.
            server=f"{announcement.instance}.local.",
            properties={"v": "1"},
        )

    def _announced(self, ip: str) -> list[str]:
        wildcard = ip_address(ip)
        if not wildcard.is_unspecified:
            return [ip]
        # A link-local IPv6 address is of no use without the interface's name on the other machine.
        usable = (ip_address(each) for each in self.addresses())
        return sorted(
            str(each)
            for each in usable
            if each.version == 4 or (wildcard.version == 6 and not each.is_link_local)
        )


class _Session:
    """See `MdnsSession`."""

    def __init__(
        self, zeroconf: Zeroconf, service: ServiceInfo | None, handler: InstanceHandler
    ) -> None:
        self._zeroconf = zeroconf
        self._handler = handler
        if service is not None:
            zeroconf.register_service(service, allow_name_change=True)
        self._browser = ServiceBrowser(zeroconf, SERVICE_TYPE, handlers=[self._changed])

    def close(self) -> None:
        """Stop listening and withdraw the announcement; blocks."""
        self._browser.cancel()
        self._zeroconf.close()

    # -- inner: in the browser's thread

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        instance = name.removesuffix(f".{SERVICE_TYPE}")
        if state_change is ServiceStateChange.Removed:
            self._handler(instance, ())
            return
        try:
            targets = _targets(zeroconf.get_service_info(service_type, name, RESOLVE_MS))
            if targets:
                self._handler(instance, targets)
        except Exception:  # the boundary to a thread: what the network sent must not end it
            log.failure("An announcement could not be read")


def _targets(info: ServiceInfo | None) -> tuple[TcpPeerAddress, ...]:
    """Return the addresses of an instance, IPv4 first; none if it has not answered."""
    if info is None or not info.port:
        return ()
    addresses = [
        *info.parsed_scoped_addresses(IPVersion.V4Only),
        *info.parsed_scoped_addresses(IPVersion.V6Only),
    ]
    return tuple(TcpPeerAddress(host=each, port=info.port) for each in addresses)
