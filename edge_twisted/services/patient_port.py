# SPDX-License-Identifier: Apache-2.0
"""A TCP port that accepts only a few connections in one turn of the reactor."""

from __future__ import annotations

from typing import Final

from twisted.internet import tcp
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTCP

#: Connections that are accepted in one turn of the reactor, each of which takes it 0.1 to 0.2 ms.
#: The others wait in the system's backlog, for microseconds where nothing else is to be done.
ACCEPTS_PER_TURN: Final = 4


class PatientPort(tcp.Port):
    """
    Accepts `ACCEPTS_PER_TURN` connections in one turn of the reactor.

    Twisted's own port accepts more connections in each turn while there are enough, up to all that
    wait, and open connections have to wait for that.
    """

    @property
    def numberAccepts(self) -> int:
        """Most connections that the next turn accepts."""
        return ACCEPTS_PER_TURN

    @numberAccepts.setter
    def numberAccepts(self, number: int) -> None:
        """Ignore the number that Twisted derives from the traffic."""


def listen_patiently(
    reactor: IReactorTCP, number: int, factory: IProtocolFactory, backlog: int, host: str
) -> IListeningPort:
    """
    Listen as `reactor.listenTCP` does, with a `PatientPort`.

    :raises CannotListenError: the address is in use, not permitted, or not of this machine.
    """
    port = PatientPort(number, factory, backlog, host, reactor)
    port.startListening()
    return port
