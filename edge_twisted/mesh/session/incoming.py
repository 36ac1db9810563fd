# SPDX-License-Identifier: Apache-2.0
"""
A scope of ours: the receiver's side of one stream.

First the database is asked where the stream from this sender goes on; then batches are applied
(`applying`).  Where a cursor is of no use, sets are reconciled first (`repair_receiver`).  A
stream that has to begin anew takes a new number, so that what was on its way is for nobody.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Protocol, cast

from attrs import define, field

from edge_twisted.documents.versions import Replica
from edge_twisted.mesh.ports.effects import Received, ScopeRefused
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import (
    Answer,
    Applied,
    Changes,
    FindPosition,
    ReadChanges,
    Scope,
    StreamPosition,
)
from edge_twisted.mesh.repair.receiver import Reconciled, RepairOutcome, RepairReceiver
from edge_twisted.mesh.session.batch_queue import BatchQueue, WindowAccount
from edge_twisted.mesh.session.fingerprints import Fingerprints
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.states import INCOMING, IncomingEvent, IncomingState
from edge_twisted.mesh.wire.items import ScopeKey, Whole
from edge_twisted.mesh.wire.messages import (
    Batch,
    Gone,
    RepairAnswer,
    RepairDone,
    RepairFates,
    RepairItems,
    RepairSummary,
    Subscribe,
    Supply,
    Unsubscribe,
    encode,
)
from edge_twisted.mesh.wire.state_machine import Event, Machine
from edge_twisted.mesh.wire.values import write_seen

#: Repairs in a row that were not complete, because documents changed all the time.
MOST_INCOMPLETE: Final = 3


class StreamHost(Protocol):
    """What of the rest of the session a stream needs."""

    @property
    def newest_lsn(self) -> int:
        """The newest durable commit here."""

    def register(self, stream: IncomingStream) -> int:
        """Give the stream a new number."""

    @property
    def may_subscribe(self) -> bool:
        """Whether the peer takes another SUBSCRIBE, as far as we know."""

    def say_subscribe(self, message: Subscribe, key: ScopeKey) -> None:
        """Send SUBSCRIBE."""

    def have_applied(self, collection: str, applied: Applied) -> None:
        """Let the streams to the peer know what it has, and what it has older."""

    def apply_begins(self, collection: str) -> int:
        """Number an `Apply` that is about to be asked for."""

    def apply_ends(self, number: int) -> None:
        """It is done."""

    def new_salt(self) -> bytes:
        """Return 16 random bytes."""


class FollowUp(Enum):
    """What a repair leaves to be done once the stream has caught up."""

    NOTHING = auto()
    #: The sets differed too much, so the sender streams everything: ask after what only this side
    #: has then.
    ASK = auto()
    #: Documents changed before the sender could be asked after them: repair once more.
    REPAIR = auto()


@define(eq=False)
class IncomingStream:
    """One stream; see the head of this module."""

    port: Port
    session: StreamHost
    credit: WindowAccount
    pulls: Pulls
    scope: Scope
    sender: Replica
    #: None until it is subscribed to.
    number: int | None = None
    is_caught_up: bool = False
    _applying: BatchQueue | None = None
    _repair: RepairReceiver | None = None
    _fingerprints: Fingerprints = field(factory=Fingerprints)
    #: Counts beginnings: an answer to a question of an earlier one means nothing.
    _generation: int = 0
    _follow_up: FollowUp = FollowUp.NOTHING
    #: Incomplete repairs in a row.
    _incomplete: int = 0
    _machine: Machine[IncomingState] = field(
        init=False, factory=lambda: Machine(INCOMING, IncomingState.IDLE)
    )

    # -- life

    @property
    def state(self) -> IncomingState:
        """Where the stream stands."""
        return self._machine.state

    def step(self, event: Event) -> bool:
        """See `Machine.step`."""
        return self._machine.step(event)

    def find(self) -> None:
        """Ask where to go on, and subscribe from there; at the start, and where that was lost."""
        self.step(IncomingEvent.BEGINS_ANEW)
        self._give_up_number()
        if not self.session.may_subscribe:
            # The clock tries again (`look_at_clock`).
            return
        self.step(IncomingEvent.ASKS_FOR_CURSOR)
        generation = self._generation
        request = FindPosition(scope=self.scope, sender=self.sender)
        self.port.ask(request, lambda answer: self._found(generation, answer))

    def stop(self) -> None:
        """Take nothing any more, and tell the peer."""
        self.step(IncomingEvent.ENDED)
        self._give_up_number()

    def _give_up_number(self) -> None:
        self._halt()
        if self.number is not None:
            self.port.send(Unsubscribe(self.number))
            self.number = None

    def abandon(self) -> None:
        """The link is gone: let others pull what this stream was about to get."""
        self.step(IncomingEvent.ENDED)
        self._halt()

    def _halt(self) -> None:
        self._generation += 1
        self.is_caught_up = False
        if self._applying is not None:
            self._applying.stop()
        self._end_repair()

    def _end_repair(self) -> None:
        if self._repair is not None:
            self._repair.abandon()
            self._repair = None

    def _found(self, generation: int, answer: Answer) -> None:
        if generation != self._generation:
            return
        position = cast(StreamPosition, answer)
        self.number = self.session.register(self)
        self.step(IncomingEvent.CURSOR_FOUND)
        self._begin_applying(position.lsn)
        arguments = encode(dict(self.scope.arguments))
        message = Subscribe(self.number, self.scope.query, arguments, position.lsn, position.held)
        self.session.say_subscribe(message, self.scope.key)
        if position.lsn is None and position.held:
            self._repair_now()

    def _begin_applying(self, position: int | None) -> None:
        assert self.number is not None
        self._applying = BatchQueue(
            port=self.port,
            stream=self,
            credit=self.credit,
            pulls=self.pulls,
            number=self.number,
            scope=self.scope,
            sender=self.sender,
            position=position,
        )

    @property
    def _queue(self) -> BatchQueue:
        assert self._applying is not None
        return self._applying

    # -- messages, in the states that `states` allows

    def take(self, message: Batch, size: int) -> None:
        """Take a batch."""
        self.is_caught_up = False
        self._queue.take(message, size)

    def supplied(self, message: Supply) -> None:
        """Take documents that a batch lacked."""
        self._queue.supplied(message)

    def offered(self, items: tuple[Whole, ...]) -> None:
        """Take documents out of the stream's order."""
        if items:
            self._queue.apply_aside(items, lambda: None)

    def stale(self) -> None:
        """The sender cannot use our cursor."""
        self._begin_repair()

    def closed(self, reason: str) -> None:
        """The sender does not serve the scope now, and says when it does."""
        self._halt()
        self.port.tell(ScopeRefused(self.scope.key, reason))

    def opened(self) -> None:
        """The sender serves the scope again."""
        self.find()

    def take_repair(
        self, message: RepairSummary | RepairAnswer | RepairItems | RepairFates
    ) -> bool:
        """Take an answer of the sender's; return whether any was waited for."""
        if self._repair is None:
            return False
        self._repair.take(message)
        return True

    # -- the queue's word

    def have_applied(self, applied: Applied) -> None:
        """Say to the peer what it should hear of its documents."""
        if self.number is not None:
            for seen in write_seen(applied.gone):
                self.port.send(Gone(self.number, True, seen))
        self.session.have_applied(self.scope.collection, applied)
        if applied.documents or applied.attachments:
            self.port.tell(Received(applied.documents, applied.attachments))

    def have_moved(self, lsn: int, caught_up: bool) -> None:
        """The cursor moved, by a batch or after a repair."""
        self._fingerprints.changed_there()
        self.is_caught_up = caught_up and self._queue.is_empty
        if self.state is IncomingState.REPAIRING:
            self._resume(lsn)
        elif caught_up:
            self._follow()

    def cursor_lost(self) -> None:
        """EVICT dropped the cursor, or another link moved it."""
        self.find()

    def forget_echoes(self) -> None:
        """The peer subscribed anew to the collection."""
        if self._applying is not None:
            self._applying.forget_echoes()

    def apply_begins(self) -> int:
        return self.session.apply_begins(self.scope.collection)

    def apply_ends(self, number: int) -> None:
        self.session.apply_ends(number)

    # -- repair

    def _follow(self) -> None:
        """Do what the last repair left to be done."""
        follow_up, self._follow_up = self._follow_up, FollowUp.NOTHING
        if follow_up is FollowUp.ASK:
            self._repair = self._new_repair()
            self._repair.ask_after_all()
        elif follow_up is FollowUp.REPAIR:
            self._repair_now()

    def _repair_now(self) -> None:
        self.step(IncomingEvent.REPAIR_DUE)
        self._begin_repair()

    def _begin_repair(self) -> None:
        position = self._queue.position
        self._halt()
        self._begin_applying(position)
        if self._follow_up is FollowUp.REPAIR:
            self._follow_up = FollowUp.NOTHING
        self._repair = self._new_repair()
        self._repair.begin()

    def _new_repair(self) -> RepairReceiver:
        assert self.number is not None
        return RepairReceiver(
            port=self.port,
            stream=self._queue,
            number=self.number,
            scope=self.scope,
            salt=self.session.new_salt(),
            done=self._repaired,
        )

    def _repaired(self, outcome: RepairOutcome | Reconciled, found: bool) -> None:
        """Move the cursor to where the sender's set was taken, and stream from there."""
        assert self._repair is not None
        self._incomplete = self._incomplete + 1 if self._repair.is_incomplete else 0
        if self._follow_up is not FollowUp.ASK:
            again = 0 < self._incomplete < MOST_INCOMPLETE
            self._follow_up = FollowUp.REPAIR if again else FollowUp.NOTHING
        self._repair = None
        self._fingerprints.repaired(self.port.now, found=found)
        if outcome is RepairOutcome.TOO_DIFFERENT:
            self._follow_up = FollowUp.ASK
            self._queue.rewind()
            self._resume(0)
        elif isinstance(outcome, Reconciled):
            self._queue.move(outcome.lsn, outcome.knowledge)

    def _resume(self, lsn: int) -> None:
        assert self.number is not None
        self.step(IncomingEvent.REPAIR_OVER)
        self.port.send(RepairDone(self.number, lsn))

    # -- time and commits

    def told(self, lsn: int, fingerprint: bytes) -> None:
        """The sender, idle, says what its documents come to at our cursor."""
        self._fingerprints.told(lsn, fingerprint)

    def committed(self) -> None:
        """Something in the scope's collection became durable here."""
        self._fingerprints.changed_here()
        if self._applying is not None:
            self._applying.try_again()

    def look_at_clock(self) -> None:
        """Try again what waits for other links, or for a subscription to be no flood."""
        if self.state is IncomingState.IDLE:
            self.find()
        if self._applying is not None:
            self._applying.try_again()

    def look(self) -> None:
        """Compare fingerprints, if both sides say that they are in sync."""
        if self.state is not IncomingState.STREAMING or not self._queue.is_empty or self._repair:
            return
        position = self._queue.position
        if self._fingerprints.wants_ours(position):
            self._read_ours()
        elif self._fingerprints.look(position, self.port.now):
            self._repair_now()

    def _read_ours(self) -> None:
        """Read our fingerprint: the one that comes with having nothing newer than now."""
        newest = self.session.newest_lsn
        generation = self._generation

        def read(answer: Answer) -> None:
            current = generation == self._generation and newest == self.session.newest_lsn
            if current and isinstance(answer, Changes) and answer.fingerprint is not None:
                self._fingerprints.ours(answer.fingerprint)

        self.port.ask(ReadChanges(scope=self.scope, after=newest), read)
