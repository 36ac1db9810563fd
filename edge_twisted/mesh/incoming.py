# SPDX-License-Identifier: Apache-2.0
"""
A scope of ours: the receiver's side of one stream.

First the database is asked where the stream from this sender goes on; then batches are applied one
after the other, each whole, and acknowledged once they are on disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol, cast

from attrs import define, field

from edge_twisted.documents.versions import Replica, VersionVector
from edge_twisted.mesh.effects import Received
from edge_twisted.mesh.items import Item
from edge_twisted.mesh.messages import (
    Ack,
    Batch,
    Gone,
    RepairDone,
    Subscribe,
    Want,
    read_items,
    read_vector,
    write_seen,
)
from edge_twisted.mesh.port import Port
from edge_twisted.mesh.repair_receiver import Outcome, Reconciled, RepairReceiver
from edge_twisted.mesh.requests import (
    Answer,
    Applied,
    Apply,
    Changes,
    FindPosition,
    Lacking,
    Position,
    ReadChanges,
    Scope,
)
from edge_twisted.mesh.violations import PeerViolation

#: A batch that still lacks something after so many supplies is repaired instead.
MAX_SUPPLIES: Final = 3
#: Fingerprints differ for so many looks, about 1.5 s apart, before a repair begins.
PATIENT_LOOKS: Final = 3
#: Between two repairs that found nothing to mend.
REPAIR_PAUSE_SECONDS: Final = 30.0


class State(Enum):
    """Where a stream stands."""

    #: The database is asked for the cursor.
    FINDING = "finding its position"
    #: Batches come and are applied.
    STREAMING = "streaming"
    #: Sets are being reconciled.
    REPAIRING = "repairing"


class Neighbourhood(Protocol):
    """What of the rest of the session a stream needs."""

    def offer(self, collection: str, id_keys: tuple[bytes, ...]) -> None:
        """Offer documents to the peer, if it subscribes to the collection."""

    def came_from_peer(self, collection: str, echoes: tuple[tuple[bytes, int], ...]) -> None:
        """Do not send these versions back."""

    def encoded_arguments(self, scope: Scope) -> bytes:
        """Return a scope's arguments as SUBSCRIBE carries them."""

    def new_salt(self) -> bytes:
        """Return 16 random bytes."""


@define
class _Waiting:
    """A batch that is to be applied."""

    message: Batch
    items: tuple[Item, ...]
    supplies: int = 0


@define
class _Look:
    """What fingerprints showed so far."""

    theirs: tuple[int, bytes] | None = None
    ours: tuple[int, bytes] | None = None
    seen: int = 0
    is_asking: bool = False
    #: Pairs that a repair could not make equal, and need not.
    settled: tuple[bytes, bytes] | None = None


