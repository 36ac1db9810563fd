# SPDX-License-Identifier: Apache-2.0
"""
Searches for blobs among neighbours, this server's own and those that it passes on.

A search is a flood with a random number: a server that lacks the blob asks all neighbours but the
asker, with one hop less, and answers the asker when they have answered.  Each number is passed on
once; a server that sees it again answers "unavailable" at once, so loops end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import define, field, frozen

from edge_twisted.mesh.blobs.effects import Effect, Look, Peer, Say
from edge_twisted.mesh.blobs.messages import MOST_HOPS, Have, Unavailable, Want

#: How long to wait for answers, for each hop that is left and for one more: the servers behind a
#: neighbour give up, and say so, before that neighbour is given up.
_SECONDS_PER_HOP: Final = 1.5
#: How long the number of a search is remembered, and how many numbers.
_REMEMBERED_SECONDS: Final = 60.0
_MOST_REMEMBERED: Final = 20_000
#: Open searches of one neighbour; further ones are answered "unavailable".
_MOST_PER_PEER: Final = 256


@define(eq=False, kw_only=True)
class _Search:
    """
    An open search.

    One of a neighbour begins with a `Look` at this server's own blobs, before others are asked.
    Either ends when no neighbour's answer is outstanding, or at `until`.
    """

    attachment: str
    #: The neighbour that searches; None: this server does.
    asker: Peer | None
    hops: int
    until: float
    #: Neighbours that were asked and have not answered.
    pending: set[Peer] = field(factory=set)
    #: Whether some neighbour has the blob, and the asker was told so.
    is_found: bool = False


@frozen
class BlobFound:
    """News: a neighbour can give a blob."""

    attachment: str
    peer: Peer
    length: int
    #: Whether this server searched for itself.
    is_own_search: bool


@frozen
class SearchEnd:
    """News: a search of this server is over; all neighbours have answered, or run out of time."""

    attachment: str


Outcome = BlobFound | SearchEnd


class Searches:
    """All open searches; `effects` and `outcomes` collect what the caller has to deal with."""

    def __init__(self) -> None:
        self._open: dict[bytes, _Search] = {}
        #: attachment -> number, of this server's own searches.
        self._own: dict[str, bytes] = {}
        #: number -> when it was first seen, the oldest first.
        self._seen: dict[bytes, float] = {}
        self.effects: list[Effect] = []
        self.outcomes: list[Outcome] = []

    # -- searches of this server

    def begin(self, number: bytes, attachment: str, peers: Iterable[Peer], now: float) -> None:
        """Ask all neighbours for a blob; `number` names the search: 16 new random bytes."""
        self._seen[number] = now
        self._own[attachment] = number
        self._open[number] = _Search(
            attachment=attachment, asker=None, hops=MOST_HOPS, until=_until(MOST_HOPS + 1, now)
        )
        self._ask(number, peers)

    def is_searching(self, attachment: str) -> bool:
        """Return whether a search of this server for a blob is open."""
        return attachment in self._own

    def end(self, attachment: str) -> None:
        """End this server's search for a blob; harmless when there is none."""
        number = self._own.pop(attachment, None)
        if number is not None:
            del self._open[number]

    # -- searches of neighbours

    def asked(self, peer: Peer, want: Want, now: float) -> None:
        """Open the search of a neighbour, or answer `Unavailable` at once.

        The latter, if the search's number was seen before or the neighbour has too many open.
        """
        count = sum(search.asker == peer for search in self._open.values())
        if want.search in self._seen or count >= _MOST_PER_PEER:
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
        """Answer a neighbour's search, or ask others, after the `Look` at this server's own blobs.

        :param allowed: whether the neighbour may have the blob.
        :param length: bytes of the blob; None: it is not here.
        :param peers: all neighbours.
        """
        search = self._open.get(number)
        if search is None or search.asker is None:
            return
        if allowed and length is not None:
            del self._open[number]
            self.effects.append(Say(search.asker, Have(number, length)))
            return
        others = [peer for peer in peers if peer != search.asker]
        self._ask(number, others if allowed and search.hops else ())

    # -- answers of neighbours

    def have(self, peer: Peer, have: Have) -> None:
        """Note that a neighbour can give the blob; pass the first such answer on to the asker."""
        search = self._open.get(have.search)
        if search is None or peer not in search.pending:
            return
        search.pending.discard(peer)
        is_own = search.asker is None
        self.outcomes.append(BlobFound(search.attachment, peer, have.length, is_own))
        if search.asker is not None and not search.is_found:
            self.effects.append(Say(search.asker, Have(have.search, have.length)))
        search.is_found = True
        self._end_if_answered(have.search)

    def unavailable(self, peer: Peer, number: bytes) -> None:
        """Note that a neighbour cannot give the blob."""
        search = self._open.get(number)
        if search is not None and peer in search.pending:
            search.pending.discard(peer)
            self._end_if_answered(number)

    # -- neighbours and time

    def joined(self, peer: Peer) -> None:
        """Ask a new neighbour for all blobs that this server searches for."""
        for number in tuple(self._own.values()):
            self._ask(number, (peer,))

    def left(self, peer: Peer) -> None:
        """Drop the searches of a neighbour that has left; wait for none of its answers."""
        for number, search in tuple(self._open.items()):
            if search.asker == peer:
                del self._open[number]
            elif peer in search.pending:
                search.pending.discard(peer)
                self._end_if_answered(number)

    def tick(self, now: float) -> None:
        """End searches that have run out of time; forget old numbers."""
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
            del self._own[search.attachment]
            self.outcomes.append(SearchEnd(search.attachment))
        elif not search.is_found:
            self.effects.append(Say(search.asker, Unavailable(number)))

    def _remember(self, number: bytes, now: float) -> None:
        self._seen[number] = now
        if len(self._seen) > _MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]


def _until(hops: int, now: float) -> float:
    return now + _SECONDS_PER_HOP * (hops + 1)
