# SPDX-License-Identifier: Apache-2.0
"""Whole documents that a sender sends beside the stream: asked for with WANT, or offered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from attrs import define, field

from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import ReadDocuments, Scope, ScopeClosed
from edge_twisted.mesh.wire.items import Whole
from edge_twisted.mesh.wire.messages import Offer, Supply
from edge_twisted.mesh.wire.values import pieces
from edge_twisted.mesh.wire.violations import PeerViolation

#: Documents that are read with one request.
READ_AT_ONCE: Final = 32
#: Bytes of a message with several documents; a message with one may be larger.
MESSAGE_BYTES: Final = 1 << 20
#: Documents that wait to be offered; others are left to the next repair.
MAX_OFFERS: Final = 1024


def runs(documents: tuple[Whole, ...]) -> Iterator[Sequence[Whole]]:
    """Yield documents in runs that one message can carry; at least one run."""
    return pieces(documents, MESSAGE_BYTES)


@define(eq=False)
class Supplier:
    """
    Answers WANT, some documents at a time; one WANT at a time.

    :ivar closed: called if the collection may not be sent any more.  An answer without documents
        would say that they do not exist, and the receiver's cursor would pass them.
    """

    port: Port
    number: int
    scope: Scope
    closed: Callable[[], None]
    _waiting: tuple[bytes, ...] = ()
    _generation: int = 0
    _is_busy: bool = False

    def begin(self, id_keys: tuple[bytes, ...]) -> None:
        """Read and send the documents of these id keys, in SUPPLY messages.

        :raises PeerViolation: the answer to the last WANT is not complete; end the link.
        """
        if self._is_busy:
            raise PeerViolation("a WANT before the answer to the last")
        self._is_busy = True
        self._waiting = id_keys
        self._read()

    def stop(self) -> None:
        """Send nothing more of the answer, because the stream stopped."""
        self._generation += 1
        self._is_busy = False

    def _read(self) -> None:
        some, self._waiting = self._waiting[:READ_AT_ONCE], self._waiting[READ_AT_ONCE:]
        generation = self._generation
        request = ReadDocuments(scope=self.scope, id_keys=some)
        self.port.ask_in_turn(request, lambda answer: self._send(generation, answer))

    def _send(self, generation: int, answer: tuple[Whole, ...] | ScopeClosed) -> None:
        if generation != self._generation:
            return
        if isinstance(answer, ScopeClosed):
            self.closed()
            return
        found = list(runs(answer))
        for at, run in enumerate(found, 1):
            more = bool(self._waiting) or at < len(found)
            self.port.send(Supply(self.number, list(run), more))
        if self._waiting:
            self._read()
        else:
            self._is_busy = False


@define(eq=False)
class Offerer:
    """Sends OFFER: gathered documents, once the stream is quiet."""

    port: Port
    number: int
    scope: Scope
    _gathered: dict[bytes, None] = field(factory=dict)

    def gather(self, id_keys: tuple[bytes, ...]) -> None:
        """Remember documents to be offered later; those beyond `MAX_OFFERS` are left out."""
        for id_key in id_keys:
            if len(self._gathered) < MAX_OFFERS:
                self._gathered[id_key] = None

    def send_gathered(self) -> None:
        """Offer some of the gathered documents."""
        some = tuple(self._gathered)[:READ_AT_ONCE]
        for id_key in some:
            del self._gathered[id_key]
        if not some:
            return

        def read(answer: tuple[Whole, ...] | ScopeClosed) -> None:
            if isinstance(answer, ScopeClosed):
                return
            for run in runs(answer):
                if run:
                    self.port.send(Offer(self.number, list(run)))

        self.port.ask(ReadDocuments(scope=self.scope, id_keys=some), read)
