# SPDX-License-Identifier: Apache-2.0
"""Sockets that systemd opened and handed over, by the protocol of sd_listen_fds(3)."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from edge_twisted.services.listen_errors import ListenFailed
from edge_twisted.services.patient_port import PatientPort
from edge_twisted.services.unix_socket import UnixPort

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor


def adopt_inherited(reactor: Reactor, factory: IProtocolFactory) -> list[IListeningPort]:
    """Listen on the sockets of a systemd socket unit; return their ports, none without a unit.

    :raises ListenFailed: one of them does not accept connections; its text says what to change.
    """
    ports: list[IListeningPort] = []
    for endpoint in _inherited(reactor):
        with socket.socket(fileno=os.dup(endpoint.fileno)) as probe:
            family = probe.family
            accepts = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if not accepts:
            reason = "it accepts no connections; use ListenStream= and Accept=no in its unit"
            raise ListenFailed(f"socket {endpoint.fileno} of systemd", reason)
        # Of the open file, not of the descriptor: also for the copy that the port makes.
        os.set_blocking(endpoint.fileno, False)
        if family == socket.AF_UNIX:
            # By way of the reactor it would be Twisted's port, which removes systemd's file.
            port = UnixPort._fromListeningDescriptor(reactor, endpoint.fileno, factory)
            port.startListening()
        else:
            # By way of the reactor it would be Twisted's port, which accepts without a bound.
            port = PatientPort._fromListeningDescriptor(reactor, endpoint.fileno, family, factory)
            port.startListening()
        os.close(endpoint.fileno)
        ports.append(port)
    return ports


def _inherited(reactor: Reactor) -> list[AdoptedStreamServerEndpoint]:
    """
    Return the sockets that systemd passed, as endpoints.

    Twisted takes LISTEN_FDS out of the environment when `twisted.internet.endpoints` is imported,
    so its parser is the only one left to ask.
    """
    endpoints: list[AdoptedStreamServerEndpoint] = []
    with suppress(IndexError):
        while True:
            text = f"systemd:domain=INET:index={len(endpoints)}"
            endpoints.append(serverFromString(reactor, text))
    return endpoints
