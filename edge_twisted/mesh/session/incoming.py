# SPDX-License-Identifier: Apache-2.0
"""
A subscription of this server: the receiver's side of one stream.

The stream first asks the database for its cursor, the lsn of the sender up to which this server
has everything.  Then it applies batches (`batch_queue`), which move the cursor.  Where the cursor
is missing or of no use to the sender, both reconcile their sets first (`repair.receiver`).  A
stream that begins anew takes a new number, so that batches on their way under the old number are
dropped.  The states are `states.INCOMING`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Protocol

from attrs import define, field

from edge_twisted.documents.versions import NO_VERSION, Replica, VersionVector
from edge_twisted.mesh.ports.effects import Received, ScopeRefused, Unwanted
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import (
    Applied,
    Changes,
    ChangesAnswer,
    FindPosition,
    ReadChanges,
    Scope,
    StreamPosition,
    TransitRoute,
)
from edge_twisted.mesh.repair.receiver import Reconciled, RepairOutcome, RepairReceiver
from edge_twisted.mesh.session.applier import StreamApplier
from edge_twisted.mesh.session.bases import base_digest
from edge_twisted.mesh.session.batch_queue import BatchQueue, WindowAccount
from edge_twisted.mesh.session.doubts import Doubts
from edge_twisted.mesh.session.fingerprints import Fingerprints
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.repair_turns import RepairTurns
from edge_twisted.mesh.session.states import INCOMING, IncomingEvent, IncomingState
from edge_twisted.mesh.wire.features import Features
from edge_twisted.mesh.wire.items import ScopeKey, Whole
from edge_twisted.mesh.wire.messages import (
    Base,
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
from edge_twisted.mesh.wire.values import read_vector, write_seen, write_vector

#: Repairs in a row that were not complete, because documents changed all the time.
MOST_INCOMPLETE: Final = 3


class StreamHost(Protocol):
    """What an incoming stream needs of the streams of its link."""

    @property
    def newest_lsn(self) -> int:
        """The newest durable commit here."""

    def register(self, stream: IncomingStream) -> int:
        """Return a new number for the stream, under which messages find it."""

    @property
    def may_subscribe(self) -> bool:
        """Whether another SUBSCRIBE now stays below the rate that the peer takes."""

    def send_subscribe(self, message: Subscribe, key: ScopeKey) -> None:
        """Send SUBSCRIBE for the scope of this key."""

    def have_applied(self, collection: str, applied: Applied) -> None:
        """Tell the peer's streams which versions the peer has, and of which it has older ones."""

    def apply_begins(self, collection: str) -> int:
        """Return the number of an `ApplyBatch` that is about to be asked for."""

    def apply_ends(self, number: int) -> None:
        """Note that the `ApplyBatch` of this number is done."""

    def new_salt(self) -> bytes:
        """Return 16 new random bytes, the salt of a repair."""

    def is_evicted(self, collection: str, evictions: int) -> bool:
        """
        Return whether other streams of a collection are from before its last EVICT.

        They begin anew as soon as the link hears of it.
        """


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
    """The receiver's side of one stream; see the head of this module."""

    port: Port
    host: StreamHost
    credit: WindowAccount
    pulls: Pulls
    repair_turns: RepairTurns
    scope: Scope
    sender: Replica
    #: What the link may carry.
    features: Features
    #: Names the subscription on the wire; None while the peer has not heard of it.
    number: int | None = None
    is_caught_up: bool = False
    #: The cursor in the database, None if there is none; how often EVICT had dropped it then; and
    #: the newest lsn that came.
    position: int | None = None
    evictions: int = 0
    newest_lsn: int = 0
    #: Whether documents of the sender were not taken.  Until a repair has brought all, the cursor
    #: is here alone, not in the database, and what the sender knows is not joined to what is known.
    is_provisional: bool = False
    _queue: BatchQueue | None = None
    _aside: StreamApplier | None = None
    _repair: RepairReceiver | None = None
    #: What SUBSCRIBE named by its digest.
    _base: VersionVector | None = None
    _fingerprints: Fingerprints = field(factory=Fingerprints)
    #: Counts how often the stream began or halted: answers to older questions are ignored.
    _generation: int = 0
    _follow_up: FollowUp = FollowUp.NOTHING
    #: Incomplete repairs in a row.
    _incomplete: int = 0
    #: What the sender said in a repair that it knows.
    vouched: VersionVector | None = None
    #: Whether it said that it has only a summary of some deletes.
    _sender_forgets: bool = False
    _doubts: Doubts = field(factory=Doubts)
    _machine: Machine[IncomingState] = field(
        init=False, factory=lambda: Machine(INCOMING, IncomingState.IDLE)
    )

    # -- life

    @property
    def state(self) -> IncomingState:
        """Where the stream stands."""
        return self._machine.state

    def step(self, event: Event) -> bool:
        """Go to the next state; return False if nothing is to be done. See `Machine.step`."""
        return self._machine.step(event)

    def find(self) -> None:
        """Ask the database for the cursor, and subscribe from there."""
        self.step(IncomingEvent.BEGINS_ANEW)
        self._give_up_number()
        if not self.host.may_subscribe:
            # `look_at_clock` tries again.
            return
        self.step(IncomingEvent.ASKS_FOR_CURSOR)
        generation = self._generation
        request = FindPosition(scope=self.scope, sender=self.sender)
        self.port.ask(request, lambda answer: self._found(generation, answer))

    def stop(self) -> None:
        """End the subscription: drop what waits, and tell the peer."""
        self.step(IncomingEvent.ENDED)
        self._give_up_number()

    def _give_up_number(self) -> None:
        queue = self._halt()
        if self.number is not None:
            self.port.send(Unsubscribe(self.number))
            self.number = None
        if queue is not None:
            queue.go_on()

    def abandon(self) -> None:
        """End the stream of a link that is gone, so that other links pull what it was to bring."""
        self.step(IncomingEvent.ENDED)
        self._halt()

    def _halt(self) -> BatchQueue | None:
        """Drop what waits; return the queue that was left, which is to go on (`BatchQueue`)."""
        self._generation += 1
        self.is_caught_up = False
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.leave(self)
        if self._aside is not None:
            self._aside.stop()
            self._aside = None
        self._end_repair()
        return queue

    def _end_repair(self) -> None:
        if self._repair is not None:
            self._repair.abandon()
            self._repair = None
        self.repair_turns.release(self.scope.collection, self)

    def _found(self, generation: int, position: StreamPosition) -> None:
        if generation != self._generation:
            return
        if self.host.is_evicted(self.scope.collection, position.evictions):
            # The sender would leave out what those streams brought, and EVICT removed.
            self.step(IncomingEvent.BEGINS_ANEW)
            return
        self.number = self.host.register(self)
        self.step(IncomingEvent.CURSOR_FOUND)
        self.position, self.evictions = position.lsn, position.evictions
        self.is_provisional = False
        self._begin_queue()
        arguments = encode(dict(self.scope.arguments))
        self._base = position.base if self.features.has_bases else None
        route = self.scope.route
        if route is None or not self.features.passes_subscriptions_on:
            route = TransitRoute(())
        message = Subscribe(
            self.number,
            self.scope.query,
            arguments,
            position.lsn,
            position.held,
            base_digest(self._base) if self._base else None,
            list(route.path),
            route.token,
        )
        self.host.send_subscribe(message, self.scope.key)
        if position.lsn is None and position.held:
            self._repair_now()

    def _begin_queue(self) -> None:
        self.newest_lsn = self.position or 0
        self._queue = BatchQueue(self.port, self.credit, self.pulls, self.sender, [self])
        self._aside = StreamApplier(self.port, self, self.sender)

    @property
    def queue(self) -> BatchQueue:
        """The queue in which batches of this stream wait; see `BatchStream`."""
        assert self._queue is not None
        return self._queue

    def join(self, queue: BatchQueue) -> None:
        """Leave the stream's queue, and go on in another one."""
        self.queue.leave(self)
        queue.members.append(self)
        self._queue = queue

    @property
    def _begun_aside(self) -> StreamApplier:
        assert self._aside is not None
        return self._aside

    # -- messages: `step` has accepted them

    def supplied(self, message: Supply) -> None:
        """Take documents (SUPPLY) that the oldest batch lacked."""
        self.queue.supplied(message)

    def offered(self, items: tuple[Whole, ...]) -> None:
        """Apply documents that the sender sent out of the stream's order."""
        if items:
            self._begun_aside.apply_aside(items, lambda: None)

    def stale(self) -> None:
        """Repair, because the sender cannot use the cursor."""
        self._begin_repair()

    def closed(self, reason: str) -> None:
        """Halt until the sender says OPENED: it may not serve the scope now."""
        queue = self._halt()
        if queue is not None:
            queue.go_on()
        self.port.tell(ScopeRefused(self.scope.key, reason))

    def opened(self) -> None:
        """Subscribe anew, because the sender serves the scope again."""
        self.find()

    def tell_base(self) -> None:
        """Send the base that SUBSCRIBE named; what came since only adds to it."""
        assert self.number is not None
        self.port.send(Base(self.number, write_vector(self._base or NO_VERSION)))

    def take_repair(
        self, message: RepairSummary | RepairAnswer | RepairItems | RepairFates
    ) -> bool:
        """Take an answer of the sender; return False if no repair waits for one."""
        if self._repair is None:
            return False
        if isinstance(message, RepairSummary):
            told = message.vouched
            self.vouched = None if told is None else read_vector(told)
            self._sender_forgets = message.forgets
        self._repair.take(message)
        return True

    # -- BatchStream, for the queue

    def have_applied(self, applied: Applied) -> None:
        """Tell the peer which of its documents are gone, and its streams which versions it has."""
        if self.number is not None:
            for seen in write_seen(applied.gone):
                self.port.send(Gone(self.number, True, seen))
        self.host.have_applied(self.scope.collection, applied)
        if applied.documents or applied.attachments:
            self.port.tell(Received(applied.documents, applied.attachments))
        if applied.unwanted:
            self.port.tell(Unwanted(applied.unwanted))

    def have_moved(self, lsn: int, caught_up: bool) -> None:
        """Follow the sender from the cursor, `lsn`, to which a batch or a repair moved it."""
        self._fingerprints.changed_there()
        self.is_caught_up = caught_up and self.queue.is_empty
        if self.state is IncomingState.REPAIRING:
            self._resume(lsn)
        elif caught_up:
            self._follow()

    def doubted(self) -> None:
        """Repair soon, and again later: the sender may know more of what was deleted then."""
        self.is_provisional = True
        self._doubts.found()

    def cursor_lost(self) -> None:
        """Find the cursor and subscribe anew: EVICT dropped it, or another link moved it."""
        self.find()

    def forget_echoes(self) -> None:
        """Take no more echoes of batches that came before the peer's new subscription."""
        if self._queue is not None:
            self._queue.forget_echoes()
        if self._aside is not None:
            self._aside.forget_echoes()

    def apply_begins(self) -> int:
        """Return the number of an `ApplyBatch` that is about to be asked for."""
        return self.host.apply_begins(self.scope.collection)

    def apply_ends(self, number: int) -> None:
        """Note that the `ApplyBatch` of this number is done."""
        self.host.apply_ends(number)

    # -- repair

    def _follow(self) -> None:
        """Do what the last repair left to be done, now that the stream has caught up."""
        if self._follow_up is FollowUp.ASK:
            self._follow_up = FollowUp.NOTHING
            self._repair = self._new_repair()
            self._repair.ask_after_all()
        elif self._follow_up is FollowUp.REPAIR and self._may_repair:
            self._follow_up = FollowUp.NOTHING
            self._repair_now()
        else:
            # All that a repair of this scope would have brought is here.
            self.repair_turns.release(self.scope.collection, self)

    @property
    def _may_repair(self) -> bool:
        """Whether a repair need not wait; it must not, while the sender streams."""
        return self.repair_turns.is_free(self.scope.collection)

    def _repair_now(self) -> None:
        self.step(IncomingEvent.REPAIR_DUE)
        self._begin_repair()

    def _begin_repair(self) -> None:
        if self.is_provisional:
            self.position, self.is_provisional = None, False
        self._doubts.repair_begins(self.port.now)
        queue = self._halt()
        self._begin_queue()
        if self._follow_up is FollowUp.REPAIR:
            self._follow_up = FollowUp.NOTHING
        self._repair = self._new_repair()
        self.repair_turns.request(self.scope.collection, self, self._repair.begin)
        if queue is not None:
            queue.go_on()

    def _new_repair(self) -> RepairReceiver:
        assert self.number is not None
        return RepairReceiver(
            port=self.port,
            stream=self._begun_aside,
            number=self.number,
            scope=self.scope,
            salt=self.host.new_salt(),
            done=self._repaired,
        )

    def _repaired(self, outcome: RepairOutcome | Reconciled, found: bool) -> None:
        """Move the cursor to the lsn of the sender's summary, and stream from there."""
        assert self._repair is not None
        if self._repair.is_unsure:
            self._doubts.found()
        self._incomplete = self._incomplete + 1 if self._repair.is_incomplete else 0
        if self._follow_up is not FollowUp.ASK:
            again = 0 < self._incomplete < MOST_INCOMPLETE
            self._follow_up = FollowUp.REPAIR if again else FollowUp.NOTHING
        self._repair = None
        self._fingerprints.repaired(self.port.now, found=found)
        if outcome is RepairOutcome.TOO_DIFFERENT:
            self._follow_up = FollowUp.ASK
            if self._sender_forgets:
                # What it knows is not to be joined before it was asked after what is here alone.
                self.doubted()
            # The sender streams from its beginning; the turn ends once that has caught up.
            self.newest_lsn = 0
            self._resume(0)
            return
        self.repair_turns.release(self.scope.collection, self)
        if isinstance(outcome, Reconciled):
            if self._doubts.repair_ends():
                self._go_on_at(outcome.lsn)
            else:
                self._begun_aside.move(outcome.lsn, outcome.knowledge)

    def _go_on_at(self, lsn: int) -> None:
        """Stream on after a repair that left doubts, without a cursor in the database."""
        self.is_provisional = True
        self.position = self.newest_lsn = lsn
        self.have_moved(lsn, False)

    def _resume(self, lsn: int) -> None:
        assert self.number is not None
        self.step(IncomingEvent.REPAIR_OVER)
        self.port.send(RepairDone(self.number, lsn))

    # -- time and commits

    def told(self, lsn: int, fingerprint: bytes) -> None:
        """Note the fingerprint that the sender, idle at `lsn`, tells of its documents."""
        self._fingerprints.told(lsn, fingerprint)

    def committed(self) -> None:
        """Note that something in the scope's collection became durable here."""
        self._fingerprints.changed_here()
        if self._queue is not None:
            self._queue.try_again()

    def look_at_clock(self) -> None:
        """Try again what waits for other links, or for the rate of SUBSCRIBE to allow one."""
        if self.state is IncomingState.IDLE:
            self.find()
        if self.is_caught_up and self._follow_up is FollowUp.REPAIR:
            self._follow()
        if self._queue is not None:
            self._queue.try_again()

    def look(self) -> None:
        """Compare fingerprints if both sides are in sync; called once for each KEEP_ALIVE."""
        if self.state is not IncomingState.STREAMING or not self.queue.is_empty or self._repair:
            return
        if self._doubts.wants_repair(self.port.now):
            if self._may_repair:
                self._repair_now()
            return
        if self._fingerprints.wants_ours(self.position):
            self._read_ours()
        elif self._fingerprints.look(self.position, self.port.now) and self._may_repair:
            self._repair_now()

    def _read_ours(self) -> None:
        """Read the fingerprint of the documents here, as of the newest commit."""
        newest = self.host.newest_lsn
        generation = self._generation

        def read(answer: ChangesAnswer) -> None:
            current = generation == self._generation and newest == self.host.newest_lsn
            if current and isinstance(answer, Changes) and answer.fingerprint is not None:
                self._fingerprints.ours(answer.fingerprint)

        self.port.ask(ReadChanges(scope=self.scope, after=newest), read)
