# SPDX-License-Identifier: Apache-2.0
"""
Connections that came in and have not said HELLO: how many there may be, and which one goes.

What a stranger sends makes no difference: bytes of TLS can be dripped for ever.  Only age and the
address count.  A network (an IPv4 address, an IPv6 /64) holds few places, so that one of them
cannot take all.  Where places are short, the oldest stranger of the network with most of them
goes; it goes at once for a newcomer of a network with fewer, else only after it had time for a
handshake.  Without that time, a crowd of honest peers would push each other out for ever.

Beside places, connections are counted by network: each costs a handshake.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from attrs import define, field, frozen

from edge_twisted.mesh.limits.buckets import Bucket, Rate
from edge_twisted.security.networks import network_of

G = TypeVar("G")

#: Strangers cost memory before they have proven anything.
MAX_STRANGERS: Final = 64
#: Of one network: a quarter, more than the servers that come back at the same moment from behind
#: one address in most meshes; those that are too many try again within a second.
MAX_OF_NETWORK: Final = 16
#: A handshake takes two round trips, of 0.3 s each over a satellite.
PATIENCE_SECONDS: Final = 1.0
#: Connections of one network.  Each costs a handshake, and a member's a greeting as well, a few
#: milliseconds in all: a network can take some hundredths of the server's time.  It is above what
#: patience lets through of `MAX_OF_NETWORK` silent ones, so it holds back only those that end fast.
ARRIVALS: Final = Rate(burst=128, per_second=20.0)
#: Connections of a network that count for it alone; those beyond count for all networks together,
#: so that many of them cannot take more of the server's time than a few.
FREE_ARRIVALS: Final = 8
ALL_ARRIVALS: Final = Rate(burst=256, per_second=200.0)
#: Networks whose arrivals are remembered; IPv6 has more than anybody can remember.
MAX_NETWORKS: Final = 1024


@frozen(kw_only=True)
class Room(Generic[G]):
    """The answer to a newcomer: whether it may come in, and who has to go for it."""

    is_there: bool
    leaves: G | None = None


@define(eq=False)
class Strangers(Generic[G]):
    """See the head of this module; `G` is a connection, `now` monotonic seconds."""

    limit: int = MAX_STRANGERS
    #: network -> its strangers and since when they are here, the oldest first.
    _networks: dict[str, dict[G, float]] = field(factory=dict)
    _network_of: dict[G, str] = field(factory=dict)
    _arrivals: OrderedDict[str, Bucket] = field(factory=OrderedDict)
    _all: Bucket = field(factory=lambda: Bucket(ALL_ARRIVALS))

    def __len__(self) -> int:
        return len(self._network_of)

    def room(self, address: str, now: float) -> Room[G]:
        """Tell whether a connection from an address may come in; nothing is changed by it."""
        network = network_of(address)
        arrivals = self._arrivals.get(network)
        if arrivals is not None and arrivals.left(now) < 1:
            return Room(is_there=False)
        if self._is_frequent(arrivals, now) and self._all.left(now) < 1:
            return Room(is_there=False)
        here = self._networks.get(network, {})
        if len(here) >= min(MAX_OF_NETWORK, self.limit):
            return self._after_patience(here, now)
        if len(self) < self.limit:
            return Room(is_there=True)
        largest = self._largest()
        if len(largest) > len(here) + 1:
            return Room(is_there=True, leaves=next(iter(largest)))
        return self._after_patience(largest, now)

    def enter(self, guest: G, address: str, now: float) -> None:
        """Take a connection in."""
        network = network_of(address)
        self._networks.setdefault(network, {})[guest] = now
        self._network_of[guest] = network
        arrivals = self._bucket(network)
        arrivals.take(1, now)
        if self._is_frequent(arrivals, now):
            self._all.take(1, now)

    def leave(self, guest: G) -> None:
        """The connection has said HELLO, or is gone; nothing if it is no stranger's."""
        network = self._network_of.pop(guest, None)
        if network is None:
            return
        here = self._networks[network]
        del here[guest]
        if not here:
            del self._networks[network]

    def charge(self, address: str, count: int, now: float) -> None:
        """Count as many arrivals: a link from there did harm."""
        self._bucket(network_of(address)).charge(count, now)

    # -- inner

    def _is_frequent(self, arrivals: Bucket | None, now: float) -> bool:
        return arrivals is not None and arrivals.left(now) <= ARRIVALS.burst - FREE_ARRIVALS

    def _after_patience(self, among: dict[G, float], now: float) -> Room[G]:
        oldest, since = next(iter(among.items()))
        if now - since < PATIENCE_SECONDS:
            return Room(is_there=False)
        return Room(is_there=True, leaves=oldest)

    def _largest(self) -> dict[G, float]:
        """Return the strangers of the network with most; of several, with the oldest."""
        return max(
            self._networks.values(), key=lambda here: (len(here), -next(iter(here.values())))
        )

    def _bucket(self, network: str) -> Bucket:
        bucket = self._arrivals.pop(network, None) or Bucket(ARRIVALS)
        while len(self._arrivals) >= MAX_NETWORKS:
            self._arrivals.popitem(last=False)
        self._arrivals[network] = bucket
        return bucket
