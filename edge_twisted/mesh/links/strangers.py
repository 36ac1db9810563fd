# SPDX-License-Identifier: Apache-2.0
"""
Limits for strangers, that is, connections that came in and have not said HELLO.

What a stranger sends makes no difference, for bytes of TLS can be dripped for ever; only its age
and its network count, as its carrier names it (`Origin.network`): over TCP an IPv4 address, or an
IPv6 /64.  One network may have a quarter of the places.  When no place is left, the oldest stranger
of the network with most strangers is evicted: at once for a newcomer of a network with fewer, else
only after it had time for a handshake.  Without that time, many honest peers that come at once
would evict each other for ever.

The time differs from stranger to stranger.  With one time for all, a crowd that comes again when it
is sent away would keep in step: all places fall free at one moment, when the crowd is at the door,
and an honest peer of the same network, who comes at some other moment, never finds one.

Each connection costs a handshake, so connections are also counted, by network and in all.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, NamedTuple, TypeVar

from attrs import define, field, frozen

from edge_twisted.mesh.limits.buckets import Bucket, Rate

G = TypeVar("G")

#: Places in all: strangers cost memory before they have proven anything.
MAX_STRANGERS: Final = 64
#: Places of one network.  In most meshes fewer servers than this come back at the same moment from
#: behind one address; those that find no place try again within a second.
MAX_OF_NETWORK: Final = 16
#: Time for a handshake: two round trips, of 0.3 s each over a satellite.
PATIENCE_SECONDS: Final = 1.0
#: Each stranger has up to so much more time, in turn in as many steps as a network has places.
SPREAD_SECONDS: Final = 1.0
#: Connections of one network.  Each costs a handshake, and for a member a greeting as well: a few
#: milliseconds, so a network can use some hundredths of the server's time.  Silent connections are
#: held back by `PATIENCE_SECONDS` before they reach this rate; only those that end fast reach it.
ARRIVALS: Final = Rate(burst=128, per_second=20.0)
#: Connections of a network that count for it alone.  Further ones count for all networks together
#: as well, so that many networks cannot use more of the server's time than a few.
FREE_ARRIVALS: Final = 8
ALL_ARRIVALS: Final = Rate(burst=256, per_second=200.0)
#: Networks whose arrivals are remembered; the one that came longest ago is forgotten first.
MAX_NETWORKS: Final = 1024


@frozen(kw_only=True)
class StrangerDecision(Generic[G]):
    """The decision about a new connection."""

    is_admitted: bool
    #: The stranger whose place it takes; the caller ends that connection.
    evicted: G | None = None


class Stay(NamedTuple):
    """When a stranger came, and until when it has time for a handshake."""

    since: float
    until: float


@define(eq=False)
class Strangers(Generic[G]):
    """All strangers; `G` is a connection, `now` monotonic seconds."""

    limit: int = MAX_STRANGERS
    #: network -> stranger -> its stay, the oldest first.
    _networks: dict[str, dict[G, Stay]] = field(factory=dict)
    _network_of: dict[G, str] = field(factory=dict)
    _arrivals: OrderedDict[str, Bucket] = field(factory=OrderedDict)
    _all_arrivals: Bucket = field(factory=lambda: Bucket(ALL_ARRIVALS))
    #: Counts strangers, to give each its time.
    _entered: int = 0

    def __len__(self) -> int:
        return len(self._network_of)

    def decide(self, network: str, now: float) -> StrangerDecision[G]:
        """Decide whether a connection from `network` may come in; change nothing.

        Call `enter` for one that is admitted, and `leave` for the one that the decision evicts for
        it.
        """
        arrivals = self._arrivals.get(network)
        if arrivals is not None and arrivals.left(now) < 1:
            return StrangerDecision(is_admitted=False)
        if self._is_frequent(arrivals, now) and self._all_arrivals.left(now) < 1:
            return StrangerDecision(is_admitted=False)
        here = self._networks.get(network, {})
        if len(here) >= min(MAX_OF_NETWORK, self.limit):
            return self._after_patience(here, now)
        if len(self) < self.limit:
            return StrangerDecision(is_admitted=True)
        largest = self._largest()
        if len(largest) > len(here) + 1:
            return StrangerDecision(is_admitted=True, evicted=next(iter(largest)))
        return self._after_patience(largest, now)

    def enter(self, guest: G, network: str, now: float) -> None:
        """Add an admitted connection, and count its arrival."""
        step = self._entered % MAX_OF_NETWORK / MAX_OF_NETWORK
        until = now + PATIENCE_SECONDS + SPREAD_SECONDS * step
        self._entered += 1
        self._networks.setdefault(network, {})[guest] = Stay(now, until)
        self._network_of[guest] = network
        arrivals = self._bucket(network)
        arrivals.take(1, now)
        if self._is_frequent(arrivals, now):
            self._all_arrivals.take(1, now)

    def leave(self, guest: G) -> None:
        """Remove a connection that has said HELLO, or is gone; harmless for any other."""
        network = self._network_of.pop(guest, None)
        if network is None:
            return
        here = self._networks[network]
        del here[guest]
        if not here:
            del self._networks[network]

    def charge(self, network: str, count: int, now: float) -> None:
        """Count `count` arrivals more for a network: a link from there did harm."""
        self._bucket(network).charge(count, now)

    # -- inner

    def _is_frequent(self, arrivals: Bucket | None, now: float) -> bool:
        return arrivals is not None and arrivals.left(now) <= ARRIVALS.burst - FREE_ARRIVALS

    def _after_patience(self, among: dict[G, Stay], now: float) -> StrangerDecision[G]:
        """Admit a newcomer in place of the oldest stranger whose time is over, if there is one."""
        over = next((guest for guest, stay in among.items() if stay.until <= now), None)
        return StrangerDecision(is_admitted=over is not None, evicted=over)

    def _largest(self) -> dict[G, Stay]:
        """Return the strangers of the network with most; among equals, with the oldest."""
        return max(
            self._networks.values(), key=lambda here: (len(here), -next(iter(here.values())).since)
        )

    def _bucket(self, network: str) -> Bucket:
        bucket = self._arrivals.pop(network, None) or Bucket(ARRIVALS)
        while len(self._arrivals) >= MAX_NETWORKS:
            self._arrivals.popitem(last=False)
        self._arrivals[network] = bucket
        return bucket
