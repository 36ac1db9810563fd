# SPDX-License-Identifier: Apache-2.0
"""
Fetching of blobs: which neighbour to pull from, from which offset, and what to do when it fails.

Each fetch runs through the table in `states`.  A fetch pulls from one source at a time; when that
source is lost, it goes on with the next one at the same offset.  When no neighbour can give the
blob, the fetch rests if this server wants it, and is forgotten if only neighbours did.  A resting
fetch is tried again when a neighbour joins, and after a delay that doubles from try to try.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from edge_twisted.mesh.blobs.credits import CreditPool
from edge_twisted.mesh.blobs.effects import (
    Begin,
    Blame,
    Effect,
    Finish,
    Pause,
    Peer,
    Say,
    Settle,
    Write,
)
from edge_twisted.mesh.blobs.fetch import Fetch
from edge_twisted.mesh.blobs.messages import Chunk, Coming, Credit, Gone, Pull, Stop
from edge_twisted.mesh.blobs.states import OPEN_STATES, FetchEvent, FetchState

#: Fetches under way at a time; others wait for their turn.
MOST_ACTIVE: Final = 16
#: Fetches in memory, resting ones included; one more makes us forget the oldest resting one.
MOST_WANTED: Final = 10_000
#: A source that sends neither content nor `Coming` for so long is lost.
SILENT_SECONDS: Final = 20.0
#: A source that sends `Coming`, but no content, for so long is lost.
PATIENT_SECONDS: Final = 300.0
#: After so many downloads with wrong content the fetch is given up.
MOST_CORRUPTIONS: Final = 3
#: The wait for the next try of a resting fetch: the first one, and the bound for its doubling.
REST_SECONDS: Final = 30.0
LONGEST_REST_SECONDS: Final = 900.0
#: A resting fetch is forgotten when nobody has wanted it for so long.
FORGOTTEN_SECONDS: Final = 86_400.0
#: Keeps `2 ** failures` small; the wait has reached its bound long before.
_MOST_FAILURES: Final = 10


class BlobSearcher(Protocol):
    """Searches among neighbours, as `Fetches` uses them."""

    def begin(self, attachment: str) -> None:
        """Ask all neighbours; calls of `found` and `search_ended` follow, perhaps at once."""

    def is_searching(self, attachment: str) -> bool:
        """Return whether the answer of some neighbour is outstanding."""

    def end(self, attachment: str) -> None:
        """Ignore answers that are outstanding; harmless when there are none."""


class Fetches:
    """All fetches; `effects` collects what the caller has to carry out, in order."""

    def __init__(self, searcher: BlobSearcher) -> None:
        self._searcher = searcher
        self._all: dict[str, Fetch] = {}
        self._pools: dict[Peer, CreditPool] = {}
        self.effects: list[Effect] = []

    def state(self, attachment: str) -> FetchState:
        """Return where the fetch of a blob stands; DONE if there is none."""
        fetch = self._all.get(attachment)
        return FetchState.DONE if fetch is None else fetch.state

    # -- who wants blobs

    def want(self, attachment: str, now: float, *, urgent: bool) -> None:
        """Fetch a blob for this server; an urgent fetch does not wait for its turn."""
        fetch = self._fetch(attachment, now)
        fetch.is_wanted_here = True
        fetch.wanted_at = now
        if fetch.is_active:
            return
        if urgent:
            self._start(fetch, now)
        else:
            self._fill(now)

    def pulled(self, peer: Peer, pull: Pull, routes: dict[Peer, int], now: float) -> None:
        """Fetch a blob for a neighbour that pulls it.

        :param routes: neighbour -> length of the blob in bytes, of those who answered an earlier
            search.
        """
        fetch = self._fetch(pull.attachment, now)
        fetch.pullers[peer] = (pull.offset, pull.credit)
        if fetch.source != peer:
            fetch.sources.pop(peer, None)
        for route, length in routes.items():
            self._add_source(fetch, route, length)
        if not fetch.is_active:
            self._start(fetch, now)

    def credited(self, peer: Peer, credit: Credit) -> None:
        """Add to the credit of a neighbour that waits for a blob that is itself on its way here."""
        fetch = self._all.get(credit.attachment)
        if fetch is not None and peer in fetch.pullers:
            offset, before = fetch.pullers[peer]
            fetch.pullers[peer] = (offset, before + credit.more)

    def stopped(self, peer: Peer, attachment: str) -> None:
        """Forget a neighbour that pulls a blob no longer.

        A fetch that was for this neighbour alone ends.
        """
        fetch = self._all.get(attachment)
        if fetch is None or peer not in fetch.pullers:
            return
        del fetch.pullers[peer]
        if not fetch.is_needed:
            self._drop(fetch)

    # -- what searches bring

    def found(self, attachment: str, peer: Peer, length: int, now: float) -> None:
        """Note that a neighbour can give a blob of `length` bytes."""
        fetch = self._all.get(attachment)
        if fetch is not None:
            self._add_source(fetch, peer, length)
            if fetch.is_active and fetch.sources:
                self._go_on(fetch, now)

    def search_ended(self, attachment: str, now: float) -> None:
        """Give up a fetch whose search is over and has found no source."""
        fetch = self._all.get(attachment)
        if fetch is None or fetch.sources:
            return
        if fetch.state in (FetchState.SEARCHING, FetchState.OPENING, FetchState.OPEN):
            self._give_up(fetch, now)

    # -- what the disk answers

    def begun(self, attachment: str, received: int, now: float) -> None:
        """Ask a source for the rest of a blob, whose download is open now.

        `received` is how many bytes of it earlier downloads have left.
        """
        fetch = self._all.get(attachment)
        if fetch is not None and fetch.state in OPEN_STATES:
            return
        if fetch is None or fetch.state is not FetchState.OPENING:
            # The fetch was given up while the disk opened the download.
            self.effects.append(Pause(attachment))
            return
        fetch.advance(FetchEvent.OPENED)
        fetch.received = received
        fetch.givers = {None} if received else set()
        self._go_on(fetch, now)

    def written(self, peer: Peer, length: int) -> None:
        """Give credit again for a chunk from `peer` that is on disk, or will never be."""
        pool = self._pools.get(peer)
        if pool is not None:
            pool.restore(length)
            self._grant(peer)

    def finished(self, attachment: str, now: float) -> dict[Peer, tuple[int, int]]:
        """Forget the fetch of a blob that is here now.

        Return who pulls the blob from here: neighbour -> (offset, credit), both in bytes.
        """
        fetch = self._all.pop(attachment, None)
        self._searcher.end(attachment)
        self.effects.append(Settle(attachment, is_here=True))
        if fetch is None:
            return {}
        fetch.advance(FetchEvent.END)
        self._detach(fetch)
        self._fill(now)
        return fetch.pullers

    def corrupt(self, attachment: str, now: float) -> None:
        """Download again what was not the blob and has been thrown away."""
        fetch = self._all.get(attachment)
        if fetch is None:
            return
        fetch.advance(FetchEvent.CORRUPT)
        # With several givers nobody knows which one lied; the next one gives all bytes.
        if len(fetch.givers) == 1 and (liar := next(iter(fetch.givers))) is not None:
            self._blame(fetch, liar)
        self._detach(fetch)
        fetch.received, fetch.givers = 0, set()
        fetch.corruptions += 1
        if fetch.corruptions >= MOST_CORRUPTIONS:
            self._give_up(fetch, now)
        elif fetch.is_active:
            self._go_on(fetch, now)

    def broken(self, attachment: str, now: float) -> None:
        """Give up a fetch whose download the disk refused and has closed."""
        fetch = self._all.get(attachment)
        if fetch is not None:
            self._give_up(fetch, now, is_closed=True)

    # -- what sources say

    def take_chunk(self, peer: Peer, chunk: Chunk, now: float) -> None:
        """Write a chunk from `peer` if it is the next of its blob; else ignore the chunk.

        A chunk to be ignored was on its way when its pull was stopped.  One beyond the credit ends
        the pull; one beyond the blob's length also counts as the peer's fault.
        """
        fetch = self._all.get(chunk.attachment)
        if fetch is None or fetch.source != peer or chunk.offset != fetch.received:
            return
        length = len(chunk.data)
        if not self._pool(peer).spend(fetch.attachment, length):
            self._lose(fetch, now)
            return
        if fetch.received + length > fetch.sources[peer]:
            self._pool(peer).restore(length)
            self._blame(fetch, peer)
            self._lose(fetch, now)
            return
        fetch.received += length
        fetch.givers.add(peer)
        fetch.has_progressed = True
        fetch.alive_at = fetch.progress_at = now
        self.effects.append(Write(fetch.attachment, peer, chunk.data))
        self._say_coming(fetch)
        self._finish_if_complete(fetch)

    def be_patient(self, peer: Peer, attachment: str, now: float) -> None:
        """Wait on for a source that says `Coming`."""
        fetch = self._all.get(attachment)
        if fetch is not None and fetch.source == peer:
            fetch.alive_at = now
            self._say_coming(fetch)

    def remove_source(self, peer: Peer, attachment: str, now: float) -> None:
        """Ask a neighbour for a blob no longer, because the neighbour cannot give it any more."""
        fetch = self._all.get(attachment)
        if fetch is not None and fetch.sources.pop(peer, None) is not None and fetch.source == peer:
            self._lose(fetch, now)

    # -- neighbours and time

    def joined(self, now: float) -> None:
        """Try resting fetches again: a new neighbour may have their blobs."""
        for fetch in self._all.values():
            if not fetch.is_active:
                fetch.retry_at = now
        self._fill(now)

    def left(self, peer: Peer, now: float) -> None:
        """Drop what a neighbour asked for and could give; ask other sources for the rest."""
        for fetch in tuple(self._all.values()):
            fetch.sources.pop(peer, None)
            fetch.pullers.pop(peer, None)
            if not fetch.is_needed:
                self._drop(fetch)
            elif fetch.source == peer:
                self._lose(fetch, now, tell=False)
        self._pools.pop(peer, None)

    def tick(self, now: float) -> None:
        """Leave silent sources, start fetches that are due, forget old resting ones."""
        for fetch in tuple(self._all.values()):
            if fetch.source is not None and fetch.state is FetchState.PULLING:
                is_silent = now - fetch.alive_at >= SILENT_SECONDS
                if is_silent or now - fetch.progress_at >= PATIENT_SECONDS:
                    fetch.sources.pop(fetch.source, None)
                    self._lose(fetch, now)
            elif not fetch.is_active and now - fetch.wanted_at >= FORGOTTEN_SECONDS:
                self._drop(fetch)
        self._fill(now)

    # -- inner: begin and end

    def _fetch(self, attachment: str, now: float) -> Fetch:
        """Return the fetch of a blob; make it if there is none."""
        fetch = self._all.get(attachment)
        if fetch is None:
            if len(self._all) >= MOST_WANTED:
                resting = next((each for each in self._all.values() if not each.is_active), None)
                if resting is not None:
                    self._drop(resting)
            fetch = self._all[attachment] = Fetch(attachment=attachment, wanted_at=now)
        return fetch

    def _fill(self, now: float) -> None:
        """Start fetches that are due, as long as there are places for them."""
        room = MOST_ACTIVE - sum(fetch.is_active for fetch in self._all.values())
        for fetch in self._due(now) if room > 0 else ():
            self._start(fetch, now)
            room -= 1
            if not room:
                return

    def _due(self, now: float) -> Iterator[Fetch]:
        for fetch in tuple(self._all.values()):
            if not fetch.is_active and fetch.retry_at <= now:
                yield fetch

    def _start(self, fetch: Fetch, now: float) -> None:
        fetch.advance(FetchEvent.START)
        fetch.has_progressed, fetch.corruptions = False, 0
        if fetch.sources:
            self._go_on(fetch, now)
        else:
            fetch.liars.clear()
            self._searcher.begin(fetch.attachment)

    def _give_up(self, fetch: Fetch, now: float, *, is_closed: bool = False) -> None:
        """Rest until the next try; forget a fetch that only neighbours wanted."""
        self._close(fetch, is_closed=is_closed)
        fetch.advance(FetchEvent.GIVE_UP)
        for peer in fetch.pullers:
            self.effects.append(Say(peer, Gone(fetch.attachment)))
        fetch.pullers.clear()
        self.effects.append(Settle(fetch.attachment, is_here=False))
        if not fetch.is_wanted_here:
            fetch.advance(FetchEvent.END)
            del self._all[fetch.attachment]
        fetch.retry_at = now + min(REST_SECONDS * 2**fetch.failures, LONGEST_REST_SECONDS)
        fetch.failures = min(fetch.failures + 1, _MOST_FAILURES)
        self._fill(now)

    def _drop(self, fetch: Fetch) -> None:
        """Forget a fetch that nobody wants any more."""
        self._close(fetch)
        fetch.advance(FetchEvent.END)
        self._all.pop(fetch.attachment, None)
        self.effects.append(Settle(fetch.attachment, is_here=False))

    def _close(self, fetch: Fetch, *, is_closed: bool = False) -> None:
        """Stop pull and search; put the download away unless the disk has closed it."""
        if fetch.source is not None and fetch.state is FetchState.PULLING:
            self.effects.append(Say(fetch.source, Stop(fetch.attachment)))
        self._detach(fetch)
        self._searcher.end(fetch.attachment)
        if fetch.state in OPEN_STATES and not is_closed:
            self.effects.append(Pause(fetch.attachment))
        fetch.sources.clear()

    # -- inner: from source to source

    def _go_on(self, fetch: Fetch, now: float) -> None:
        """Take the next step with the sources that are known; search again without any."""
        if not fetch.sources:
            self._search_again(fetch, now)
        elif fetch.state is FetchState.SEARCHING:
            fetch.advance(FetchEvent.SOURCE)
            self.effects.append(Begin(fetch.attachment))
        elif fetch.state is FetchState.OPEN:
            self._choose_source(fetch, now)

    def _choose_source(self, fetch: Fetch, now: float) -> None:
        for peer, length in tuple(fetch.sources.items()):
            if length < fetch.received:
                # It claims that the blob is shorter than the part that is here.
                del fetch.sources[peer]
                continue
            fetch.source = peer
            fetch.advance(FetchEvent.SOURCE)
            if not self._finish_if_complete(fetch):
                self._pool(peer).join(fetch.attachment)
                fetch.alive_at = fetch.progress_at = now
                self._grant(peer)
            return
        self._search_again(fetch, now)

    def _finish_if_complete(self, fetch: Fetch) -> bool:
        if fetch.source is None or fetch.received < fetch.sources[fetch.source]:
            return False
        fetch.advance(FetchEvent.COMPLETE)
        self._detach(fetch)
        self.effects.append(Finish(fetch.attachment))
        return True

    def _lose(self, fetch: Fetch, now: float, *, tell: bool = True) -> None:
        """Pull no longer from the source of a fetch; go on with another one."""
        if tell and fetch.source is not None and fetch.state is FetchState.PULLING:
            self.effects.append(Say(fetch.source, Stop(fetch.attachment)))
        fetch.advance(FetchEvent.LOST)
        self._detach(fetch)
        self._go_on(fetch, now)

    def _search_again(self, fetch: Fetch, now: float) -> None:
        """Search once more if any bytes came since the last search; else give up."""
        if self._searcher.is_searching(fetch.attachment):
            return
        if not fetch.has_progressed:
            self._give_up(fetch, now)
            return
        fetch.has_progressed = False
        self._searcher.begin(fetch.attachment)

    def _detach(self, fetch: Fetch) -> None:
        """Give the credit of a fetch back to the window of its source."""
        if fetch.source is None:
            return
        peer, fetch.source = fetch.source, None
        pool = self._pools.get(peer)
        if pool is not None:
            pool.leave(fetch.attachment)
            self._grant(peer)

    # -- inner: sources and credit

    def _add_source(self, fetch: Fetch, peer: Peer, length: int) -> None:
        # Two neighbours that pulled the same blob from each other would wait for ever.
        if peer not in fetch.liars and peer not in fetch.pullers:
            fetch.sources[peer] = length

    def _blame(self, fetch: Fetch, peer: Peer) -> None:
        fetch.sources.pop(peer, None)
        fetch.liars.add(peer)
        self.effects.append(Blame(peer, fetch.attachment))

    def _pool(self, peer: Peer) -> CreditPool:
        return self._pools.setdefault(peer, CreditPool())

    def _grant(self, peer: Peer) -> None:
        """Hand out what is free of a link's window; the first credit of a fetch is its Pull."""
        for attachment, more in self._pool(peer).grants().items():
            fetch = self._all[attachment]
            if fetch.state is FetchState.QUEUED:
                fetch.advance(FetchEvent.CREDIT)
                self.effects.append(Say(peer, Pull(attachment, fetch.received, more)))
            else:
                self.effects.append(Say(peer, Credit(attachment, more)))

    def _say_coming(self, fetch: Fetch) -> None:
        """Tell neighbours that pull the blob from here that its source is alive."""
        for peer in fetch.pullers:
            self.effects.append(Say(peer, Coming(fetch.attachment)))
