# SPDX-License-Identifier: Apache-2.0
"""
A subscription of the peer: the sender's side of one stream.

The stream reads its collection's log batch by batch, each from the lsn where the last one ended,
and shares the peer's window with the other streams of the link (`send_window`).  While the peer is
behind, several batches are on their way.  Once it has caught up, one is: commits made meanwhile
gather into the next batch, so that a burst of small changes becomes few messages.  The states are
`states.OUTGOING`.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple, Protocol

from attrs import define, field

from edge_twisted.documents.versions import NO_VERSION, VersionVector
from edge_twisted.mesh.ports.effects import Withheld
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import (
    Answer,
    Changes,
    CursorUnknown,
    ReadChanges,
    Scope,
    ScopeClosed,
)
from edge_twisted.mesh.repair.suppliers import Offerer, Supplier
from edge_twisted.mesh.session.send_window import SendWindow
from edge_twisted.mesh.session.states import OUTGOING, OutgoingEvent, OutgoingState
from edge_twisted.mesh.wire.features import Features
from edge_twisted.mesh.wire.messages import Batch, Closed, Opened, Stale, encode
from edge_twisted.mesh.wire.state_machine import Event, Machine
from edge_twisted.mesh.wire.values import (
    news_of,
    pieces,
    size_of,
    withheld,
    write_items,
    write_vector,
)
from edge_twisted.mesh.wire.violations import PeerViolation

#: Larger documents are announced to peers that have other sources.
ANNOUNCE_ABOVE_BYTES: Final = 512
#: What one batch comes to, unless a single commit is larger.
BATCH_BYTES: Final = 256 * 1024
#: Versions remembered because the peer itself sent them, so they are not sent back.  The bound is
#: for memory only: a forgotten version is sent back, and merging it changes nothing.
MAX_ECHOES: Final = 8192


class Sent(NamedTuple):
    """A batch on its way to the peer, not acknowledged yet."""

    lsn: int
    size: int
    #: What the peer has of the collection once it has applied it; None if unknown.
    knowledge: VersionVector | None
    #: Whether the commits in it are complete with it.
    is_whole: bool = True


class Held(NamedTuple):
    """A batch that was read and waits for room in the window."""

    payload: bytes
    sent: Sent
    caught_up: bool


class ApplyProgress(Protocol):
    """The `ApplyBatch` requests that run for what the peer sent."""

    def newest_apply(self, collection: str) -> int:
        """Return the number of the newest `ApplyBatch` that runs for a collection, else 0."""

    def is_applied(self, collection: str, number: int) -> bool:
        """Return whether the `ApplyBatch` of this number and all before it are done."""


@define(eq=False)
class OutgoingStream:
    """The sender's side of one stream; see the head of this module."""

    port: Port
    window: SendWindow
    applies: ApplyProgress
    number: int
    scope: Scope
    #: What the link may carry.
    features: Features
    #: Whether the peer has other sources, so that large documents are announced, not sent.
    announces: bool = False
    #: The lsn up to which this stream was read, was sent, and is on the peer's disk.
    _read_lsn: int = 0
    _sent_lsn: int = 0
    _acknowledged_lsn: int = 0
    _is_dirty: bool = True
    _is_reading: bool = False
    _held: deque[Held] = field(factory=deque)
    _in_flight: deque[Sent] = field(factory=deque)
    #: Whether the last read came to the end of the log, and whether the last batch sent said so.
    _is_caught_up: bool = False
    _said_caught_up: bool = False
    #: Of the collection as of `_read_lsn`, when caught up.
    _knowledge: VersionVector | None = None
    _fingerprint: bytes | None = None
    #: What the peer has, which deltas build on; and what it was told of the knowledge here.
    _base: VersionVector | None = None
    _told_knowledge: VersionVector | None = NO_VERSION
    _told_fingerprint: tuple[int, bytes] | None = None
    _echoes: dict[bytes, int] = field(factory=dict)
    #: The number of the `ApplyBatch` to wait for before reading: its echoes are known only then.
    _after_apply: int = 0
    #: Counts how often the stream began or stopped: answers to older questions are ignored.
    _generation: int = 0
    _machine: Machine[OutgoingState] = field(
        init=False, factory=lambda: Machine(OUTGOING, OutgoingState.STREAMING)
    )
    _supplier: Supplier = field(init=False)
    _offerer: Offerer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._supplier = Supplier(self.port, self.number, self.scope, self.scope_closed)
        self._offerer = Offerer(self.port, self.number, self.scope)

    # -- life

    @property
    def state(self) -> OutgoingState:
        """Where the stream stands."""
        return self._machine.state

    def step(self, event: Event) -> bool:
        """See `Machine.step`."""
        return self._machine.step(event)

    def begin(self, position: int, *, resumes: bool) -> None:
        """Stream what comes after a cursor; `resumes` if this server gave it out before."""
        self.stop()
        self._read_lsn = self._sent_lsn = self._acknowledged_lsn = position
        self._is_dirty = True
        self._is_caught_up = self._said_caught_up = False
        self._base = None
        # If nothing changed since, a peer that resumes has the knowledge already, or learns it with
        # the next change: so a reconnect costs few bytes.
        self._told_knowledge = None if resumes else NO_VERSION
        self.window.request(self)

    def wait_for_repair(self) -> None:
        """Send nothing until the peer has repaired."""
        self.step(OutgoingEvent.REPAIR_NEEDED)
        self.stop()

    def refuse(self, problem: str) -> None:
        """Tell the peer why its query is no subscription."""
        self.step(OutgoingEvent.NOT_UNDERSTOOD)
        self.stop()
        self.port.send(Closed(self.number, problem[:1024]))

    def stop(self) -> None:
        """Forget what was read and sent, for none of it will be acknowledged."""
        self._generation += 1
        self._is_reading = False
        self._held.clear()
        self._supplier.stop()
        self._fingerprint = self._told_fingerprint = None
        sizes = sum(each.size for each in self._in_flight)
        self._in_flight.clear()
        self.window.release(self)
        if sizes:
            self.window.took(-sizes)

    # -- what happens

    def committed(self) -> None:
        """Read on: something in the collection became durable here, or may be sent now."""
        self._is_dirty = True
        self._after_apply = self.applies.newest_apply(self.scope.collection)
        self.window.request(self)

    def acknowledged(self, lsn: int) -> None:
        """
        Note that the peer has stored the oldest batch on its way, which ends at `lsn`.

        :raises PeerViolation: no batch is on its way, or the oldest ends elsewhere.
        """
        if not self._in_flight or self._in_flight[0].lsn != lsn:
            raise PeerViolation("an acknowledgement of what was not sent")
        sent = self._in_flight.popleft()
        if sent.knowledge is not None:
            self._base = sent.knowledge
        if sent.is_whole:
            self._acknowledged_lsn = lsn
        self.window.took(-sent.size)
        self.window.request(self)

    def came_from_peer(self, echoes: tuple[tuple[bytes, int], ...]) -> None:
        """Remember versions (id key, digest) that came from the peer: they are not sent back."""
        self._echoes.update(echoes)
        self._bound_echoes()

    def _bound_echoes(self) -> None:
        while len(self._echoes) > MAX_ECHOES:
            del self._echoes[next(iter(self._echoes))]

    @property
    def is_current(self) -> bool:
        """Whether the peer has acknowledged everything in the scope."""
        return self._is_quiet and self._is_caught_up and not self._is_dirty and not self._in_flight

    @property
    def _is_quiet(self) -> bool:
        streaming = self.state is OutgoingState.STREAMING
        return streaming and not self._is_reading and not self._held

    def passed(self, newest: int) -> int:
        """Return the lsn here, at most `newest`, up to which the peer has what it wants."""
        # A closed scope sends nothing: whoever waits for its peer would wait for ever.
        is_served = self.state not in (OutgoingState.ENDED, OutgoingState.CLOSED)
        if not is_served or self.is_current:
            return newest
        return self._acknowledged_lsn

    def idle_fingerprint(self) -> tuple[int, int, bytes] | None:
        """Return (number, lsn, fingerprint) if the peer can compare it and was not told yet."""
        if self._fingerprint is None or not self.is_current or self._sent_lsn < self._read_lsn:
            return None
        now = (self._sent_lsn, self._fingerprint)
        if now == self._told_fingerprint:
            return None
        self._told_fingerprint = now
        return (self.number, *now)

    # -- reading

    @property
    def wants_turn(self) -> bool:
        """See `WindowTaker`."""
        if not self._is_dirty or self._is_reading or self._held:
            return False
        if not self.applies.is_applied(self.scope.collection, self._after_apply):
            return False
        if self.state is OutgoingState.CLOSED:
            return True
        # One batch at a time once the peer is up to date, for the next to gather.
        is_pacing = self._is_caught_up and bool(self._in_flight)
        return self.state is OutgoingState.STREAMING and not is_pacing

    def read(self) -> None:
        """See `WindowTaker`."""
        self._is_reading, self._is_dirty = True, False
        generation, skipped = self._generation, self._echoes
        self._echoes = {}
        request = ReadChanges(
            scope=self.scope,
            after=self._read_lsn,
            base=self._base,
            skip=skipped,
            announce_above=ANNOUNCE_ABOVE_BYTES if self.announces else None,
            limit_bytes=min(BATCH_BYTES, max(self.window.limit_bytes // 4, 1)),
        )
        self.port.ask(request, lambda answer: self._have_read(generation, skipped, answer))

    def _have_read(self, generation: int, skipped: dict[bytes, int], answer: Answer) -> None:
        if generation != self._generation:
            return
        self._is_reading = False
        if self.state is OutgoingState.CLOSED:
            self._have_probed(answer)
        elif isinstance(answer, Changes):
            self._take(skipped, answer)
        elif isinstance(answer, CursorUnknown):
            # STALE goes first: stopping frees the window, and other streams then send at once.
            self.port.send(Stale(self.number, answer.reason[:1024]))
            self.wait_for_repair()
        else:
            assert isinstance(answer, ScopeClosed)
            self.scope_closed()

    def scope_closed(self) -> None:
        """Say CLOSED and stop; the next commit in the collection asks again."""
        # CLOSED goes first, as STALE above.
        self.port.send(Closed(self.number, "the collection's sync scope is closed"))
        self.step(OutgoingEvent.SCOPE_CLOSED)
        self.stop()

    def _have_probed(self, answer: Answer) -> None:
        self.window.release(self)
        if not isinstance(answer, ScopeClosed):
            # The receiver subscribes anew, from its cursor by then.
            self.step(OutgoingEvent.SCOPE_OPENED)
            self.stop()
            self.port.send(Opened(self.number))

    def _take(self, skipped: dict[bytes, int], changes: Changes) -> None:
        self._read_lsn = changes.lsn
        self._is_caught_up = not changes.more
        if changes.more:
            self._is_dirty = True
            # Versions that this read did not meet come later in the log.
            self._echoes = {**skipped, **self._echoes}
            self._bound_echoes()
        else:
            self._knowledge, self._fingerprint = changes.knowledge, changes.fingerprint
        if changes.items or (self._is_caught_up and not self._said_caught_up):
            self._hold(changes)
            self.window.hold(self)
            return
        self.window.release(self)
        if self.wants_turn:
            self.window.request(self)

    # -- sending

    def _hold(self, changes: Changes) -> None:
        for item in withheld(changes.items):
            self.port.tell(Withheld(self.scope.collection, item.id_key, size_of(item)))
        runs = list(pieces(changes.items))
        for number, run in enumerate(runs, 1):
            is_last = number == len(runs)
            caught_up = is_last and not changes.more
            batch = Batch(
                self.number,
                write_items(run),
                changes.lsn,
                caught_up,
                not is_last,
                self._knowledge_news(changes) if caught_up else None,
            )
            payload = encode(batch)
            knowledge = changes.knowledge if caught_up else None
            sent = Sent(changes.lsn, len(payload), knowledge, is_last)
            self._held.append(Held(payload, sent, caught_up))

    def _knowledge_news(self, changes: Changes) -> list[tuple[bytes, int, int]] | None:
        knowledge = changes.knowledge
        if knowledge is None:
            return None
        told = self._told_knowledge
        self._told_knowledge = knowledge
        if told is None:
            if not changes.items and changes.lsn == self._sent_lsn:
                return None
            told = NO_VERSION
        return write_vector(news_of(knowledge, told)) or None

    @property
    def held_bytes(self) -> int | None:
        """See `WindowTaker`."""
        return self._held[0].sent.size if self._held else None

    def send_held(self) -> None:
        """See `WindowTaker`."""
        held = self._held.popleft()
        self._dispatch(held)

    def _dispatch(self, held: Held) -> None:
        self._sent_lsn = held.sent.lsn
        self._said_caught_up = held.caught_up
        self._in_flight.append(held.sent)
        self.window.took(held.sent.size)
        self.port.send_batch(held.payload)

    def look_at_clock(self) -> None:
        """Send what is not urgent: an empty batch that moves the cursor, or gathered offers."""
        if not self._is_quiet or self._in_flight:
            return
        if self._read_lsn > self._sent_lsn:
            caught_up = self._is_caught_up
            payload = encode(Batch(self.number, write_items(()), self._read_lsn, caught_up))
            knowledge = self._knowledge if caught_up else None
            if self.window.fits(len(payload)):
                sent = Sent(self._read_lsn, len(payload), knowledge)
                self._dispatch(Held(payload, sent, caught_up))
        elif self.is_current:
            self._offerer.send_gathered()

    # -- single documents

    def supply(self, id_keys: tuple[bytes, ...]) -> None:
        """
        Send documents of a batch whole, because the peer lacks what their deltas build on.

        :raises PeerViolation: the answer to the last WANT is not complete.
        """
        self._supplier.begin(id_keys)

    def older(self, id_keys: tuple[bytes, ...]) -> None:
        """Gather documents of which the peer showed older versions, to offer them when idle."""
        self._offerer.gather(id_keys)

    def offer(self, id_keys: tuple[bytes, ...]) -> None:
        """Offer documents to the peer at once."""
        self._offerer.send(id_keys)
