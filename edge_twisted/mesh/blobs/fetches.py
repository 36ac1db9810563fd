# SPDX-License-Identifier: Apache-2.0
"""
Bringing blobs here: from which neighbour, how far, and where to go on when it fails.

A fetch is *searching* until a neighbour can give the blob, then *pulling* from one source at a
time.  When nobody can, it is *resting*, if somebody here still wants it: it tries again when a
neighbour joins, and now and then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from edge_twisted.mesh.blobs.credits import CreditPool
from edge_twisted.mesh.blobs.effects import (
    Begin,
    Blamed,
    Effect,
    Finish,
    Pause,
    Peer,
    Say,
    Settled,
    Write,
)
from edge_twisted.mesh.blobs.fetch import Fetch
from edge_twisted.mesh.blobs.messages import Chunk, Coming, Credit, Gone, Pull, Stop

#: Fetches under way at a time; others wait their turn.
MOST_ACTIVE: Final = 16
#: Blobs that are wanted here at most; one more makes us forget the oldest that rests.
MOST_WANTED: Final = 10_000
#: A source that neither sends nor asks for patience is given up.
SILENT_SECONDS: Final = 20.0
#: A source that only asks for patience is given up.
PATIENT_SECONDS: Final = 300.0
#: Wrong content so often, and it rests.
MOST_CORRUPTIONS: Final = 3
#: Resting fetches try again after this, twice as long each time, up to the second.
REST_SECONDS: Final = 30.0
LONGEST_REST_SECONDS: Final = 900.0
#: What nobody could give for so long is not tried again unasked.
FORGOTTEN_SECONDS: Final = 86_400.0


class BlobSearcher(Protocol):
    """How others are asked."""

    def begin(self, attachment: str) -> None:
        """Ask all neighbours; `found` and `exhausted` come of it, perhaps at once."""

    def is_searching(self, attachment: str) -> bool:
        """Answer whether some have not answered."""

    def end(self, attachment: str) -> None:
        """Never mind their answers; harmless when none are awaited."""


class Fetches:
    """All blobs on their way here."""

    def __init__(self, searching: BlobSearcher) -> None:
        self._searching = searching
        self._all: dict[str, Fetch] = {}
        self._pools: dict[Peer, CreditPool] = {}
        self.effects: list[Effect] = []

    def __contains__(self, attachment: str) -> bool:
        return attachment in self._all

    @property
    def active(self) -> int:
        """How many are under way."""
        return sum(fetch.is_active for fetch in self._all.values())

    # -- what is wanted

    def want(self, attachment: str, now: float, *, urgent: bool) -> None:
        """Somebody here wants it; urgent ones do not wait for their turn."""
        fetch = self._fetch(attachment, now)
        fetch.wanted_here = True
        fetch.since = now
        if fetch.is_active:
            return
        if urgent:
            self._start(fetch, now)
        else:
            self._fill(now)

    def pulled(self, peer: Peer, pull: Pull, routes: dict[Peer, int], now: float) -> None:
        """A neighbour pulls what we have found for it, and do not have."""
        fetch = self._fetch(pull.attachment, now)
        fetch.waiting[peer] = (pull.offset, pull.credit)
        if fetch.source != peer:
            fetch.sources.pop(peer, None)
        for route, length in routes.items():
            self._add_source(fetch, route, length)
        if not fetch.is_active:
            self._start(fetch, now)

    def credited(self, peer: Peer, credit: Credit) -> None:
        """A neighbour that waits can take more."""
        fetch = self._all.get(credit.attachment)
        if fetch is not None and peer in fetch.waiting:
            offset, before = fetch.waiting[peer]
            fetch.waiting[peer] = (offset, before + credit.more)

    def stopped(self, peer: Peer, attachment: str) -> None:
        """A neighbour waits no longer."""
        fetch = self._all.get(attachment)
        if fetch is None or peer not in fetch.waiting:
            return
        del fetch.waiting[peer]
        if not fetch.is_needed:
            self._drop(fetch)

    # -- searching

    def found(self, attachment: str, peer: Peer, length: int, now: float) -> None:
        """A neighbour can give it."""
        fetch = self._all.get(attachment)
        if fetch is not None:
            self._add_source(fetch, peer, length)
            if fetch.is_active and fetch.sources:
                self._go_on(fetch, now)

    def exhausted(self, attachment: str, now: float) -> None:
        """The search is over; what it found is known."""
        fetch = self._all.get(attachment)
        if fetch is None or not fetch.is_active or fetch.is_finishing or fetch.sources:
            return
        self._give_up(fetch, now)

    # -- the download

    def begun(self, attachment: str, received: int, now: float) -> None:
        """The download is open and has so many bytes from earlier."""
        fetch = self._all.get(attachment)
        if fetch is not None and fetch.is_open:
            return
        if fetch is None or not fetch.is_opening:
            self.effects.append(Pause(attachment))
            return
        fetch.is_opening, fetch.is_open = False, True
        fetch.received = received
        fetch.givers = {None} if received else set()
        self._go_on(fetch, now)

    def chunk(self, peer: Peer, chunk: Chunk, now: float) -> None:
        """Content came; what nobody waits for is dropped: it was under way when we stopped."""
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
        fetch.progressed = True
        fetch.alive_at = fetch.progress_at = now
        self.effects.append(Write(fetch.attachment, peer, chunk.data))
        self._tell_waiting(fetch)
        self._finish_if_complete(fetch)

    def written(self, peer: Peer, length: int) -> None:
        """A chunk that came from `peer` is on disk, or will never be."""
        pool = self._pools.get(peer)
        if pool is not None:
            pool.restore(length)
            self._grant(peer)

    def coming(self, peer: Peer, attachment: str, now: float) -> None:
        """A source asks for patience."""
        fetch = self._all.get(attachment)
        if fetch is not None and fetch.source == peer:
            fetch.alive_at = now
            self._tell_waiting(fetch)

    def gone(self, peer: Peer, attachment: str, now: float) -> None:
        """A source cannot give it any more."""
        fetch = self._all.get(attachment)
        if fetch is not None and fetch.sources.pop(peer, None) is not None and fetch.source == peer:
            self._lose(fetch, now)

    def finished(self, attachment: str, now: float) -> dict[Peer, tuple[int, int]]:
        """It is here; return who waits for it."""
        fetch = self._all.pop(attachment, None)
        self._searching.end(attachment)
        self.effects.append(Settled(attachment, is_here=True))
        if fetch is None:
            return {}
        self._detach(fetch)
        self._fill(now)
        return fetch.waiting

    def corrupt(self, attachment: str, now: float) -> None:
        """The bytes were wrong, and are thrown away."""
        fetch = self._all.get(attachment)
        if fetch is None:
            return
        fetch.is_open = fetch.is_finishing = False
        # Several givers: nobody knows who lied.  The next one gives it all.
        if len(fetch.givers) == 1 and (liar := next(iter(fetch.givers))) is not None:
            self._blame(fetch, liar)
        fetch.received, fetch.givers = 0, set()
        fetch.corruptions += 1
        if fetch.corruptions < MOST_CORRUPTIONS:
            self._lose(fetch, now, tell=False)
        else:
            self._give_up(fetch, now)

    def broken(self, attachment: str, now: float) -> None:
        """The disk refused: try again later."""
        fetch = self._all.get(attachment)
        if fetch is not None:
            fetch.is_opening = fetch.is_open = fetch.is_finishing = False
            self._give_up(fetch, now)

    # -- neighbours and time

    def joined(self, peer: Peer, now: float) -> None:
        """A neighbour more: perhaps it has what rests."""
        for fetch in self._all.values():
            if not fetch.is_active:
                fetch.retry_at = now
        self._fill(now)

    def left(self, peer: Peer, now: float) -> None:
        """A neighbour less."""
        for fetch in tuple(self._all.values()):
            fetch.sources.pop(peer, None)
            fetch.waiting.pop(peer, None)
            if not fetch.is_needed:
                self._drop(fetch)
            elif fetch.source == peer:
                self._lose(fetch, now, tell=False)
        self._pools.pop(peer, None)

    def tick(self, now: float) -> None:
        """Give up silent sources, wake what rests, forget what is old."""
        for fetch in tuple(self._all.values()):
            if fetch.source is not None and fetch.is_pulled:
                silent = now - fetch.alive_at >= SILENT_SECONDS
                if silent or now - fetch.progress_at >= PATIENT_SECONDS:
                    fetch.sources.pop(fetch.source, None)
                    self._lose(fetch, now)
            elif not fetch.is_active and now - fetch.since >= FORGOTTEN_SECONDS:
                self._drop(fetch)
        self._fill(now)

    # -- inner: life of a fetch

    def _fetch(self, attachment: str, now: float) -> Fetch:
        fetch = self._all.get(attachment)
        if fetch is None:
            if len(self._all) >= MOST_WANTED:
                resting = next((one for one in self._all.values() if not one.is_active), None)
                if resting is not None:
                    self._drop(resting)
            fetch = self._all[attachment] = Fetch(attachment=attachment, since=now)
        return fetch

    def _fill(self, now: float) -> None:
        """Start what waits for its turn."""
        room = MOST_ACTIVE - self.active
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
        fetch.is_active = True
        fetch.progressed, fetch.corruptions = False, 0
        if fetch.sources:
            self._go_on(fetch, now)
        else:
            fetch.bad.clear()
            self._searching.begin(fetch.attachment)

    def _go_on(self, fetch: Fetch, now: float) -> None:
        """Do the next thing: open the download, choose a source, finish."""
        if fetch.source is not None or fetch.is_opening or fetch.is_finishing:
            return
        if not fetch.is_open:
            fetch.is_opening = True
            self.effects.append(Begin(fetch.attachment))
            return
        for peer, length in tuple(fetch.sources.items()):
            if length < fetch.received:
                # It says that the blob is shorter than what we have of it.
                del fetch.sources[peer]
                continue
            fetch.source, fetch.is_pulled = peer, False
            if not self._finish_if_complete(fetch):
                self._pool(peer).join(fetch.attachment)
                fetch.alive_at = fetch.progress_at = now
                self._grant(peer)
            return
        self._search_again(fetch, now)

    def _finish_if_complete(self, fetch: Fetch) -> bool:
        if fetch.source is None or fetch.received < fetch.sources[fetch.source]:
            return False
        self._detach(fetch)
        fetch.is_finishing = True
        self.effects.append(Finish(fetch.attachment))
        return True

    def _lose(self, fetch: Fetch, now: float, *, tell: bool = True) -> None:
        """Pull no longer from this source; go on with another."""
        if tell and fetch.source is not None and fetch.is_pulled:
            self.effects.append(Say(fetch.source, Stop(fetch.attachment)))
        self._detach(fetch)
        if fetch.is_active:
            self._go_on_or_search(fetch, now)

    def _go_on_or_search(self, fetch: Fetch, now: float) -> None:
        if fetch.sources:
            self._go_on(fetch, now)
        else:
            self._search_again(fetch, now)

    def _search_again(self, fetch: Fetch, now: float) -> None:
        """All sources are lost: ask once more, if the last ones were good for anything."""
        if self._searching.is_searching(fetch.attachment):
            return
        if not fetch.progressed:
            self._give_up(fetch, now)
            return
        fetch.progressed = False
        self._searching.begin(fetch.attachment)

    def _give_up(self, fetch: Fetch, now: float) -> None:
        """Nobody can give it, for now."""
        self._rest(fetch)
        for peer in fetch.waiting:
            self.effects.append(Say(peer, Gone(fetch.attachment)))
        fetch.waiting.clear()
        self.effects.append(Settled(fetch.attachment, is_here=False))
        if not fetch.wanted_here:
            del self._all[fetch.attachment]
        fetch.retry_at = now + min(REST_SECONDS * 2**fetch.rests, LONGEST_REST_SECONDS)
        fetch.rests = min(fetch.rests + 1, 10)
        self._fill(now)

    def _drop(self, fetch: Fetch) -> None:
        """Nobody wants it any more."""
        self._rest(fetch)
        self._all.pop(fetch.attachment, None)
        self.effects.append(Settled(fetch.attachment, is_here=False))

    def _rest(self, fetch: Fetch) -> None:
        if fetch.source is not None and fetch.is_pulled:
            self.effects.append(Say(fetch.source, Stop(fetch.attachment)))
        self._detach(fetch)
        self._searching.end(fetch.attachment)
        if fetch.is_open:
            self.effects.append(Pause(fetch.attachment))
        fetch.is_open = fetch.is_opening = fetch.is_active = False
        fetch.sources.clear()

    def _detach(self, fetch: Fetch) -> None:
        if fetch.source is None:
            return
        peer, fetch.source, fetch.is_pulled = fetch.source, None, False
        pool = self._pools.get(peer)
        if pool is not None:
            pool.leave(fetch.attachment)
            self._grant(peer)

    # -- inner: sources and credit

    def _add_source(self, fetch: Fetch, peer: Peer, length: int) -> None:
        # Who waits for us would make us wait for it.
        if peer not in fetch.bad and peer not in fetch.waiting:
            fetch.sources[peer] = length

    def _blame(self, fetch: Fetch, peer: Peer) -> None:
        fetch.sources.pop(peer, None)
        fetch.bad.add(peer)
        self.effects.append(Blamed(peer, fetch.attachment))

    def _pool(self, peer: Peer) -> CreditPool:
        return self._pools.setdefault(peer, CreditPool())

    def _grant(self, peer: Peer) -> None:
        for attachment, more in self._pool(peer).grants().items():
            fetch = self._all[attachment]
            if fetch.is_pulled:
                self.effects.append(Say(peer, Credit(attachment, more)))
            else:
                fetch.is_pulled = True
                self.effects.append(Say(peer, Pull(attachment, fetch.received, more)))

    def _tell_waiting(self, fetch: Fetch) -> None:
        """Ask those who wait for patience: they know no other way that we still live."""
        for peer in fetch.waiting:
            self.effects.append(Say(peer, Coming(fetch.attachment)))
