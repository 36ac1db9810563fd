# SPDX-License-Identifier: Apache-2.0
"""
The receiver's side of a repair: find the difference, pull, ask, and stream on.

    REPAIR_BEGIN ->               both take their digests under one salt
    <- REPAIR_SUMMARY
    REPAIR_CELLS -> <- REPAIR_ANSWER ...      until the difference is known
    REPAIR_PULL -> <- REPAIR_ITEMS ...        what only the sender has
    REPAIR_HAVE -> <- GONE, OFFER ..., REPAIR_FATES   what only we have
    REPAIR_DONE ->                stream on from the lsn of the summary

Where the sets differ by too much, the sender streams everything instead.  Once the stream has
caught up, only the last question is asked, beside the stream (`ask_after_all`).  What the receiver
waits for is its state (`states.REPAIR`).

A server in transit also asks about documents that it dropped and that have not come with the pull:
one that has left the scope at the sender is in no set, and neighbours may still have it.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Protocol, TypeVar

from attrs import define, field, frozen

from edge_twisted.documents.versions import VersionVector
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import (
    Answer,
    Digests,
    FindDropped,
    FindSeen,
    Question,
    ReadDigests,
    Scope,
    ScopeClosed,
)
from edge_twisted.mesh.reconciliation.peeler import Decoded, NeedMore, Peeler, Verdict
from edge_twisted.mesh.reconciliation.sketch import Sketch
from edge_twisted.mesh.reconciliation.wire import Summary
from edge_twisted.mesh.repair.states import REPAIR, RepairEvent, RepairState
from edge_twisted.mesh.repair.steps import peel, sketch_digests
from edge_twisted.mesh.wire.items import Seen, Whole
from edge_twisted.mesh.wire.messages import (
    RepairAnswer,
    RepairBegin,
    RepairCells,
    RepairFates,
    RepairHave,
    RepairItems,
    RepairPull,
    RepairSummary,
    WireSeen,
)
from edge_twisted.mesh.wire.state_machine import Machine
from edge_twisted.mesh.wire.values import read_vector, read_wholes, write_seen

A = TypeVar("A", bound=Answer)

#: Documents that are pulled or asked about with one message.
CHUNK: Final = 512


class RepairOutcome(Enum):
    """How a repair ends without a new cursor."""

    #: Streaming everything is cheaper than reconciling; `ask_after_all` follows the stream.
    TOO_DIFFERENT = "too different"
    #: The sender said what became of all that only the receiver had.
    FATES_KNOWN = "fates known"


@frozen
class Reconciled:
    """
    The receiver has all that the sender had at `lsn` and has not changed since.

    `knowledge` is the sender's at `lsn`; None if documents changed while they were pulled.
    """

    lsn: int
    knowledge: VersionVector | None


class AsideApplier(Protocol):
    """The queue of the stream, as a repair needs it."""

    def apply_aside(self, items: tuple[Whole, ...], then: Callable[[], None]) -> None:
        """Apply whole documents without moving the cursor, then call `then`."""


@define(eq=False)
class RepairReceiver:
    """The receiver's side of one repair; see the head of this module."""

    port: Port
    stream: AsideApplier
    number: int
    scope: Scope
    salt: bytes
    #: Called at the end with the outcome, and whether the repair brought any document.
    done: Callable[[RepairOutcome | Reconciled, bool], None]
    _sketch: Sketch | None = None
    _summary: RepairSummary | None = None
    _peeler: Peeler | None = None
    _to_pull: list[int] = field(factory=list)
    #: Digests of documents that only the receiver has.
    _only_ours: Sequence[int] = ()
    #: The id key of the dropped document that was asked about last; None once there are no more.
    _dropped: bytes | None = b""
    #: How many of `_only_ours` were looked up, and how many of these were still here.
    _asked: int = 0
    _found: int = 0
    _to_send: deque[list[WireSeen]] = field(factory=deque)
    _applies: int = 0
    _brought: bool = False
    #: Documents that were pulled and did not come: they changed since, and the stream brings them.
    _missing: int = 0
    #: Whether the sender could not tell what became of some documents that only the receiver has.
    is_unsure: bool = False
    _machine: Machine[RepairState] = field(
        init=False, factory=lambda: Machine(REPAIR, RepairState.WORKING)
    )

    # -- the own side

    def begin(self) -> None:
        """Ask for the sender's summary, and sketch the own set meanwhile."""
        self._machine.step(RepairEvent.BEGUN)
        self.port.send(RepairBegin(self.number, self.salt))
        self._read_digests(self._sketch_ours)

    def ask_after_all(self) -> None:
        """Ask about every document here, after the sender has streamed everything."""
        self._read_digests(self._ask_after)

    def abandon(self) -> None:
        """End the repair without an outcome, because the stream begins anew."""
        self._machine.step(RepairEvent.ENDED)

    @property
    def _is_over(self) -> bool:
        return self._machine.state is RepairState.OVER

    def _read_digests(self, then: Callable[[array[int]], None]) -> None:
        request = ReadDigests(scope=self.scope, for_peer=False)

        def read(answer: Digests | ScopeClosed) -> None:
            assert isinstance(answer, Digests), "a scope is closed to peers only"
            then(answer.values)

        self._ask(request, read)

    def _ask(self, request: Question[A], then: Callable[[A], None]) -> None:
        self.port.ask(request, lambda answer: None if self._is_over else then(answer))

    def _sketch_ours(self, values: array[int]) -> None:
        def sketched(sketch: Sketch) -> None:
            if not self._is_over:
                self._sketch = sketch
                self._compare()

        self.port.compute(sketch_digests(values, self.salt), sketched)

    # -- the sender's answers

    def take(self, message: RepairSummary | RepairAnswer | RepairItems | RepairFates) -> None:
        """Take an answer of the sender.

        :raises PeerViolation: it is not the answer that the repair waits for; end the link.
        """
        if not self._machine.step(type(message)):
            return
        match message:
            case RepairSummary():
                self._summary = message
                self._compare()
            case RepairAnswer(cells=cells):
                assert self._peeler is not None
                self.port.compute(peel(self._peeler, cells), self._judged)
            case RepairItems(items=items, more=more):
                if not more:
                    self._machine.step(RepairEvent.ITEMS_COMPLETE)
                self._apply(read_wholes(items))
            case RepairFates(unsure=unsure):
                self.is_unsure = self.is_unsure or unsure
                self._send_next()

    def _apply(self, items: tuple[Whole, ...]) -> None:
        self._brought = self._brought or bool(items)
        self._missing -= len(items)
        self._applies += 1
        self.stream.apply_aside(items, self._have_applied)

    def _have_applied(self) -> None:
        self._applies -= 1
        if not self._applies and self._machine.state is not RepairState.ITEMS:
            self._pull_next()

    def _compare(self) -> None:
        if self._sketch is None or self._summary is None:
            return
        self._peeler = Peeler(self._sketch, Summary.decoded(self._summary.summary))
        self._sketch = None
        self._judged(self._peeler.verdict)

    def _judged(self, verdict: Verdict) -> None:
        if self._is_over:
            return
        match verdict:
            case NeedMore(request):
                self._machine.step(RepairEvent.CELLS_ASKED)
                self.port.send(RepairCells(self.number, request.encoded()))
            case Decoded(only_here, only_there):
                self._peeler = None
                self._to_pull, self._only_ours = list(only_there), only_here
                self._pull_next()
            case _:
                self._end(RepairOutcome.TOO_DIFFERENT)

    # -- what differs

    def _pull_next(self) -> None:
        if self._is_over:
            return
        if not self._to_pull:
            self._ask_next()
            return
        chunk, self._to_pull = self._to_pull[:CHUNK], self._to_pull[CHUNK:]
        self._missing += len(chunk)
        self._machine.step(RepairEvent.ITEMS_PULLED)
        self.port.send(RepairPull(self.number, chunk))

    def _ask_after(self, digests: Sequence[int]) -> None:
        self._only_ours = digests
        self._ask_next()

    def _ask_next(self) -> None:
        if self._asked >= len(self._only_ours):
            self._ask_after_dropped()
            return
        chunk = tuple(self._only_ours[self._asked : self._asked + CHUNK])
        self._asked += len(chunk)
        self._ask(FindSeen(scope=self.scope, digests=chunk), self._have_found)

    def _ask_after_dropped(self) -> None:
        """Ask about some dropped documents, if this is a repair of a scope in transit."""
        if self._dropped is None or self.scope.route is None or self._summary is None:
            self._finish()
            return
        request = FindDropped(scope=self.scope, after=self._dropped, limit=CHUNK)
        self._ask(request, self._have_found_dropped)

    def _have_found_dropped(self, seen: tuple[Seen, ...]) -> None:
        self._dropped = seen[-1].id_key if seen else None
        self._to_send.extend(write_seen(seen))
        self._send_next()

    @property
    def is_incomplete(self) -> bool:
        """Whether documents that only the receiver had changed before it could ask after them."""
        return self._found < self._asked

    def _have_found(self, seen: tuple[Seen, ...]) -> None:
        self._found += len(seen)
        self._to_send.extend(write_seen(seen))
        self._send_next()

    def _send_next(self) -> None:
        """Ask after documents that were looked up, as many as one message takes."""
        if not self._to_send:
            self._ask_next()
            return
        self._machine.step(RepairEvent.FATES_ASKED)
        self.port.send(RepairHave(self.number, self._to_send.popleft()))

    def _finish(self) -> None:
        if self._summary is None:
            self._end(RepairOutcome.FATES_KNOWN)
        else:
            # A document that changed since the summary has not come.  With the sender's knowledge
            # of its writes but without the document, this server would take it for deleted.  The
            # stream brings the knowledge once it has brought the document.
            known = None if self._missing else self._summary.knowledge
            self._end(Reconciled(self._summary.lsn, None if known is None else read_vector(known)))

    def _end(self, outcome: RepairOutcome | Reconciled) -> None:
        self._machine.step(RepairEvent.ENDED)
        self.done(outcome, self._brought)
