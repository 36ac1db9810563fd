# SPDX-License-Identifier: Apache-2.0
"""The sender's side of a repair: it answers the questions of `receiver`, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from attrs import define

from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import (
    Digests,
    Fates,
    FindGone,
    ReadDigests,
    ReadDocuments,
    Scope,
    ScopeClosed,
)
from edge_twisted.mesh.reconciliation.sketch import Sketch
from edge_twisted.mesh.reconciliation.source import CellSource
from edge_twisted.mesh.repair.steps import sketch_digests, sum_cells
from edge_twisted.mesh.repair.suppliers import READ_AT_ONCE, runs
from edge_twisted.mesh.wire.items import Seen, Whole
from edge_twisted.mesh.wire.messages import (
    Gone,
    Offer,
    RepairAnswer,
    RepairCells,
    RepairFates,
    RepairHave,
    RepairItems,
    RepairPull,
    RepairSummary,
)
from edge_twisted.mesh.wire.values import read_seen, write_seen, write_vector
from edge_twisted.mesh.wire.violations import PeerViolation

T = TypeVar("T")


class RepairedStream(Protocol):
    """The outgoing stream, as its repair needs it."""

    def scope_closed(self) -> None:
        """Stop the stream, because the collection may not be sent."""


@define(eq=False)
class RepairSender:
    """Answers the repairs of one stream, which follow one another."""

    port: Port
    stream: RepairedStream
    number: int
    scope: Scope
    _source: CellSource | None = None
    _is_busy: bool = False
    #: The salt of the REPAIR_BEGIN that is still to be answered, else None.
    _salt: bytes | None = None
    _is_sketching: bool = False
    #: How many digests may still be pulled: each of the set once.
    _to_pull: int = 0
    #: Counts beginnings and ends: answers to older questions are ignored.
    _generation: int = 0

    def begin(self, salt: bytes) -> None:
        """Send the summary of the set of digests as of now; questions asked before are void.

        `salt` is the 16 bytes that the receiver chose.
        """
        self.end()
        self._is_busy = True
        self._salt = salt
        if not self._is_sketching:
            self._sketch(salt)

    def _sketch(self, salt: bytes) -> None:
        """Read and sketch the digests, once at a time however often the peer begins anew."""
        generation = self._generation
        self._is_sketching = True

        def is_current() -> bool:
            if generation == self._generation:
                return True
            self._is_sketching = False
            if self._salt is not None:
                self._sketch(self._salt)
            return False

        def read(answer: Digests | ScopeClosed) -> None:
            if not is_current():
                return
            if isinstance(answer, ScopeClosed):
                self._is_sketching = False
                self._close()
                return
            steps = sketch_digests(answer.values, salt)
            self.port.compute(steps, lambda sketch: sketched(answer, sketch))

        def sketched(digests: Digests, sketch: Sketch) -> None:
            if is_current():
                self._is_sketching = False
                self._sum_up(digests, sketch)

        self.port.ask_in_turn(ReadDigests(scope=self.scope, for_peer=True), read)

    def take(self, message: RepairCells | RepairPull | RepairHave) -> None:
        """Answer a question of the receiver.

        :raises PeerViolation: the answer to the last one is not complete, or it asks too much: end
            the link.
        """
        if self._is_busy:
            raise PeerViolation("a question in a repair before the answer to the last")
        self._is_busy = True
        match message:
            case RepairCells(request=request):
                self._cells(request)
            case RepairPull(digests=digests):
                self._to_pull -= len(digests)
                if self._to_pull < 0:
                    raise PeerViolation("more documents pulled than there are")
                self._pull(tuple(digests))
            case RepairHave(seen=seen):
                self._have(read_seen(seen))

    def end(self) -> None:
        """Forget the repair, because the receiver is done or gone."""
        self._generation += 1
        self._source = None
        self._salt = None
        self._is_busy = False

    # -- inner

    def _close(self) -> None:
        """Stop: an answer without documents would say that there are none."""
        self.end()
        self.stream.scope_closed()

    def _current(self, then: Callable[[T], None]) -> Callable[[T], None]:
        """Return a function that calls `then`, but not after a new beginning or an end."""
        generation = self._generation

        def check(value: T) -> None:
            if generation == self._generation:
                then(value)

        return check

    def _sum_up(self, digests: Digests, sketch: Sketch) -> None:
        self._is_busy = False
        self._salt = None
        self._source = CellSource(sketch)
        self._to_pull = len(digests.values)
        known = None if digests.knowledge is None else write_vector(digests.knowledge)
        summary = sketch.summary.encoded()
        vouched = None if digests.vouched is None else write_vector(digests.vouched)
        message = RepairSummary(self.number, digests.lsn, summary, known, vouched, digests.forgets)
        self.port.send(message)

    def _cells(self, request: bytes) -> None:
        if self._source is None:
            raise PeerViolation("cells asked for before the summary")

        def summed(cells: bytes) -> None:
            self._is_busy = False
            self.port.send(RepairAnswer(self.number, cells))

        self.port.compute(sum_cells(self._source, request), self._current(summed))

    def _pull(self, digests: tuple[int, ...]) -> None:
        some, rest = digests[:READ_AT_ONCE], digests[READ_AT_ONCE:]

        def read(answer: tuple[Whole, ...] | ScopeClosed) -> None:
            if isinstance(answer, ScopeClosed):
                self._close()
                return
            found = list(runs(answer))
            for at, run in enumerate(found, 1):
                more = bool(rest) or at < len(found)
                self.port.send(RepairItems(self.number, list(run), more))
            if rest:
                self._pull(rest)
            else:
                self._is_busy = False

        self.port.ask_in_turn(ReadDocuments(scope=self.scope, digests=some), self._current(read))

    def _have(self, seen: tuple[Seen, ...]) -> None:
        def found(answer: Fates | ScopeClosed) -> None:
            if isinstance(answer, ScopeClosed):
                self._close()
                return
            for written in write_seen(answer.gone):
                self.port.send(Gone(self.number, False, written))
            self._offer(answer.moved_out, answer.is_unsure)

        self.port.ask_in_turn(FindGone(scope=self.scope, seen=seen), self._current(found))

    def _offer(self, id_keys: tuple[bytes, ...], is_unsure: bool) -> None:
        """
        Send documents that have left the scope, some at a time, and then REPAIR_FATES.

        The receiver moves its cursor after that: what came later would be lost with the link.
        """
        if not id_keys:
            self._is_busy = False
            self.port.send(RepairFates(self.number, is_unsure))
            return
        some, rest = id_keys[:READ_AT_ONCE], id_keys[READ_AT_ONCE:]

        def read(answer: tuple[Whole, ...] | ScopeClosed) -> None:
            if isinstance(answer, ScopeClosed):
                self._close()
                return
            for run in runs(answer):
                if run:
                    self.port.send(Offer(self.number, list(run)))
            self._offer(rest, is_unsure)

        self.port.ask_in_turn(ReadDocuments(scope=self.scope, id_keys=some), self._current(read))