@define(eq=False)
class IncomingStream:
    """One stream; see the head of this module."""

    port: Port
    session: Neighbourhood
    number: int
    scope: Scope
    sender: Replica
    announce: bool
    state: State = State.FINDING
    #: The cursor as the database has it.
    _position: int | None = None
    #: The end of the last batch that came.
    _taken: int = 0
    #: What the first batch waits for.
    _wanted: frozenset[bytes] = frozenset()
    _batches: deque[_Waiting] = field(factory=deque)
    _is_applying: bool = False
    _generation: int = 0
    _repair: RepairReceiver | None = None
    _look: _Look = field(factory=_Look)
    _repaired_at: float = float("-inf")
    _own_lsn: int = 0
    #: The stream began anew because a repair was not worth it; what only we have is asked after.
    _asks_after_stream: bool = False

    # -- life

    def find(self) -> None:
        """Ask where to go on, and subscribe from there; at the start and after EVICT."""
        self._drop(State.FINDING)
        self._repair = None
        generation = self._generation
        request = FindPosition(scope=self.scope, sender=self.sender)
        self.port.ask(request, lambda answer: self._found(generation, answer))

    def _found(self, generation: int, answer: Answer) -> None:
        if generation != self._generation:
            return
        position = cast(Position, answer)
        self._position = position.lsn
        self._taken = position.lsn or 0
        self.state = State.STREAMING
        self.port.send(
            Subscribe(
                self.number,
                self.scope.query,
                self.session.encoded_arguments(self.scope),
                position.lsn,
                position.held,
                self.announce,
            )
        )
        if position.lsn is None and position.held:
            self._begin_repair()

    @property
    def queued_batches(self) -> int:
        """Batches that wait to be applied."""
        return len(self._batches)

    def _drop(self, state: State) -> None:
        """Forget what was on its way: another beginning follows."""
        self.state = state
        self._generation += 1
        self._batches.clear()
        self._is_applying = False
        self._wanted = frozenset()
        self._look.seen = 0

    # -- batches

    def take(self, message: Batch) -> None:
        """Take a batch; one that crossed with a new beginning is dropped."""
        if self.state is not State.STREAMING:
            return
        if message.lsn < self._taken:
            raise PeerViolation("a batch that goes back")
        self._taken = message.lsn
        self._batches.append(_Waiting(message, read_items(message.items)))
        self._apply_next()

    def supplied(self, items: tuple[Item, ...]) -> None:
        """
        Take the whole documents that the first batch lacked, and try it again.

        What was wanted and is not among them is not there any more, and is left out.

        :raises PeerViolation: nothing was wanted.
        """
        if self.state is not State.STREAMING:
            return
        if not self._wanted:
            raise PeerViolation("a supply that nobody wanted")
        first, wanted = self._batches[0], self._wanted
        whole = {item.id_key: item for item in items}
        if not whole.keys() <= wanted:
            raise PeerViolation("a supply of what nobody wanted")
        first.items = tuple(
            whole.get(item.id_key, item)
            for item in first.items
            if item.id_key in whole or item.id_key not in wanted
        )
        self._wanted = frozenset()
        self._apply_next()

    def _apply_next(self) -> None:
        if self._is_applying or self._wanted or not self._batches:
            return
        first = self._batches[0]
        self._is_applying = True
        generation = self._generation
        request = Apply(
            scope=self.scope,
            sender=self.sender,
            items=first.items,
            lsn=first.message.lsn,
            after=self._position,
            knowledge=read_vector(first.message.knowledge) if first.message.caught_up else None,
        )
        self.port.ask(request, lambda answer: self._have_applied(generation, answer))

    def _have_applied(self, generation: int, answer: Answer) -> None:
        if generation != self._generation:
            return
        self._is_applying = False
        first = self._batches[0]
        if isinstance(answer, Lacking):
            self._want(first, answer.id_keys)
            return
        applied = cast(Applied, answer)
        self._batches.popleft()
        self._follow_up(applied)
        if not applied.moved:
            self.find()
            return
        self._position = first.message.lsn
        self.port.send(Ack(self.number, first.message.lsn))
        if first.message.fingerprint is not None:
            self._look.theirs = (first.message.lsn, first.message.fingerprint)
            self._look.seen = 0
        if first.message.caught_up and self._asks_after_stream:
            self._asks_after_stream = False
            self._begin_repair(asking_only=True)
            return
        self._apply_next()

    def _want(self, first: _Waiting, id_keys: tuple[bytes, ...]) -> None:
        first.supplies += 1
        if first.supplies > MAX_SUPPLIES:
            self._begin_repair()
            return
        self._wanted = frozenset(id_keys)
        self.port.send(Want(self.number, list(id_keys)))

    def _follow_up(self, applied: Applied) -> None:
        """Say to the peer what it should hear of its documents."""
        collection = self.scope.collection
        if applied.echoes:
            self.session.came_from_peer(collection, applied.echoes)
        if applied.gone:
            self.port.send(Gone(self.number, True, write_seen(applied.gone)))
        if applied.older:
            self.session.offer(collection, applied.older)
        if applied.documents or applied.attachments:
            self.port.tell(Received(applied.documents, applied.attachments))

    def offered(self, items: tuple[Item, ...]) -> None:
        """Take documents out of the stream's order."""
        if items:
            self.apply_aside(items, lambda: None)

    def apply_aside(self, items: tuple[Item, ...], then: Callable[[], None]) -> None:
        """Apply whole documents without moving the cursor."""

        def applied(answer: Answer) -> None:
            if isinstance(answer, Lacking):
                raise PeerViolation("a document that was to be whole is not")
            self._follow_up(cast(Applied, answer))
            then()

        request = Apply(scope=self.scope, sender=self.sender, items=items, lsn=None)
        self.port.ask(request, applied)

    # -- repair

    def stale(self) -> None:
        """The sender cannot use our cursor."""
        if self.state is State.STREAMING:
            self._begin_repair()

    def closed(self) -> None:
        """The sender does not serve the scope, for now."""
        if self.state is not State.FINDING:
            # What it sends once it serves it again follows on our cursor.
            self._drop(State.STREAMING)
            self._repair = None

    @property
    def repair(self) -> RepairReceiver | None:
        """The repair that goes on, if one does."""
        return self._repair

    def _begin_repair(self, *, asking_only: bool = False) -> None:
        self._drop(State.REPAIRING)
        self._repair = RepairReceiver(
            port=self.port,
            stream=self,
            number=self.number,
            scope=self.scope,
            salt=self.session.new_salt(),
            done=self._repaired,
        )
        if asking_only:
            self._repair.ask_after_all()
        else:
            self._repair.begin()

    def _repaired(self, outcome: Outcome | Reconciled) -> None:
        """Move the cursor to where the sender's set was taken, and stream from there."""
        self._repair = None
        self._repaired_at = self.port.now
        match outcome:
            case Outcome.FATES_KNOWN:
                self._resume(self._position or 0)
            case Outcome.TOO_DIFFERENT:
                self._asks_after_stream = True
                self._resume(0)
            case Reconciled(lsn, knowledge):
                self._move(lsn, knowledge)

    def _move(self, lsn: int, knowledge: VersionVector | None) -> None:
        generation = self._generation

        def moved(answer: Answer) -> None:
            if generation != self._generation:
                return
            if not cast(Applied, answer).moved:
                self.find()
                return
            self._position = lsn
            self._resume(lsn)

        request = Apply(
            scope=self.scope,
            sender=self.sender,
            items=(),
            lsn=lsn,
            after=self._position,
            knowledge=knowledge,
        )
        self.port.ask(request, moved)

    def _resume(self, lsn: int) -> None:
        self.state = State.STREAMING
        self._taken = lsn
        self.port.send(RepairDone(self.number, lsn))

    # -- fingerprints

    def told(self, lsn: int, fingerprint: bytes) -> None:
        """The sender, idle, says what its documents come to at our cursor."""
        if self._look.theirs != (lsn, fingerprint):
            self._look.theirs = (lsn, fingerprint)
            self._look.seen = 0

    def committed(self, lsn: int) -> None:
        """Something became durable here: what was seen of fingerprints may not hold any more."""
        self._own_lsn = lsn
        self._look.seen = 0
        self._look.ours = None

    def look(self) -> None:
        """Compare fingerprints if both sides say that they are in sync."""
        look = self._look
        is_quiet = self.state is State.STREAMING and not self._batches and not look.is_asking
        if not is_quiet or look.theirs is None or look.theirs[0] != self._position:
            return
        if look.ours is not None:
            self._judge()
            return
        look.is_asking = True
        generation = self._generation
        request = ReadChanges(scope=self.scope, after=self._own_lsn)
        self.port.ask(request, lambda answer: self._have_looked(generation, answer))

    def _have_looked(self, generation: int, answer: Answer) -> None:
        self._look.is_asking = False
        if generation != self._generation or not isinstance(answer, Changes):
            return
        if answer.fingerprint is not None and not answer.items:
            self._look.ours = (answer.lsn, answer.fingerprint)
            self._judge()

    def _judge(self) -> None:
        look = self._look
        assert look.ours is not None and look.theirs is not None
        pair = (look.ours[1], look.theirs[1])
        if pair[0] == pair[1]:
            look.settled = None
            return
        look.seen += 1
        if look.seen < PATIENT_LOOKS or pair == look.settled:
            return
        if self.port.now - self._repaired_at >= REPAIR_PAUSE_SECONDS:
            # If this pair shows again after the repair, we rightly have more than the sender.
            look.settled = pair
            self._begin_repair()
