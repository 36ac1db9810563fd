# SPDX-License-Identifier: Apache-2.0
"""
The choice of a connection to close when all are taken and a new one arrives.

A silent client can hold a connection until the time limit of heads is over.  If the server only
refused new connections, a client that opens `max_connections` would keep everyone else out.  So
the network (an IPv4 address, an IPv6 /64) with the most connections without a known caller loses
its oldest such connection, if it has more of them than the network of the new connection.
"""

from __future__ import annotations

from typing import Generic, TypeVar

G = TypeVar("G")


class Newcomers(Generic[G]):
    """
    Connections without a known caller, by network; every operation takes constant time.

    :ivar _networks: network -> its connections, the oldest first.
    :ivar _by_size: number of connections -> the networks that have that many.
    """

    __slots__ = ("_by_size", "_largest", "_network_of", "_networks")

    def __init__(self) -> None:
        self._network_of: dict[G, str] = {}
        self._networks: dict[str, dict[G, None]] = {}
        self._by_size: dict[int, dict[str, None]] = {}
        self._largest = 0

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._network_of)

    def add(self, guest: G, network: str) -> None:
        """Add a connection without a known caller, as the newest of its network."""
        self._network_of[guest] = network
        here = self._networks.setdefault(network, {})
        here[guest] = None
        self._resize(network, len(here) - 1, len(here))

    def remove(self, guest: G) -> None:
        """Remove a connection, if it is here."""
        network = self._network_of.pop(guest, None)
        if network is None:
            return
        here = self._networks[network]
        del here[guest]
        self._resize(network, len(here) + 1, len(here))
        if not here:
            del self._networks[network]

    def yielding_to(self, network: str) -> G | None:
        """Return the connection to close in favour of a new one from `network`.

        It is the oldest of the network that has most.  None: no network has more connections than
        `network` would have with the new one.
        """
        mine = len(self._networks.get(network, ()))
        if self._largest <= mine + 1:
            return None
        crowd = next(iter(self._by_size[self._largest]))
        return next(iter(self._networks[crowd]))

    def _resize(self, network: str, before: int, now: int) -> None:
        same = self._by_size.get(before)
        if same is not None:
            del same[network]
            if not same:
                del self._by_size[before]
        if now:
            self._by_size.setdefault(now, {})[network] = None
        # A size changes by one, so if the largest size is gone, the next smaller one exists.
        if now > self._largest or self._largest not in self._by_size:
            self._largest = now
