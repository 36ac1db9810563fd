# SPDX-License-Identifier: Apache-2.0
"""The sender's side of a repair: it answers what the receiver asks (`repair_receiver`)."""

from __future__ import annotations

from typing import Protocol, cast

from attrs import define

from edge_twisted.mesh.items import Seen, Whole
from edge_twisted.mesh.messages import (
    Closed,
    Gone,
    RepairAnswer,
    RepairCells,
    RepairFates,
    RepairHave,
    RepairItems,
    RepairPull,
    RepairSummary,
    read_seen,
    write_items,
    write_seen,
    write_vector,
)
from edge_twisted.mesh.port import Port
from edge_twisted.mesh.reconciliation.sketch import Sketch
from edge_twisted.mesh.reconciliation.source import CellSource
from edge_twisted.mesh.repair_steps import answering, sketching
from edge_twisted.mesh.requests import (
    Answer,
    Digests,
    Fates,
    FindGone,
    ReadDigests,
    ReadDocuments,
    Scope,
    ScopeClosed,
)
from edge_twisted.mesh.violations import PeerViolation


class Offers(Protocol):
    """The stream, as its repair needs it."""

    def offer(self, id_keys: tuple[bytes, ...]) -> None:
        """Send documents out of the stream's order."""


@define(eq=False)
class RepairSender:
    """Answers one repair after the other; one question at a time, as the receiver asks."""

    port: Port
    stream: Offers
    number: int
    scope: Scope
    _salt: bytes = b""
    _source: CellSource | None = None
    _is_busy: bool = False

    def begin(self, salt: bytes) -> None:
        """Take the digests as of now, and sum them up."""
        self._salt = salt
        self._source = None
        self._start()
        self.port.ask(
            ReadDigests(scope=self.scope, for_peer=True), lambda answer: self._read(salt, answer)
        )

    def _read(self, salt: bytes, answer: Answer) -> None:
        if salt != self._salt:
            return
        if isinstance(answer, ScopeClosed):
            self._is_busy = False
            self.port.send(Closed(self.number, "the collection's sync scope is closed"))
            return
        digests = cast(Digests, answer)

        def sketched(sketch: Sketch) -> None:
            if salt != self._salt:
                return
            self._is_busy = False
            self._source = CellSource(sketch)
            self.port.send(
                RepairSummary(
                    self.number,
                    digests.lsn,
                    sketch.summary.encoded(),
                    write_vector(digests.knowledge),
                )
            )

        self.port.compute(sketching(digests.values, salt), sketched)

    def take(self, message: RepairCells | RepairPull | RepairHave) -> None:
        """
        Answer a question.

        :raises PeerViolation: another one waits, or it cannot be asked now.
        """
        self._start()
        match message:
            case RepairCells(request=request):
                self._cells(request)
            case RepairPull(digests=digests):
                self._pull(tuple(digests))
            case RepairHave(seen=seen):
                self._have(read_seen(seen))

    def end(self) -> None:
        """The receiver is done."""
        self._salt = b""
        self._source = None
        self._is_busy = False

    # -- inner

    def _start(self) -> None:
        if self._is_busy:
            raise PeerViolation("a question in a repair before the answer to the last")
        self._is_busy = True

    def _cells(self, request: bytes) -> None:
        if self._source is None:
            raise PeerViolation("cells asked for before the summary")

        def summed(cells: bytes) -> None:
            self._is_busy = False
            self.port.send(RepairAnswer(self.number, cells))

        self.port.compute(answering(self._source, request), summed)

    def _pull(self, digests: tuple[int, ...]) -> None:
        def read(answer: Answer) -> None:
            self._is_busy = False
            self.port.send(RepairItems(self.number, write_items(cast(tuple[Whole, ...], answer))))

        self.port.ask(ReadDocuments(scope=self.scope, digests=digests), read)

    def _have(self, seen: tuple[Seen, ...]) -> None:
        def found(answer: Answer) -> None:
            self._is_busy = False
            fates = cast(Fates, answer)
            if fates.gone:
                self.port.send(Gone(self.number, False, write_seen(fates.gone)))
            self.stream.offer(fates.moved_out)
            self.port.send(RepairFates(self.number))

        self.port.ask(FindGone(scope=self.scope, seen=seen), found)
