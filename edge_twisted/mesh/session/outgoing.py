# SPDX-License-Identifier: Apache-2.0
"""
A scope that the peer subscribed to: the sender's side of one stream.

Batches are read one at a time, from where the last one ended.  While much is to be sent, several
are on the way, up to the peer's window; once the peer is up to date, one at a time: what is
committed meanwhile gathers into the next, so that a burst of small changes becomes few messages.
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
#: Versions that the peer itself gave us and that do not go back to it: a bound of memory only,
#: what is forgotten goes back and is merged to no effect.
MAX_ECHOES: Final = 8192


class Sent(NamedTuple):
    """A batch on its way."""

    lsn: int
    size: int
    #: What the peer has of the collection once it has applied it; None if unknown.
    knowledge: VersionVector | None
    #: Whether the commits in it are complete with it.
    is_whole: bool = True


class Held(NamedTuple):
    """A batch that waits for room in the window."""

    payload: bytes
    sent: Sent
    caught_up: bool


class ApplyProgress(Protocol):
    """The applying of what the peer sends, whose commits concern streams back to it."""

    def newest_apply(self, collection: str) -> int:
        """Return the number of the newest `Apply` that runs, 0 if none does."""

    def is_applied(self, collection: str, number: int) -> bool:
        """Whether that one, and all before it, are done."""


@define(eq=False)
class OutgoingStream:
    """One stream; see the head of this module."""

    port: Port
    turns: SendWindow
    applies: ApplyProgress
    number: int
    scope: Scope
    #: Set by the session: the peer has other sources.
    announces: bool = False
    #: The end of what was read, of what was sent, and of what is on the peer's disk.
    _read_lsn: int = 0
    _sent_lsn: int = 0
    _acknowledged_lsn: int = 0
    _is_dirty: bool = True
    _is_reading: bool = False
    _held: deque[Held] = field(factory=deque)
    _in_flight: deque[Sent] = field(factory=deque)
    #: The last read came to the end of the log; the last batch that was sent said so.
    _is_caught_up: bool = False
    _said_caught_up: bool = False
    #: As of `_read_lsn`, when caught up.
    _knowledge: VersionVector | None = None
    _fingerprint: bytes | None = None
    #: What the peer has, for deltas; and what it was told of our knowledge.
    _base: VersionVector | None = None
    _told_knowledge: VersionVector | None = NO_VERSION
    _told_fingerprint: tuple[int, bytes] | None = None
    _echoes: dict[bytes, int] = field(factory=dict)
    #: The `Apply` after which to read on: its echoes belong to what was committed.
    _after_apply: int = 0
    #: Counts beginnings: an answer to a question of an earlier one means nothing.
    _generation: int = 0
    _machine: Machine[OutgoingState] = field(
        init=False, factory=lambda: Machine(OUTGOING, OutgoingState.STREAMING)
    )
    _supplying: Supplier = field(init=False)
    _offering: Offerer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._supplying = Supplier(self.port, self.number, self.scope, self.scope_closed)
        self._offering = Offerer(self.port, self.number, self.scope)

    # -- life

    @property
    def state(self) -> OutgoingState:
        """Where the stream stands."""
        return self._machine.state

    def step(self, event: Event) -> bool:
        """See `Machine.step`."""
        return self._machine.step(event)

    def begin(self, position: int, *, resumes: bool) -> None:
        """Stream what comes after a cursor; `resumes` if it is one that we gave out before."""
        self.stop()
        self._read_lsn = self._sent_lsn = self._acknowledged_lsn = position
        self._is_dirty = True
        self._is_caught_up = self._said_caught_up = False
        self._base = None
        # Where nothing happened since, the peer knows what we know already, or learns it with the
        # next change: a reconnect stays small.
        self._told_knowledge = None if resumes else NO_VERSION
        self.turns.request(self)

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
        """Forget what was read and sent: none of it will be acknowledged."""
        self._generation += 1
        self._is_reading = False
        self._held.clear()
        self._supplying.stop()
        self._fingerprint = self._told_fingerprint = None
        sizes = sum(each.size for each in self._in_flight)
        self._in_flight.clear()
        self.turns.release(self)
        if sizes:
            self.turns.took(-sizes)

    # -- what happens

    def committed(self) -> None:
        """Something in the scope's collection became durable here, or may be sent now."""
        self._is_dirty = True
        self._after_apply = self.applies.newest_apply(self.scope.collection)
        self.turns.request(self)

    def acknowledged(self, lsn: int) -> None:
        """
        The peer has stored the oldest batch that is on the way.

        :raises PeerViolation: none is, or another one.
        """
        if not self._in_flight or self._in_flight[0].lsn != lsn:
            raise PeerViolation("an acknowledgement of what was not sent")
        sent = self._in_flight.popleft()
        if sent.knowledge is not None:
            self._base = sent.knowledge
        if sent.is_whole:
            self._acknowledged_lsn = lsn
        self.turns.took(-sent.size)
        self.turns.request(self)

    def came_from_peer(self, echoes: tuple[tuple[bytes, int], ...]) -> None:
        """Remember versions that the peer has, for it gave them to us."""
        self._echoes.update(echoes)
        self._bound_echoes()

    def _bound_echoes(self) -> None:
        while len(self._echoes) > MAX_ECHOES:
            del self._echoes[next(iter(self._echoes))]

    @property
    def is_current(self) -> bool:
        """Whether the peer has all that there is."""
        return self._is_quiet and self._is_caught_up and not self._is_dirty and not self._in_flight

    @property
    def _is_quiet(self) -> bool:
        streaming = self.state is OutgoingState.STREAMING
        return streaming and not self._is_reading and not self._held

    def passed(self, newest: int) -> int:
        """Return up to which commit of ours, of `newest`, the peer has what it wants."""
        # Of a closed collection it gets nothing: who waits for it would wait for ever.
        is_served = self.state not in (OutgoingState.ENDED, OutgoingState.CLOSED)
        if not is_served or self.is_current:
            return newest
        return self._acknowledged_lsn

    def idle_fingerprint(self) -> tuple[int, int, bytes] | None:
        """Return (number, lsn, fingerprint) if the peer could compare it and was not told yet."""
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
        """See `turns.Taker`."""
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
        """See `turns.Taker`."""
        self._is_reading, self._is_dirty = True, False
        generation, skipped = self._generation, self._echoes
        self._echoes = {}
        request = ReadChanges(
            scope=self.scope,
            after=self._read_lsn,
            base=self._base,
            skip=skipped,
            announce_above=ANNOUNCE_ABOVE_BYTES if self.announces else None,
            limit_bytes=min(BATCH_BYTES, max(self.turns.limit_bytes // 4, 1)),
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
            # First the word, for then others may use what this one had of the peer's window.
            self.port.send(Stale(self.number, answer.reason[:1024]))
            self.wait_for_repair()
        else:
            assert isinstance(answer, ScopeClosed)
            self.scope_closed()

    def scope_closed(self) -> None:
        """The collection may not be sent now; the next commit in it, or word of its scope, asks."""
        # As above, first the word.
        self.port.send(Closed(self.number, "the collection's sync scope is closed"))
        self.step(OutgoingEvent.SCOPE_CLOSED)
        self.stop()

    def _have_probed(self, answer: Answer) -> None:
        self.turns.release(self)
        if not isinstance(answer, ScopeClosed):
            # The receiver subscribes anew, from where it is by then.
            self.step(OutgoingEvent.SCOPE_OPENED)
            self.stop()
            self.port.send(Opened(self.number))

    def _take(self, skipped: dict[bytes, int], changes: Changes) -> None:
        self._read_lsn = changes.lsn
        self._is_caught_up = not changes.more
        if changes.more:
            self._is_dirty = True
            # Those that were not met yet are ahead.
            self._echoes = {**skipped, **self._echoes}
            self._bound_echoes()
        else:
            self._knowledge, self._fingerprint = changes.knowledge, changes.fingerprint
        if changes.items or (self._is_caught_up and not self._said_caught_up):
            self._hold(changes)
            self.turns.hold(self)
            return
        self.turns.release(self)
        if self.wants_turn:
            self.turns.request(self)

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
        """See `turns.Taker`."""
        return self._held[0].sent.size if self._held else None

    def send_held(self) -> None:
        """See `turns.Taker`."""
        held = self._held.popleft()
        self._dispatch(held)

    def _dispatch(self, held: Held) -> None:
        self._sent_lsn = held.sent.lsn
        self._said_caught_up = held.caught_up
        self._in_flight.append(held.sent)
        self.turns.took(held.sent.size)
        self.port.send_batch(held.payload)

    def look_at_clock(self) -> None:
        """Say what is not urgent: how far nothing concerned the peer, and what it has older."""
        if not self._is_quiet or self._in_flight:
            return
        if self._read_lsn > self._sent_lsn:
            caught_up = self._is_caught_up
            payload = encode(Batch(self.number, write_items(()), self._read_lsn, caught_up))
            knowledge = self._knowledge if caught_up else None
            if self.turns.fits(len(payload)):
                sent = Sent(self._read_lsn, len(payload), knowledge)
                self._dispatch(Held(payload, sent, caught_up))
        elif self.is_current:
            self._offering.send_gathered()

    # -- single documents

    def supply(self, id_keys: tuple[bytes, ...]) -> None:
        """
        Send documents of a batch whole, for the peer cannot use what it got.

        :raises PeerViolation: the answer to the last such question is not complete.
        """
        self._supplying.begin(id_keys)

    def older(self, id_keys: tuple[bytes, ...]) -> None:
        """The peer showed older versions: offer ours, unless the stream brings them anyway."""
        self._offering.gather(id_keys)

    def offer(self, id_keys: tuple[bytes, ...]) -> None:
        """Send documents of ours at once."""
        self._offering.send(id_keys)
