# SPDX-License-Identifier: Apache-2.0
"""
Asking around for blobs.

A search is a flood: everybody who is asked and lacks the blob asks its other neighbours on, once
per search, so loops end by themselves: who is asked again says "unavailable" on that way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import define, field, frozen

from edge_twisted.mesh.blobs.effects import Effect, Look, Peer, Say
from edge_twisted.mesh.blobs.messages import MOST_HOPS, Have, Unavailable, Want

#: A neighbour that has not answered by then is not waited for.  Each hop waits a little less.
_SECONDS_PER_HOP: Final = 1.5
#: A search that was seen is known again for so long, and so many of them.
_REMEMBERED_SECONDS: Final = 60.0
_MOST_REMEMBERED: Final = 20_000
#: Open at a time for one neighbour; more of them are answered "unavailable".
_MOST_PER_PEER: Final = 256


@define(eq=False, kw_only=True)
class _Search:
    attachment: str
    #: None: we want it ourselves.
    asker: Peer | None
    hops: int
    until: float
    pending: set[Peer] = field(factory=set)
    found: bool = False


@frozen
class BlobFound:
    """Somebody can give a blob; `ours` says that we searched for ourselves."""

    attachment: str
    peer: Peer
    length: int
    ours: bool


@frozen
class Exhausted:
    """A search of ours is over: everybody has answered, or has had the time to."""

    attachment: str


Outcome = BlobFound | Exhausted


class Searches:
    """All searches that go on here, ours and those of others."""

    def __init__(self) -> None:
        self._open: dict[bytes, _Search] = {}
        self._ours: dict[str, bytes] = {}
        self._seen: dict[bytes, float] = {}
        self.effects: list[Effect] = []
        self.outcomes: list[Outcome] = []

    # -- ours

    def begin(self, number: bytes, attachment: str, peers: Iterable[Peer], now: float) -> None:
        """Ask all neighbours for a blob; `number` is new."""
        self._seen[number] = now
        self._ours[attachment] = number
        self._open[number] = _Search(
            attachment=attachment, asker=None, hops=MOST_HOPS, until=_until(MOST_HOPS + 1, now)
        )
        self._ask(number, peers)

    def is_searching(self, attachment: str) -> bool:
        """Answer whether a search of ours for it goes on."""
        return attachment in self._ours

    def end(self, attachment: str) -> None:
        """We need not search for it any more."""
        number = self._ours.pop(attachment, None)
        if number is not None:
            del self._open[number]

    # -- those of others

    def asked(self, peer: Peer, want: Want, now: float) -> None:
        """A neighbour searches."""
        theirs = sum(search.asker == peer for search in self._open.values())
        if want.search in self._seen or theirs >= _MOST_PER_PEER:
            self.effects.append(Say(peer, Unavailable(want.search)))
            return
        self._remember(want.search, now)
        self._open[want.search] = _Search(
            attachment=want.attachment,
            asker=peer,
            hops=want.hops,
            until=_until(want.hops, now),
        )
        self.effects.append(Look(peer, want.attachment, want.search))

    def looked(
        self, number: bytes, allowed: bool, length: int | None, peers: Iterable[Peer]
    ) -> None:
        """A look for a neighbour's search: is it here, and may it have it?"""
        search = self._open.get(number)
        if search is None or search.asker is None:
            return
        if allowed and length is not None:
            del self._open[number]
            self.effects.append(Say(search.asker, Have(number, length)))
            return
        others = [peer for peer in peers if peer != search.asker]
        self._ask(number, others if allowed and search.hops else ())

    # -- answers

    def have(self, peer: Peer, have: Have) -> None:
        """A neighbour can give it."""
        search = self._open.get(have.search)
        if search is None or peer not in search.pending:
            return
        search.pending.discard(peer)
        found = BlobFound(search.attachment, peer, have.length, ours=search.asker is None)
        self.outcomes.append(found)
        if search.asker is not None and not search.found:
            self.effects.append(Say(search.asker, Have(have.search, have.length)))
        search.found = True
        self._end_if_answered(have.search)

    def unavailable(self, peer: Peer, number: bytes) -> None:
        """A neighbour cannot."""
        search = self._open.get(number)
        if search is not None and peer in search.pending:
            search.pending.discard(peer)
            self._end_if_answered(number)

    # -- neighbours and time

    def joined(self, peer: Peer) -> None:
        """A neighbour more: ask it, too."""
        for number in tuple(self._ours.values()):
            self._ask(number, (peer,))

    def left(self, peer: Peer) -> None:
        """A neighbour less: it will not answer, and need not be answered."""
        for number, search in tuple(self._open.items()):
            if search.asker == peer:
                del self._open[number]
            elif peer in search.pending:
                search.pending.discard(peer)
                self._end_if_answered(number)

    def tick(self, now: float) -> None:
        """Wait no longer for those that had their time."""
        for number, search in tuple(self._open.items()):
            if search.until <= now:
                search.pending.clear()
                self._end_if_answered(number)
        for number, since in tuple(self._seen.items()):
            if since + _REMEMBERED_SECONDS > now:
                break
            if number not in self._open:
                del self._seen[number]

    # -- inner

    def _ask(self, number: bytes, peers: Iterable[Peer]) -> None:
        search = self._open[number]
        hops = search.hops if search.asker is None else search.hops - 1
        for peer in peers:
            search.pending.add(peer)
            self.effects.append(Say(peer, Want(number, search.attachment, hops)))
        self._end_if_answered(number)

    def _end_if_answered(self, number: bytes) -> None:
        search = self._open[number]
        if search.pending:
            return
        del self._open[number]
        if search.asker is None:
            del self._ours[search.attachment]
            self.outcomes.append(Exhausted(search.attachment))
        elif not search.found:
            self.effects.append(Say(search.asker, Unavailable(number)))

    def _remember(self, number: bytes, now: float) -> None:
        self._seen[number] = now
        if len(self._seen) > _MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]


def _until(hops: int, now: float) -> float:
    return now + _SECONDS_PER_HOP * (hops + 1)
