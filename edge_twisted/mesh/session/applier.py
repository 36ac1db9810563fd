# SPDX-License-Identifier: Apache-2.0
"""
Applying what came from a peer: batches for their queue, and single documents beside it.

Whatever came of it, the streams to the peer hear of it first: which versions the peer has now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import define, evolve, field

from edge_twisted.documents.versions import Replica, VersionVector
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import Applied, ApplyBatch, Lacking, Scope
from edge_twisted.mesh.wire.items import Whole
from edge_twisted.mesh.wire.violations import PeerViolation


class ApplyingStream(Protocol):
    """An incoming stream, as `Applier` sees it."""

    number: int | None
    scope: Scope
    #: How often EVICT had dropped the cursors of the collection, when the cursor was found.
    evictions: int

    def have_applied(self, applied: Applied) -> None:
        """Tell the peer what became of its documents; `applied` is the database's answer."""

    def doubted(self) -> None:
        """Note that documents of the sender were not taken, as they may have been deleted here."""

    def apply_begins(self) -> int:
        """Return the number of an `ApplyBatch` that is about to be asked for."""

    def apply_ends(self, number: int) -> None:
        """Note that the `ApplyBatch` of this number is done."""


@define(eq=False)
class Applier:
    """
    Asks for `ApplyBatch`, and tells the stream what became of it.

    :ivar age: counts new subscriptions of the peer: it may have evicted what it sent before one.
    """

    port: Port
    age: int = 0
    _is_stopped: bool = False

    def apply(
        self,
        stream: ApplyingStream,
        request: ApplyBatch,
        age: int,
        then: Callable[[Applied | Lacking], None],
    ) -> None:
        """Have the database apply a request; then call `then` with the answer.

        `then` is not called if all was stopped meanwhile.  `age` is what `self.age` was when the
        documents came: if the peer has subscribed anew since, it may lack them, so none is taken
        for an echo.
        """
        number = stream.apply_begins()
        request = evolve(request, declared=self.port.declared)

        def applied(answer: Applied | Lacking) -> None:
            if isinstance(answer, Applied):
                if self._is_stopped or age != self.age:
                    answer = evolve(answer, echoes=())
                stream.have_applied(answer)
            stream.apply_ends(number)
            if not self._is_stopped:
                then(answer)

        self.port.ask(request, applied)

    def stop(self) -> None:
        """Stop calling back: answers that are still to come are ignored."""
        self._is_stopped = True


class MovingStream(ApplyingStream, Protocol):
    """An incoming stream, as `StreamApplier` sees it."""

    position: int | None
    newest_lsn: int
    #: Whether the cursor is not in the database; see `batch_queue.BatchStream`.
    is_provisional: bool
    vouched: VersionVector | None

    def have_moved(self, lsn: int, caught_up: bool) -> None:
        """Follow the sender from the new cursor, `lsn`; `caught_up`: that is all it has."""

    def cursor_lost(self) -> None:
        """Find the cursor and subscribe anew: the database has another one than the stream."""


@define(eq=False)
class StreamApplier:
    """Applies, for one stream, what does not come in batches: offers, and what a repair brings."""

    port: Port
    stream: MovingStream
    sender: Replica
    _applier: Applier = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._applier = Applier(self.port)

    def apply_aside(self, items: tuple[Whole, ...], then: Callable[[], None]) -> None:
        """Apply whole documents without moving the cursor, then call `then`."""

        def applied(answer: Applied | Lacking) -> None:
            if isinstance(answer, Lacking):
                raise PeerViolation("a document that was to be whole is not")
            if answer.doubtful:
                self.stream.doubted()
            then()

        self._apply(items, None, None, applied)

    def move(self, lsn: int, knowledge: VersionVector | None) -> None:
        """Set the cursor after a repair; `have_moved` or `cursor_lost` of the stream follows."""
        stream = self.stream

        def applied(answer: Applied | Lacking) -> None:
            if isinstance(answer, Lacking) or answer.unmoved:
                stream.cursor_lost()
                return
            stream.position = stream.newest_lsn = lsn
            stream.have_moved(lsn, False)

        self._apply((), lsn, knowledge, applied)

    def _apply(
        self,
        items: tuple[Whole, ...],
        lsn: int | None,
        knowledge: VersionVector | None,
        then: Callable[[Applied | Lacking], None],
    ) -> None:
        stream = self.stream
        request = ApplyBatch(
            scope=stream.scope,
            sender=self.sender,
            items=items,
            lsn=lsn,
            after=stream.position,
            evictions=stream.evictions,
            knowledge=knowledge,
            base=knowledge,
            vouched=stream.vouched,
        )
        self._applier.apply(stream, request, self._applier.age, then)

    def forget_echoes(self) -> None:
        """Take no more echoes of what came until now: the peer may have evicted it."""
        self._applier.age += 1

    def stop(self) -> None:
        """Stop calling the stream, which begins anew."""
        self._applier.stop()
