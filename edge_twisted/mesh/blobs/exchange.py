# SPDX-License-Identifier: Apache-2.0
"""
Exchange of blobs with all neighbours: searches, fetches and the server, put together.

Whatever happens is told to `BlobExchange`; every call returns the effects that the caller has to
carry out, in order.  `now` is monotonic seconds.
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
from edge_twisted.mesh.blobs.states import FetchState

#: Pulls of one neighbour whose `Look` is not answered; further ones are answered `Gone`.
_MOST_LOOKS: Final = 64
#: How long the sources that a neighbour's search found are remembered, and for how many blobs.
_ROUTE_SECONDS: Final = 60.0
_MOST_ROUTES: Final = 4096


@define(eq=False)
class _Route:
    """The neighbours that can give a blob, as a search of another neighbour has found."""

    since: float
    sources: dict[Peer, int] = field(factory=dict)


class BlobExchange:
    """
    See the head of this module.

    :param new_search: makes the number of a search, 16 random bytes.
    """

    def __init__(self, new_search: Callable[[], bytes]) -> None:
        self._new_search = new_search
        self._now = 0.0
        self._peers: dict[Peer, None] = {}
        self._searches = Searches()
        self._fetches = Fetches(self)
        self._server = BlobServer()
        #: Pulls that wait for the answer to a `Look`.
        self._looks: dict[tuple[Peer, str], Pull] = {}
        self._routes: dict[str, _Route] = {}
        self._effects: list[Effect] = []

    # -- what is wanted here

    def want(self, attachment: str, now: float, *, urgent: bool) -> list[Effect]:
        """Fetch a blob for this server; the effect `Settle` will say whether it came.

        `urgent`: a request waits for it, so it does not wait for its turn.
        """
        self._fetches.want(attachment, now, urgent=urgent)
        return self._done(now)

    def is_fetching(self, attachment: str) -> bool:
        """Return whether a blob is on its way, or rests until its next try."""
        return self._fetches.state(attachment) is not FetchState.DONE

    # -- neighbours and time

    def joined(self, peer: Peer, now: float) -> list[Effect]:
        """Take in a new neighbour."""
        self._peers[peer] = None
        self._searches.joined(peer)
        self._fetches.joined(now)
        return self._done(now)

    def left(self, peer: Peer, now: float) -> list[Effect]:
        """Drop what a neighbour asked for and could give: it is not connected any more."""
        self._peers.pop(peer, None)
        for key in [key for key in self._looks if key[0] == peer]:
            del self._looks[key]
        for route in self._routes.values():
            route.sources.pop(peer, None)
        self._server.left(peer)
        self._searches.left(peer)
        self._settle(now)
        self._fetches.left(peer, now)
        return self._done(now)

    def tick(self, now: float) -> list[Effect]:
        """End what has run out of time, start what is due; call it about every 0.5 s."""
        self._searches.tick(now)
        self._settle(now)
        self._fetches.tick(now)
        self._server.tick(now)
        for attachment, route in tuple(self._routes.items()):
            if route.since + _ROUTE_SECONDS > now:
                break
            del self._routes[attachment]
        return self._done(now)

    # -- messages

    def heard(self, peer: Peer, message: Message, now: float) -> list[Effect]:
        """Take a decoded message of a neighbour."""
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
                self._server.credited(peer, message, now)
                self._fetches.credited(peer, message)
            case Chunk():
                self._fetches.take_chunk(peer, message, now)
            case Coming():
                self._fetches.be_patient(peer, message.attachment, now)
            case Gone():
                self._fetches.remove_source(peer, message.attachment, now)
            case Stop():
                self._looks.pop((peer, message.attachment), None)
                self._server.stopped(peer, message.attachment)
                self._fetches.stopped(peer, message.attachment)
        return self._done(now)

    # -- answers to effects

    def looked(self, look: Look, allowed: bool, length: int | None, now: float) -> list[Effect]:
        """Take the answer to a `Look`; `length` in bytes, None if the blob is not here."""
        if look.search is not None:
            self._searches.looked(look.search, allowed, length, self._peers)
        elif (pull := self._looks.pop((look.peer, look.attachment), None)) is not None:
            self._answer_pull(look.peer, pull, allowed, length, now)
        return self._done(now)

    def begun(self, attachment: str, received: int, now: float) -> list[Effect]:
        """Take the answer to `Begin`: the download is open, with `received` bytes from earlier."""
        self._fetches.begun(attachment, received, now)
        return self._done(now)

    def written(self, peer: Peer, length: int, now: float) -> list[Effect]:
        """Take the answer to `Write`: `length` bytes from `peer` are on disk, or were dropped.

        If the disk refused them, call `broken` as well.
        """
        self._fetches.written(peer, length)
        return self._done(now)

    def finished(self, attachment: str, length: int, now: float) -> list[Effect]:
        """Take the answer to `Finish`: the blob is here and verified; serve who pulls it."""
        for peer, (offset, credit) in self._fetches.finished(attachment, now).items():
            self._server.begin(peer, Pull(attachment, offset, credit), length, now)
        return self._done(now)

    def corrupt(self, attachment: str, now: float) -> list[Effect]:
        """Take the answer to `Finish`: the bytes were wrong, and are thrown away."""
        self._fetches.corrupt(attachment, now)
        return self._done(now)

    def broken(self, attachment: str, now: float) -> list[Effect]:
        """Take the answer to `Begin`, `Write` or `Finish`: the disk refused, the file is closed."""
        self._fetches.broken(attachment, now)
        return self._done(now)

    def is_serving(self, peer: Peer) -> bool:
        """Return whether a chunk for a neighbour waits for room on its link: see `give`."""
        return self._server.is_waiting(peer)

    def give(self, peer: Peer, now: float) -> list[Effect]:
        """Give a neighbour the next chunk: its link has room for one."""
        self._server.give(peer)
        return self._done(now)

    def read(
        self, peer: Peer, attachment: str, offset: int, data: bytes, now: float
    ) -> list[Effect]:
        """Take the answer to `Read`: the bytes of the blob from `offset` on.

        They are empty if the peer stopped meanwhile.
        """
        self._server.read(peer, attachment, offset, data, now)
        return self._done(now)

    def unreadable(self, peer: Peer, attachment: str, now: float) -> list[Effect]:
        """Take the answer to `Read`: the blob is gone, or the disk refused."""
        self._server.unreadable(peer, attachment)
        return self._done(now)

    # -- BlobSearcher, for the fetches

    def begin(self, attachment: str) -> None:
        """See `BlobSearcher.begin`; an outcome at once is dealt with in `_done`."""
        if not self._searches.is_searching(attachment):
            self._searches.begin(self._new_search(), attachment, self._peers, self._now)

    def is_searching(self, attachment: str) -> bool:
        """Return whether a neighbour's answer is outstanding; see `BlobSearcher`."""
        return self._searches.is_searching(attachment)

    def end(self, attachment: str) -> None:
        """Ignore outstanding answers about a blob; see `BlobSearcher.end`."""
        self._searches.end(attachment)

    # -- inner

    def _pulled(self, peer: Peer, pull: Pull) -> None:
        count = sum(key[0] == peer for key in self._looks)
        if count >= _MOST_LOOKS:
            self._effects.append(Say(peer, Gone(pull.attachment)))
            return
        key = (peer, pull.attachment)
        if key not in self._looks:
            self._effects.append(Look(peer, pull.attachment, None))
        self._looks[key] = pull

    def _answer_pull(
        self, peer: Peer, pull: Pull, allowed: bool, length: int | None, now: float
    ) -> None:
        if allowed and length is not None:
            self._server.begin(peer, pull, length, now)
            return
        route = self._routes.get(pull.attachment)
        sources = {} if route is None else {p: n for p, n in route.sources.items() if p != peer}
        if allowed and (sources or self.is_fetching(pull.attachment)):
            self._fetches.pulled(peer, pull, sources, now)
            return
        self._effects.append(Say(peer, Gone(pull.attachment)))

    def _settle(self, now: float) -> None:
        """Carry the outcomes of searches to the fetches, which may search again."""
        while self._searches.outcomes:
            outcomes, self._searches.outcomes = self._searches.outcomes, []
            for outcome in outcomes:
                if not isinstance(outcome, BlobFound):
                    self._fetches.search_ended(outcome.attachment, now)
                    continue
                if not outcome.is_own_search:
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
        effects += self._fetches.effects + self._server.effects
        self._effects, self._searches.effects = [], []
        self._fetches.effects, self._server.effects = [], []
        return effects
