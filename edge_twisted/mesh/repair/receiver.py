# SPDX-License-Identifier: Apache-2.0
"""
The receiver's side of a repair: find out what only one side has, pull, ask, and move on.

    REPAIR_BEGIN ->               both take their digests under one salt
    <- REPAIR_SUMMARY
    REPAIR_CELLS -> <- REPAIR_ANSWER ...      until the difference is known
    REPAIR_PULL -> <- REPAIR_ITEMS ...        what only the sender has
    REPAIR_HAVE -> <- GONE, REPAIR_FATES, OFFER ...   what only we have
    REPAIR_DONE ->                stream on from the lsn of the summary

Where the sets differ by too much, the sender streams everything instead, and only the last
question is asked, beside the stream.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Protocol, cast

from attrs import define, field, frozen

from edge_twisted.documents.versions import VersionVector
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import Answer, Digests, FindSeen, ReadDigests, Scope
from edge_twisted.mesh.reconciliation.peeler import Decoded, NeedMore, Peeler, Verdict
from edge_twisted.mesh.reconciliation.sketch import Sketch
from edge_twisted.mesh.reconciliation.wire import Summary
from edge_twisted.mesh.repair.states import REPAIR, RepairEvent, RepairState
from edge_twisted.mesh.repair.steps import peeling, sketching
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

#: Documents that are pulled, or asked about, at a time.
CHUNK: Final = 512


class RepairOutcome(Enum):
    """How a repair can end without a new cursor."""

    #: Streaming everything is cheaper than reconciling; ask after what only we have then.
    TOO_DIFFERENT = "too different"
    #: The sender said what became of all that only we had.
    FATES_KNOWN = "fates known"


@frozen
class Reconciled:
    """
    We have all that the sender had at `lsn`, but what changed since; `knowledge` if nothing did.
    """

    lsn: int
    knowledge: VersionVector | None


class AsideApplier(Protocol):
    """The stream, as its repair needs it."""

    def apply_aside(self, items: tuple[Whole, ...], then: Callable[[], None]) -> None:
        """Apply whole documents without moving the cursor."""


@define(eq=False)
class RepairReceiver:
    """One repair; see the head of this module."""

    port: Port
    stream: AsideApplier
    number: int
    scope: Scope
    salt: bytes
    #: Gets how it ended, and whether it brought anything.
    done: Callable[[RepairOutcome | Reconciled, bool], None]
    _sketch: Sketch | None = None
    _summary: RepairSummary | None = None
    _peeler: Peeler | None = None
    _pull: list[int] = field(factory=list)
    _have: Sequence[int] = ()
    #: Of these, those that were looked up, and those that were still there.
    _asked: int = 0
    _found: int = 0
    _to_send: deque[list[WireSeen]] = field(factory=deque)
    _applying: int = 0
    _brought: bool = False
    #: Documents that were pulled and have not come: they changed since, and the stream brings them.
    _missing: int = 0
    _machine: Machine[RepairState] = field(
        init=False, factory=lambda: Machine(REPAIR, RepairState.WORKING)
    )

    # -- ours

    def begin(self) -> None:
        """Begin with a summary of both sets."""
        self._machine.step(RepairEvent.BEGUN)
        self.port.send(RepairBegin(self.number, self.salt))
        self._read_digests(self._sketch_ours)

    def ask_after_all(self) -> None:
        """Skip reconciling: ask about everything that we have, for the sender streamed its all."""
        self._read_digests(self._ask_after)

    def abandon(self) -> None:
        """Do nothing more: the stream begins anew."""
        self._machine.step(RepairEvent.ENDED)

    @property
    def _is_over(self) -> bool:
        return self._machine.state is RepairState.OVER

    def _read_digests(self, then: Callable[[array[int]], None]) -> None:
        request = ReadDigests(scope=self.scope, for_peer=False)
        self._ask(request, lambda answer: then(cast(Digests, answer).values))

    def _ask(self, request: ReadDigests | FindSeen, then: Callable[[Answer], None]) -> None:
        self.port.ask(request, lambda answer: None if self._is_over else then(answer))

    def _sketch_ours(self, values: array[int]) -> None:
        def sketched(sketch: Sketch) -> None:
            if not self._is_over:
                self._sketch = sketch
                self._compare()

        self.port.compute(sketching(values, self.salt), sketched)

    # -- theirs

    def take(self, message: RepairSummary | RepairAnswer | RepairItems | RepairFates) -> None:
        """
        Take an answer of the sender's.

        :raises PeerViolation: it is not what the repair waits for.
        """
        if not self._machine.step(type(message)):
            return
        match message:
            case RepairSummary():
                self._summary = message
                self._compare()
            case RepairAnswer(cells=cells):
                assert self._peeler is not None
                self.port.compute(peeling(self._peeler, cells), self._judged)
            case RepairItems(items=items, more=more):
                if not more:
                    self._machine.step(RepairEvent.ITEMS_COMPLETE)
                self._apply(read_wholes(items))
            case RepairFates():
                self._send_next()

    def _apply(self, items: tuple[Whole, ...]) -> None:
        self._brought = self._brought or bool(items)
        self._missing -= len(items)
        self._applying += 1
        self.stream.apply_aside(items, self._have_applied)

    def _have_applied(self) -> None:
        self._applying -= 1
        if not self._applying and self._machine.state is not RepairState.ITEMS:
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
                self._pull, self._have = list(only_there), only_here
                self._pull_next()
            case _:
                self._end(RepairOutcome.TOO_DIFFERENT)

    # -- what differs

    def _pull_next(self) -> None:
        if self._is_over:
            return
        if not self._pull:
            self._ask_next()
            return
        chunk, self._pull = self._pull[:CHUNK], self._pull[CHUNK:]
        self._missing += len(chunk)
        self._machine.step(RepairEvent.ITEMS_PULLED)
        self.port.send(RepairPull(self.number, chunk))

    def _ask_after(self, digests: Sequence[int]) -> None:
        self._have = digests
        self._ask_next()

    def _ask_next(self) -> None:
        if self._asked >= len(self._have):
            self._finish()
            return
        chunk = tuple(self._have[self._asked : self._asked + CHUNK])
        self._asked += len(chunk)
        self._ask(FindSeen(scope=self.scope, digests=chunk), self._have_found)

    @property
    def is_incomplete(self) -> bool:
        """Whether some of what only we had changed before the sender could be asked after it."""
        return self._found < self._asked

    def _have_found(self, answer: Answer) -> None:
        seen = cast(tuple[Seen, ...], answer)
        self._found += len(seen)
        self._to_send.extend(write_seen(seen))
        self._send_next()

    def _send_next(self) -> None:
        """Ask after what is known by now, as much as one message takes."""
        if not self._to_send:
            self._ask_next()
            return
        self._machine.step(RepairEvent.FATES_ASKED)
        self.port.send(RepairHave(self.number, self._to_send.popleft()))

    def _finish(self) -> None:
        if self._summary is None:
            self._end(RepairOutcome.FATES_KNOWN)
        else:
            # What changed since the summary has not come: to know its writes before it is here
            # would make it a document that was deleted.  The stream tells of them when it has.
            known = None if self._missing else self._summary.knowledge
            self._end(Reconciled(self._summary.lsn, None if known is None else read_vector(known)))

    def _end(self, outcome: RepairOutcome | Reconciled) -> None:
        self._machine.step(RepairEvent.ENDED)
        self.done(outcome, self._brought)
