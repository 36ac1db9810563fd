# SPDX-License-Identifier: Apache-2.0
"""
Batches at their receiver: applied one after the other, each whole, acknowledged once on disk.

A batch whose deltas have nothing to build on, or that only announces, lacks documents.  They are
asked for, and the batch is applied with them; those that another link is pulling are waited for.
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
from edge_twisted.mesh.wire.items import Announced, Item, Left, Whole
from edge_twisted.mesh.wire.messages import Ack, Batch, Supply, Want
from edge_twisted.mesh.wire.values import read_items, read_vector, read_wholes
from edge_twisted.mesh.wire.violations import PeerViolation

#: Documents in one WANT.
WANT_AT_ONCE: Final = 256


class WindowAccount(Protocol):
    """The window that we named to the peer."""

    def take(self, size: int) -> None:
        """
        Count what came.

        :raises PeerViolation: it is more than the window.
        """

    def give_back(self, size: int) -> None:
        """Count what was acknowledged or dropped."""


class BatchStream(Protocol):
    """The stream, as the queue of its batches sees it."""

    def have_applied(self, applied: Applied) -> None:
        """Say to the peer what it should hear of its documents."""

    def have_moved(self, lsn: int, caught_up: bool) -> None:
        """The cursor moved."""

    def cursor_lost(self) -> None:
        """The cursor here is not where the stream left it."""

    def apply_begins(self) -> int:
        """Number an `ApplyBatch` that is about to be asked for."""

    def apply_ends(self, number: int) -> None:
        """It is done."""


@define(eq=False)
class _Waiting:
    """A batch that is to be applied."""

    message: Batch
    size: int
    items: tuple[Item, ...]
    #: `BatchQueue.forget_echoes` calls before it came.
    age: int
    #: Digests that this batch claimed in `Pulls`.
    claimed: set[int] = field(factory=set)
    #: Whether everything that was sent is among `items`, or not there any more.
    is_complete: bool = True

    def replace(self, wanted: frozenset[bytes], whole: dict[bytes, Whole]) -> None:
        """Put whole documents in place; leave out what was wanted and is not there any more."""
        self.is_complete = self.is_complete and wanted <= whole.keys()
        self.items = tuple(
            whole.get(item.id_key, item)
            for item in self.items
            if item.id_key in whole or item.id_key not in wanted
        )


@define(eq=False)
class BatchQueue:
    """The queue of one stream's batches."""

    port: Port
    stream: BatchStream
    credit: WindowAccount
    pulls: Pulls
    number: int
    scope: Scope
    sender: Replica
    #: The cursor as the database has it.
    position: int | None
    _taken: int = field(init=False)
    _batches: deque[_Waiting] = field(factory=deque)
    _is_applying: bool = False
    #: What was asked for and has not come, what goes out with the next WANT, what has come.
    _asked: tuple[bytes, ...] = ()
    _to_ask: tuple[bytes, ...] = ()
    _supplied: dict[bytes, Whole] = field(factory=dict)
    _wanted: frozenset[bytes] = frozenset()
    #: Others pull something: try again when something has come.
    _waits_for_others: bool = False
    _is_over: bool = False
    #: Counts subscriptions of the peer's: what it sent before one it need not have any more.
    _age: int = 0

    def __attrs_post_init__(self) -> None:
        self._taken = self.position or 0

    # -- batches

    def take(self, message: Batch, size: int) -> None:
        """
        Take a batch of so many bytes.

        :raises PeerViolation: it goes back, or is more than the window.
        """
        if message.lsn < self._taken or (message.is_part and message.caught_up):
            raise PeerViolation("a batch that goes back, or ends before its commit does")
        self.credit.take(size)
        self._taken = message.lsn
        self._batches.append(_Waiting(message, size, read_items(message.items), self._age))
        self._next()

    def forget_echoes(self) -> None:
        """The peer subscribed anew: it may have evicted what it sent until now."""
        self._age += 1

    @property
    def is_empty(self) -> bool:
        """Whether everything that came is applied."""
        return not self._batches

    def stop(self) -> None:
        """Drop what waits: another beginning follows."""
        self._is_over = True
        for batch in self._batches:
            self.credit.give_back(batch.size)
            self.pulls.release(self, batch.claimed)
        self._batches.clear()

    def _next(self) -> None:
        if self._is_applying or self._wanted or self._waits_for_others or not self._batches:
            return
        first = self._batches[0]
        message = first.message
        knowledge = None if message.knowledge is None else read_vector(message.knowledge)
        if not first.items and knowledge is None and message.lsn == self.position:
            self._finish(first)
            return
        self._is_applying = True
        self._apply(
            first.items,
            None if message.is_part else message.lsn,
            # What the sender evicted meanwhile it had when it told what it knows: we never will,
            # and must not take it for deleted.
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
        )

        def applied(answer: Answer) -> None:
            assert isinstance(answer, Applied | Lacking)
            if isinstance(answer, Applied):
                if self._is_over or age != self._age:
                    answer = evolve(answer, echoes=())
                self.stream.have_applied(answer)
            self.stream.apply_ends(number)
            if not self._is_over:
                then(answer)

        self.port.ask(request, applied)

    def _have_applied(self, answer: Applied | Lacking) -> None:
        self._is_applying = False
        first = self._batches[0]
        if isinstance(answer, Lacking):
            self._lack(first, answer.id_keys)
        elif first.message.is_part or answer.moved:
            self._finish(first)
        else:
            self.stream.cursor_lost()

    def _finish(self, first: _Waiting) -> None:
        message = first.message
        self._batches.popleft()
        self.credit.give_back(first.size)
        self.pulls.release(self, first.claimed)
        self.port.send(Ack(self.number, message.lsn))
        if not message.is_part:
            self.position = message.lsn
            self.stream.have_moved(message.lsn, message.caught_up)
        if not self._is_over:
            self._next()

    # -- what a batch lacks

    def _lack(self, first: _Waiting, id_keys: tuple[bytes, ...]) -> None:
        digests = {i.id_key: i.digest for i in first.items if isinstance(i, Announced | Left)}
        ours = []
        for id_key in id_keys:
            digest = digests.get(id_key)
            if digest is None:
                ours.append(id_key)
            elif self.pulls.claim(self, digest, self.port.now):
                first.claimed.add(digest)
                ours.append(id_key)
        self._waits_for_others = len(ours) < len(id_keys)
        if ours:
            self._wanted = frozenset(ours)
            self._to_ask = tuple(ours)
            self._ask()

    def _ask(self) -> None:
        self._asked, self._to_ask = self._to_ask[:WANT_AT_ONCE], self._to_ask[WANT_AT_ONCE:]
        self.port.send(Want(self.number, list(self._asked)))

    def supplied(self, message: Supply) -> None:
        """
        Take documents that the first batch lacked; once they are complete, try it again.

        :raises PeerViolation: nobody asked for them.
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
        if self._waits_for_others:
            self._share(first, tuple(supplied.values()))
        else:
            self._next()

    def _share(self, first: _Waiting, whole: tuple[Whole, ...]) -> None:
        """
        Apply what came at once: others may wait for it, while we wait for what they pull.

        Only then do the documents of a commit show one after the other.
        """

        def applied(_: Applied | Lacking) -> None:
            self.pulls.release(self, first.claimed)
            first.claimed.clear()
            self._waits_for_others = self._is_applying = False
            self._next()

        self._is_applying = True
        self._apply(whole, None, None, first.age, applied)

    def try_again(self) -> None:
        """Something came over another link, or time has passed."""
        if self._waits_for_others and not self._wanted and not self._is_applying:
            self._waits_for_others = False
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
            self.position = self._taken = lsn
            self.stream.have_moved(lsn, False)

        self._apply((), lsn, knowledge, self._age, applied)

    def rewind(self) -> None:
        """The sender streams from its beginning next, whatever the cursor here is."""
        self._taken = 0
