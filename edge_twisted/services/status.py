# SPDX-License-Identifier: Apache-2.0
"""
The unix socket behind `edge-server status`: one JSON document per connection.

The socket is in the persistence folder, for who may read the folder may know; it works without
HTTP, and without an API key, of which the configuration has hashes only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorCore
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger

from edge_twisted.services.listen_errors import ListenFailed
from edge_twisted.services.listening import stop_listening
from edge_twisted.services.unix_socket import listen_unix

log = Logger()

SOCKET_NAME: Final = "edge-server.sock"
_BACKLOG: Final = 8

#: Returns what orjson can write.
Status = Callable[[], object]


def status_socket(folder: Path) -> Path:
    """Return the path of the socket of the server with this persistence folder."""
    return folder / SOCKET_NAME


class _StatusProtocol(Protocol):
    """Says the state and closes."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def connectionMade(self) -> None:
        """Send the status as one line of JSON, and close."""
        assert self.transport is not None
        try:
            self.transport.write(orjson.dumps(self._status()) + b"\n")
        except Exception:  # the boundary to a caller
            log.failure("The status could not be told")
        self.transport.loseConnection()


class _StatusFactory(Factory):
    """Makes protocols for callers."""

    noisy = False

    def __init__(self, status: Status) -> None:
        self._status = status

    def buildProtocol(self, addr: IAddress | None) -> _StatusProtocol:
        """Return the protocol that tells one caller the status."""
        return _StatusProtocol(self._status)


class StatusService(Service):
    """Listens while it runs; a socket that cannot be made is a warning, and the server serves."""

    name = "status"

    def __init__(self, reactor: IReactorCore, folder: Path, status: Status) -> None:
        self._reactor = reactor
        self._folder = folder
        self._status = status
        self._port: IListeningPort | None = None

    # -- IService

    def startService(self) -> None:
        """Begin to listen; a socket that cannot be made is a warning only."""
        super().startService()
        factory = _StatusFactory(self._status)
        try:
            self._port = listen_unix(self._reactor, status_socket(self._folder), factory, _BACKLOG)
        except ListenFailed as error:
            log.warn("`edge-server status` will not work: {error}", error=str(error))

    def stopService(self) -> Deferred[None]:
        """Stop listening; fire once the socket is gone."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    # -- inner

    async def _stop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await stop_listening([port])
