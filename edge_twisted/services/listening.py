# SPDX-License-Identifier: Apache-2.0
"""
Listens on the address of a configuration: TCP, a unix socket, or systemd's sockets.

All or nothing: if one of several addresses fails, none stays open, and the error says which one
failed and why.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IListeningPort,
    IProtocolFactory,
    IResolutionReceiver,
)
from twisted.logger import Logger
from zope.interface import implementer

from edge_twisted.config.model import ListenAddress, TcpAddress, UnixAddress
from edge_twisted.security.networks import parsed_address
from edge_twisted.services.inherited_sockets import adopt_inherited
from edge_twisted.services.listen_errors import ListenFailed, tcp_failure, tcp_text
from edge_twisted.services.patient_port import listen_patiently
from edge_twisted.services.unix_socket import listen_unix

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor

log = Logger()

#: How often another free port is tried when the first is taken on another address of a name.
PORT_ATTEMPTS = 10
#: A name may stand for addresses that this machine lacks, as ::1 in a container without IPv6.
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


async def listen(
    reactor: Reactor, address: ListenAddress, factory: IProtocolFactory, backlog: int
) -> list[IListeningPort]:
    """Listen on `address`, or on the sockets that systemd handed over if there are any.

    Call it once in a process: what systemd hands over, the HTTP listener takes.  It returns at
    least one port; the caller stops them.  `backlog` is how many connections wait to be accepted,
    at most.

    :raises ListenFailed: nothing listens; the server must end, with the reason.
    """
    ports = adopt_inherited(reactor, factory)
    if not ports:
        match address:
            case UnixAddress(path):
                ports = [listen_unix(reactor, path, factory, backlog)]
            case TcpAddress():
                ports = await listen_tcp(reactor, address, factory, backlog)
    for port in ports:
        log.info("Listening on {address}", address=listening_text(port))
    return ports


async def listen_tcp(
    reactor: Reactor, address: TcpAddress, factory: IProtocolFactory, backlog: int
) -> list[IListeningPort]:
    """Listen on all IP addresses of `address`; return the ports, which the caller stops.

    There is at least one.  Sockets that systemd handed over are left alone, and nothing is logged.

    :raises ListenFailed: nothing listens; its text has the reason and the remedy.
    """
    hosts = await _addresses(reactor, address)
    return await _listen_on_all(reactor, hosts, address, factory, backlog)


async def stop_listening(ports: Sequence[IListeningPort]) -> None:
    """Close ports; connections that they accepted live on."""
    for port in ports:
        stopped = port.stopListening()
        if stopped is not None:
            await stopped


def listening_text(port: IListeningPort) -> str:
    """Return where a port listens, with the port number that it really has."""
    host = port.getHost()
    if isinstance(host, IPv4Address | IPv6Address):
        return tcp_text(host.host, host.port)
    if isinstance(host, UNIXAddress) and host.name:
        return f"unix:{os.fsdecode(host.name)}"
    return str(host)


# -- TCP


@implementer(IResolutionReceiver)
@define
class _Resolution:
    """Collects the addresses of a host name; `done` fires when all are known."""

    done: Deferred[None] = field(factory=Deferred)
    hosts: list[str] = field(factory=list)

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Do nothing: the resolution is never cancelled."""

    def addressResolved(self, address: IAddress) -> None:
        """Add an address of the host name, once."""
        if isinstance(address, IPv4Address | IPv6Address) and address.host not in self.hosts:
            self.hosts.append(address.host)

    def resolutionComplete(self) -> None:
        """Fire `done`: all addresses are known."""
        self.done.callback(None)


async def _addresses(reactor: Reactor, address: TcpAddress) -> list[str]:
    if parsed_address(address.host.partition("%")[0]) is not None:
        return [address.host]
    resolution = _Resolution()
    reactor.nameResolver.resolveHostName(resolution, address.host, address.port)
    await resolution.done
    if not resolution.hosts:
        text = tcp_text(address.host, address.port)
        raise ListenFailed(text, f"no address is known for the name {address.host}; correct it")
    return resolution.hosts


async def _listen_on_all(
    reactor: Reactor,
    hosts: Sequence[str],
    address: TcpAddress,
    factory: IProtocolFactory,
    backlog: int,
) -> list[IListeningPort]:
    """Listen on the same port of all hosts; a port of 0 is any that is free on all of them."""
    attempts = PORT_ATTEMPTS if address.port == 0 and len(hosts) > 1 else 1
    while True:
        attempts -= 1
        ports: list[IListeningPort] = []
        try:
            for host in hosts:
                number = _number(ports[0]) if ports else address.port
                _listen_on(reactor, host, number, factory, backlog, ports)
            break
        except CannotListenError as error:
            await stop_listening(ports)
            if not attempts or error.socketError.errno != errno.EADDRINUSE:
                raise tcp_failure(error.interface, error.port, error.socketError) from error
    if ports:
        return ports
    absent = OSError(errno.EADDRNOTAVAIL, "")
    raise tcp_failure(address.host, address.port, absent)


def _number(port: IListeningPort) -> int:
    host = port.getHost()
    assert isinstance(host, IPv4Address | IPv6Address)
    return host.port


def _listen_on(
    reactor: Reactor,
    host: str,
    number: int,
    factory: IProtocolFactory,
    backlog: int,
    ports: list[IListeningPort],
) -> None:
    try:
        ports.append(listen_patiently(reactor, number, factory, backlog, host))
    except CannotListenError as error:
        if error.socketError.errno not in _ABSENT:
            raise
        log.warn("This machine has no address {host}; not listening there", host=host)
