# SPDX-License-Identifier: Apache-2.0
"""
The exchange of attachments between this server and its neighbours.

Whatever happens is told to it; every call returns what is to be done, in order.  `now` is
monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define, field

from edge_twisted.mesh.blobs.effects import Effect, Look, Peer, Say
from edge_twisted.mesh.blobs.fetches import Fetches
from edge_twisted.mesh.blobs.messages import (
    Chunk,
    Coming,
    Credit,
    Gone,
    Have,
    Message,
    Pull,
    Stop,
    Unavailable,
    Want,
)
from edge_twisted.mesh.blobs.searches import BlobFound, Searches
from edge_twisted.mesh.blobs.server import BlobServer

#: Pulls of one neighbour that wait for a look at the store.
_MOST_LOOKS: Final = 64
#: How long a way to a blob that was found for somebody else is worth remembering, and how many.
_ROUTE_SECONDS: Final = 60.0
_MOST_ROUTES: Final = 4096


@define(eq=False)
class _Route:
    since: float
    sources: dict[Peer, int] = field(factory=dict)


class BlobExchange:
    """
    See the head of this module.

    :param new_search: makes 16 random bytes.
    """

    def __init__(self, new_search: Callable[[], bytes]) -> None:
        self._new_search = new_search
        self._now = 0.0
        self._peers: dict[Peer, None] = {}
        self._searches = Searches()
        self._fetches = Fetches(self)
        self._serving = BlobServer()
        self._looking: dict[tuple[Peer, str], Pull] = {}
        self._routes: dict[str, _Route] = {}
        self._effects: list[Effect] = []

    # -- what is wanted here

    def want(self, attachment: str, now: float, *, urgent: bool) -> list[Effect]:
        """Bring a blob here; `Settled` says whether it came.  `urgent`: somebody waits for it."""
        self._fetches.want(attachment, now, urgent=urgent)
        return self._done(now)

    def is_fetching(self, attachment: str) -> bool:
        """Answer whether it is on its way, or wanted."""
        return attachment in self._fetches

    # -- neighbours and time

    def joined(self, peer: Peer, now: float) -> list[Effect]:
        """A neighbour is connected."""
        self._peers[peer] = None
        self._searches.joined(peer)
        self._fetches.joined(peer, now)
        return self._done(now)

    def left(self, peer: Peer, now: float) -> list[Effect]:
        """A neighbour is not connected any more."""
        self._peers.pop(peer, None)
        for key in [key for key in self._looking if key[0] == peer]:
            del self._looking[key]
        for route in self._routes.values():
            route.sources.pop(peer, None)
        self._serving.left(peer)
        self._searches.left(peer)
        self._settle(now)
        self._fetches.left(peer, now)
        return self._done(now)

    def tick(self, now: float) -> list[Effect]:
        """Look at the clock: call it about every 0.5 s."""
        self._searches.tick(now)
        self._settle(now)
        self._fetches.tick(now)
        self._serving.tick(now)
        for attachment, route in tuple(self._routes.items()):
            if route.since + _ROUTE_SECONDS > now:
                break
            del self._routes[attachment]
        return self._done(now)

    # -- messages

    def heard(self, peer: Peer, message: Message, now: float) -> list[Effect]:
        """A neighbour says something."""
        self._now = now
        match message:
            case Want():
                self._searches.asked(peer, message, now)
            case Have():
                self._searches.have(peer, message)
            case Unavailable():
                self._searches.unavailable(peer, message.search)
            case Pull():
                self._pulled(peer, message)
            case Credit():
                self._serving.credited(peer, message, now)
                self._fetches.credited(peer, message)
            case Chunk():
                self._fetches.chunk(peer, message, now)
            case Coming():
                self._fetches.coming(peer, message.attachment, now)
            case Gone():
                self._fetches.gone(peer, message.attachment, now)
            case Stop():
                self._looking.pop((peer, message.attachment), None)
                self._serving.stopped(peer, message.attachment)
                self._fetches.stopped(peer, message.attachment)
        return self._done(now)

    # -- answers to effects

    def looked(self, look: Look, allowed: bool, length: int | None, now: float) -> list[Effect]:
        """Whether the peer may have the blob, and its length if it is here."""
        if look.search is not None:
            self._searches.looked(look.search, allowed, length, self._peers)
        elif (pull := self._looking.pop((look.peer, look.attachment), None)) is not None:
            self._answer_pull(look.peer, pull, allowed, length, now)
        return self._done(now)

    def begun(self, attachment: str, received: int, now: float) -> list[Effect]:
        """A download is open; so many bytes are there from earlier."""
        self._fetches.begun(attachment, received, now)
        return self._done(now)

    def written(self, peer: Peer, length: int, now: float) -> list[Effect]:
        """A `Write` is done, or failed."""
        self._fetches.written(peer, length)
        return self._done(now)

    def finished(self, attachment: str, length: int, now: float) -> list[Effect]:
        """A blob is here and verified."""
        for peer, (offset, credit) in self._fetches.finished(attachment, now).items():
            self._serving.begin(peer, Pull(attachment, offset, credit), length, now)
        return self._done(now)

    def corrupt(self, attachment: str, now: float) -> list[Effect]:
        """A download was something else than it should, and is gone."""
        self._fetches.corrupt(attachment, now)
        return self._done(now)

    def broken(self, attachment: str, now: float) -> list[Effect]:
        """A download cannot be begun, written or finished; it is closed."""
        self._fetches.broken(attachment, now)
        return self._done(now)

    def is_serving(self, peer: Peer) -> bool:
        """Answer whether a chunk waits for room on the link: see `give`."""
        return self._serving.is_waiting(peer)

    def give(self, peer: Peer, now: float) -> list[Effect]:
        """The link has room for a chunk."""
        self._serving.give(peer)
        return self._done(now)

    def read(
        self, peer: Peer, attachment: str, offset: int, data: bytes, now: float
    ) -> list[Effect]:
        """A chunk was read for a peer."""
        self._serving.read(peer, attachment, offset, data, now)
        return self._done(now)

    def unreadable(self, peer: Peer, attachment: str, now: float) -> list[Effect]:
        """A chunk could not be read for a peer."""
        self._serving.unreadable(peer, attachment)
        return self._done(now)

    # -- Searching, for the fetches

    def begin(self, attachment: str) -> None:
        """See `Searching.begin`; what comes of it at once is settled before the call returns."""
        if not self._searches.is_searching(attachment):
            self._searches.begin(self._new_search(), attachment, self._peers, self._now)

    def is_searching(self, attachment: str) -> bool:
        """See `Searching.is_searching`."""
        return self._searches.is_searching(attachment)

    def end(self, attachment: str) -> None:
        """See `Searching.end`."""
        self._searches.end(attachment)

    # -- inner

    def _pulled(self, peer: Peer, pull: Pull) -> None:
        mine = sum(key[0] == peer for key in self._looking)
        if mine >= _MOST_LOOKS:
            self._effects.append(Say(peer, Gone(pull.attachment)))
            return
        key = (peer, pull.attachment)
        if key not in self._looking:
            self._effects.append(Look(peer, pull.attachment, None))
        self._looking[key] = pull

    def _answer_pull(
        self, peer: Peer, pull: Pull, allowed: bool, length: int | None, now: float
    ) -> None:
        if allowed and length is not None:
            self._serving.begin(peer, pull, length, now)
            return
        route = self._routes.get(pull.attachment)
        sources = {} if route is None else {p: n for p, n in route.sources.items() if p != peer}
        if allowed and (sources or pull.attachment in self._fetches):
            self._fetches.pulled(peer, pull, sources, now)
            return
        self._effects.append(Say(peer, Gone(pull.attachment)))

    def _settle(self, now: float) -> None:
        """Carry what searches found to the fetches, which may search again."""
        while self._searches.outcomes:
            outcomes, self._searches.outcomes = self._searches.outcomes, []
            for outcome in outcomes:
                if not isinstance(outcome, BlobFound):
                    self._fetches.exhausted(outcome.attachment, now)
                    continue
                if not outcome.ours:
                    self._remember(outcome, now)
                self._fetches.found(outcome.attachment, outcome.peer, outcome.length, now)

    def _remember(self, found: BlobFound, now: float) -> None:
        route = self._routes.pop(found.attachment, None) or _Route(now)
        route.since = now
        route.sources[found.peer] = found.length
        self._routes[found.attachment] = route
        if len(self._routes) > _MOST_ROUTES:
            del self._routes[next(iter(self._routes))]

    def _done(self, now: float) -> list[Effect]:
        self._now = now
        self._settle(now)
        effects = self._effects + self._searches.effects
        effects += self._fetches.effects + self._serving.effects
        self._effects, self._searches.effects = [], []
        self._fetches.effects, self._serving.effects = [], []
        return effects
