# SPDX-License-Identifier: Apache-2.0
"""
The queue of batches at the receiver of a stream.

Batches are applied one after the other, each in one transaction with the cursor, and acknowledged
once on disk.  A batch lacks documents if a delta has nothing to build on, or if it only announces
them.  The queue asks the sender for these with WANT, puts what SUPPLY brings in their place, and
applies the batch again.  Documents that another link is pulling already (`pulls`) are not asked for
here: the batch waits until something came over that link.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from attrs import define, evolve, field

from edge_twisted.documents.versions import Replica, VersionVector
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import Answer, Applied, ApplyBatch, Lacking, Scope
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.states import QUEUE, QueueEvent, QueueState
from edge_twisted.mesh.wire.items import Announced, Item, Left, Whole
from edge_twisted.mesh.wire.messages import Ack, Batch, Supply, Want
from edge_twisted.mesh.wire.state_machine import Machine
from edge_twisted.mesh.wire.values import read_items, read_vector, read_wholes
from edge_twisted.mesh.wire.violations import PeerViolation

#: Most documents in one WANT.
WANT_AT_ONCE: Final = 256


class WindowAccount(Protocol):
    """The window that this server named to the peer."""

    def take(self, size: int) -> None:
        """
        Count the bytes of a batch that came.

        :raises PeerViolation: they are more than the window.
        """

    def give_back(self, size: int) -> None:
        """Count the bytes of a batch that was acknowledged or dropped."""


class BatchStream(Protocol):
    """The incoming stream, as its queue sees it."""

    def have_applied(self, applied: Applied) -> None:
        """Tell the peer what became of its documents."""

    def have_moved(self, lsn: int, caught_up: bool) -> None:
        """Go on after the cursor moved to `lsn`."""

    def cursor_lost(self) -> None:
        """Begin anew: the cursor in the database is not where the stream left it."""

    def apply_begins(self) -> int:
        """Return the number of an `ApplyBatch` that is about to be asked for."""

    def apply_ends(self, number: int) -> None:
        """Note that the `ApplyBatch` of this number is done."""


@define(eq=False)
class _WaitingBatch:
    """A batch that waits to be applied, or is being applied."""

    message: Batch
    size: int
    items: tuple[Item, ...]
    #: How often `BatchQueue.forget_echoes` was called before the batch came.
    age: int
    #: Digests that this batch claimed in `Pulls`.
    claimed: set[int] = field(factory=set)
    #: False once the sender could not supply a document that the batch names.
    is_complete: bool = True

    def replace(self, wanted: frozenset[bytes], whole: dict[bytes, Whole]) -> None:
        """Put whole documents in place; leave out wanted ones that the sender has no more."""
        self.is_complete = self.is_complete and wanted <= whole.keys()
        self.items = tuple(
            whole.get(item.id_key, item)
            for item in self.items
            if item.id_key in whole or item.id_key not in wanted
        )


@define(eq=False)
class BatchQueue:
    """Applies and acknowledges the batches of one stream; see the head of this module."""

    port: Port
    stream: BatchStream
    credit: WindowAccount
    pulls: Pulls
    number: int
    scope: Scope
    sender: Replica
    #: The cursor in the database, None if there is none.
    position: int | None
    _newest_lsn: int = field(init=False)
    _batches: deque[_WaitingBatch] = field(factory=deque)
    _machine: Machine[QueueState] = field(
        init=False, factory=lambda: Machine(QUEUE, QueueState.READY)
    )
    #: Id keys in the WANT that runs, those for the next WANT, and documents that have come.
    _asked: tuple[bytes, ...] = ()
    _to_ask: tuple[bytes, ...] = ()
    _supplied: dict[bytes, Whole] = field(factory=dict)
    _wanted: frozenset[bytes] = frozenset()
    #: Counts new subscriptions of the peer: it may have evicted what it sent before one.
    _age: int = 0

    def __attrs_post_init__(self) -> None:
        self._newest_lsn = self.position or 0

    # -- batches

    def take(self, message: Batch, size: int) -> None:
        """
        Queue a batch of `size` bytes.

        :raises PeerViolation: its lsn goes back, or it is more than the window.
        """
        if message.lsn < self._newest_lsn or (message.is_part and message.caught_up):
            raise PeerViolation("a batch that goes back, or ends before its commit does")
        self.credit.take(size)
        self._newest_lsn = message.lsn
        self._batches.append(_WaitingBatch(message, size, read_items(message.items), self._age))
        self._next()

    def forget_echoes(self) -> None:
        """Take no more echoes of batches that came until now: the peer may have evicted them."""
        self._age += 1

    @property
    def is_empty(self) -> bool:
        """Whether every batch that came is applied."""
        return not self._batches

    def stop(self) -> None:
        """Drop batches that wait, for good; the stream makes a new queue to begin anew."""
        self._machine.step(QueueEvent.STOPPED)
        for batch in self._batches:
            self.credit.give_back(batch.size)
            self.pulls.release(self, batch.claimed)
        self._batches.clear()

    @property
    def _is_stopped(self) -> bool:
        return self._machine.state is QueueState.STOPPED

    def _next(self) -> None:
        if self._machine.state is not QueueState.READY or not self._batches:
            return
        first = self._batches[0]
        message = first.message
        knowledge = None if message.knowledge is None else read_vector(message.knowledge)
        if not first.items and knowledge is None and message.lsn == self.position:
            self._finish(first)
            return
        self._machine.step(QueueEvent.APPLIES)
        self._apply(
            first.items,
            None if message.is_part else message.lsn,
            # A document that the sender evicted after it told its knowledge will never come.  With
            # that knowledge, this server would take the document for deleted.
            knowledge if message.caught_up and first.is_complete else None,
            first.age,
            self._have_applied,
        )

    def _apply(
        self,
        items: tuple[Item, ...],
        lsn: int | None,
        knowledge: VersionVector | None,
        age: int,
        then: Callable[[Applied | Lacking], None],
    ) -> None:
        number = self.stream.apply_begins()
        request = ApplyBatch(
            scope=self.scope,
            sender=self.sender,
            items=items,
            lsn=lsn,
            after=self.position,
            knowledge=knowledge,
            declared=self.port.declared,
        )

        def applied(answer: Answer) -> None:
            assert isinstance(answer, Applied | Lacking)
            if isinstance(answer, Applied):
                if self._is_stopped or age != self._age:
                    answer = evolve(answer, echoes=())
                self.stream.have_applied(answer)
            self.stream.apply_ends(number)
            if not self._is_stopped:
                then(answer)

        self.port.ask(request, applied)

    def _have_applied(self, answer: Applied | Lacking) -> None:
        first = self._batches[0]
        if isinstance(answer, Lacking):
            self._lack(first, answer.id_keys)
            return
        self._machine.step(QueueEvent.APPLIED)
        if first.message.is_part or answer.moved:
            self._finish(first)
        else:
            self.stream.cursor_lost()

    def _finish(self, first: _WaitingBatch) -> None:
        message = first.message
        self._batches.popleft()
        self.credit.give_back(first.size)
        self.pulls.release(self, first.claimed)
        self.port.send(Ack(self.number, message.lsn))
        if not message.is_part:
            self.position = message.lsn
            self.stream.have_moved(message.lsn, message.caught_up)
        if not self._is_stopped:
            self._next()

    # -- what a batch lacks

    def _lack(self, first: _WaitingBatch, id_keys: tuple[bytes, ...]) -> None:
        digests = {i.id_key: i.digest for i in first.items if isinstance(i, Announced | Left)}
        ours = []
        for id_key in id_keys:
            digest = digests.get(id_key)
            if digest is None:
                ours.append(id_key)
            elif self.pulls.claim(self, digest, self.port.now):
                first.claimed.add(digest)
                ours.append(id_key)
        is_pulled = len(ours) < len(id_keys)
        if not ours:
            self._machine.step(QueueEvent.LACKS_ONLY_PULLED)
        else:
            self._machine.step(QueueEvent.LACKS_PULLED if is_pulled else QueueEvent.LACKS)
            self._wanted = frozenset(ours)
            self._to_ask = tuple(ours)
            self._ask()

    def _ask(self) -> None:
        self._asked, self._to_ask = self._to_ask[:WANT_AT_ONCE], self._to_ask[WANT_AT_ONCE:]
        self.port.send(Want(self.number, list(self._asked)))

    def supplied(self, message: Supply) -> None:
        """
        Take documents that the first batch lacked; once all have come, apply it again.

        :raises PeerViolation: they were not asked for.
        """
        whole = {each.id_key: each for each in read_wholes(message.items)}
        if not self._asked or not whole.keys() <= self._wanted:
            raise PeerViolation("documents that nobody asked for")
        self._supplied.update(whole)
        if message.more:
            return
        self._asked = ()
        if self._to_ask:
            self._ask()
            return
        first, supplied = self._batches[0], self._supplied
        first.replace(self._wanted, supplied)
        self._wanted, self._supplied = frozenset(), {}
        self._machine.step(QueueEvent.SUPPLIED)
        if self._machine.state is QueueState.APPLYING_PART:
            self._share(first, tuple(supplied.values()))
        else:
            self._next()

    def _share(self, first: _WaitingBatch, whole: tuple[Whole, ...]) -> None:
        """
        Apply at once what came, while the batch waits for what other links pull.

        Those links may wait for these documents in turn.  This is the only case in which the
        documents of one commit become visible one after the other.
        """

        def applied(_: Applied | Lacking) -> None:
            self.pulls.release(self, first.claimed)
            first.claimed.clear()
            self._machine.step(QueueEvent.APPLIED)
            self._next()

        self._apply(whole, None, None, first.age, applied)

    def try_again(self) -> None:
        """Apply the first batch again if it waits for other links."""
        if self._machine.state is QueueState.WAITING:
            self._machine.step(QueueEvent.TRIES_AGAIN)
            self._next()

    # -- beside the stream

    def apply_aside(self, items: tuple[Whole, ...], then: Callable[[], None]) -> None:
        """Apply whole documents without moving the cursor."""

        def applied(answer: Applied | Lacking) -> None:
            if isinstance(answer, Lacking):
                raise PeerViolation("a document that was to be whole is not")
            then()

        self._apply(items, None, None, self._age, applied)

    def move(self, lsn: int, knowledge: VersionVector | None) -> None:
        """Set the cursor after a repair; `BatchStream.have_moved` or `cursor_lost` follows."""

        def applied(answer: Applied | Lacking) -> None:
            if isinstance(answer, Lacking) or not answer.moved:
                self.stream.cursor_lost()
                return
            self.position = self._newest_lsn = lsn
            self.stream.have_moved(lsn, False)

        self._apply((), lsn, knowledge, self._age, applied)

    def rewind(self) -> None:
        """Accept any lsn next, because the sender streams from its beginning."""
        self._newest_lsn = 0
