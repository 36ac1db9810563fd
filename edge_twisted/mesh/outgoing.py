# SPDX-License-Identifier: Apache-2.0
"""
A scope that the peer subscribed to: the sender's side of one stream.

Batches are read one at a time, from where the last one ended.  While much is to be sent, several
are on the way, up to the peer's window; once the peer is up to date, one at a time: what is
committed meanwhile gathers into the next, so that a burst of small changes becomes few messages.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from enum import Enum
from typing import Final, NamedTuple, Protocol, cast

from attrs import define, field

from edge_twisted.documents.versions import VersionVector
from edge_twisted.mesh.items import Whole
from edge_twisted.mesh.messages import (
    Batch,
    Closed,
    Offer,
    Stale,
    Supply,
    write_items,
    write_vector,
)
from edge_twisted.mesh.port import Port
from edge_twisted.mesh.requests import (
    Answer,
    Changes,
    CursorUnknown,
    ReadChanges,
    ReadDocuments,
    Scope,
    ScopeClosed,
)
from edge_twisted.mesh.violations import PeerViolation

#: Larger documents are announced to peers that have other sources.
ANNOUNCE_ABOVE_BYTES: Final = 512
#: What one batch comes to, unless a single commit is larger.
BATCH_BYTES: Final = 256 * 1024
#: Batches that may wait for their acknowledgement.
MAX_IN_FLIGHT: Final = 8
#: Versions that the peer itself gave us, so that they do not go back to it.
MAX_ECHOES: Final = 16_384


class State(Enum):
    """Where a stream stands."""

    #: Changes are read and sent as they come.
    STREAMING = "streaming"
    #: The peer has to repair first, and says when it is done.
    WAITING = "waiting for the receiver's repair"
    #: The collection may not be sent now; the cursor stays where it is.
    CLOSED = "closed"


class Sent(NamedTuple):
    """A batch on its way."""

    lsn: int
    size: int
    #: Set when the batch made the peer catch up: what it has of the collection then.
    knowledge: VersionVector | None


class Window(Protocol):
    """How much more the peer takes, all streams together."""

    def has_room(self) -> bool:
        """Whether another batch may be read."""

    def took(self, size: int) -> None:
        """Count bytes that were sent (negative: acknowledged)."""


@define(eq=False)
class OutgoingStream:
    """One stream; see the head of this module."""

    port: Port
    window: Window
    number: int
    scope: Scope
    announces: bool
    state: State = State.STREAMING
    #: The end of the last batch that was read, or as far as nothing concerned the scope.
    _read: int = 0
    #: The end of the last batch that was sent.
    _sent_lsn: int = 0
    _is_reading: bool = False
    _is_dirty: bool = True
    _is_caught_up: bool = False
    _in_flight: deque[Sent] = field(factory=deque)
    _base: VersionVector | None = None
    _echoes: OrderedDict[bytes, int] = field(factory=OrderedDict)
    #: Counts what makes an answer stale: another beginning.
    _generation: int = 0
    _acknowledged: int = 0
    _fingerprint: bytes | None = None
    _told_fingerprint: tuple[int, bytes] | None = None

    # -- life

    def begin(self, position: int) -> None:
        """Stream what comes after a cursor of the peer's."""
        self.state = State.STREAMING
        self._generation += 1
        self._read = self._sent_lsn = self._acknowledged = position
        self._is_reading = self._is_caught_up = False
        self._is_dirty = True
        self._base = None
        self.forget_in_flight()
        self.pump()

    def wait(self) -> None:
        """Send nothing until the peer has repaired."""
        self.state = State.WAITING
        self._generation += 1
        self.forget_in_flight()

    def forget_in_flight(self) -> None:
        """Nothing that was sent will be acknowledged any more."""
        self.window.took(-sum(each.size for each in self._in_flight))
        self._in_flight.clear()

    # -- what happens

    def committed(self, lsn: int, collections: frozenset[str]) -> None:
        """Something became durable here."""
        if self.scope.collection in collections:
            self._is_dirty = True
            if self.state is State.CLOSED:
                self.state = State.STREAMING
            self.pump()
        elif self._is_caught_up and not self._is_dirty and not self._is_reading:
            self._read = max(self._read, lsn)

    def acknowledged(self, lsn: int) -> None:
        """
        The peer has stored everything up to `lsn`.

        :raises PeerViolation: it never was sent that far.
        """
        if lsn > self._sent_lsn:
            raise PeerViolation("an acknowledgement of what was not sent")
        while self._in_flight and self._in_flight[0].lsn <= lsn:
            sent = self._in_flight.popleft()
            self.window.took(-sent.size)
            if sent.knowledge is not None:
                self._base = sent.knowledge
        self._acknowledged = max(self._acknowledged, lsn)
        self.pump()

    @property
    def acknowledged_lsn(self) -> int:
        """Up to which commit of ours the peer has what it wants."""
        is_done = self._is_caught_up and not self._is_dirty and not self._in_flight
        return self._read if is_done else self._acknowledged

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be sent."""
        return self.state is not State.STREAMING or not (self._is_dirty or self._is_reading)

    def came_from_peer(self, echoes: tuple[tuple[bytes, int], ...]) -> None:
        """Remember versions that the peer has, for it gave them to us."""
        for id_key, digest in echoes:
            self._echoes[id_key] = digest
        while len(self._echoes) > MAX_ECHOES:
            self._echoes.popitem(last=False)

    def idle_fingerprint(self) -> tuple[int, int, bytes] | None:
        """Return (number, lsn, fingerprint) if the peer could compare it and was not told yet."""
        if self._fingerprint is None or self._in_flight or not self.is_idle:
            return None
        now = (self._sent_lsn, self._fingerprint)
        if now == self._told_fingerprint:
            return None
        self._told_fingerprint = now
        return (self.number, *now)

    def pass_cursor(self) -> None:
        """Let the peer know how far nothing concerned it; cheap, and not urgent."""
        is_behind = self._is_caught_up and self._sent_lsn < self._read
        if is_behind and self.is_idle and not self._in_flight:
            self._send(Changes(items=(), lsn=self._read, more=False))

    # -- reading and sending

    def pump(self) -> None:
        """Read the next batch if there is something to send and room for it."""
        if self.state is not State.STREAMING or self._is_reading or not self._is_dirty:
            return
        most = 1 if self._is_caught_up else MAX_IN_FLIGHT
        if len(self._in_flight) >= most or not self.window.has_room():
            return
        self._is_reading = True
        self._is_dirty = False
        generation = self._generation
        request = ReadChanges(
            scope=self.scope,
            after=self._read,
            base=self._base,
            skip=dict(self._echoes),
            announce_above=ANNOUNCE_ABOVE_BYTES if self.announces else None,
            limit_bytes=BATCH_BYTES,
        )
        self._echoes.clear()
        self.port.ask(request, lambda answer: self._have_read(generation, answer))

    def _have_read(self, generation: int, answer: Answer) -> None:
        if generation != self._generation:
            return
        self._is_reading = False
        match answer:
            case CursorUnknown(reason=reason):
                self.wait()
                self.port.send(Stale(self.number, reason))
            case ScopeClosed():
                self.state = State.CLOSED
                self.port.send(Closed(self.number, "the collection's sync scope is closed"))
            case Changes():
                self._read = answer.lsn
                self._is_caught_up = not answer.more
                self._is_dirty = self._is_dirty or answer.more
                self._fingerprint = answer.fingerprint
                if answer.items or answer.lsn > self._sent_lsn:
                    self._send(answer)
                self.pump()

    def _send(self, changes: Changes) -> None:
        caught_up = not changes.more
        message = Batch(
            self.number,
            write_items(changes.items),
            changes.lsn,
            caught_up,
            write_vector(changes.knowledge) if caught_up else None,
            changes.fingerprint if caught_up else None,
        )
        size = self.port.send(message)
        self._sent_lsn = changes.lsn
        self.window.took(size)
        self._in_flight.append(Sent(changes.lsn, size, changes.knowledge if caught_up else None))

    # -- single documents

    def supply(self, id_keys: tuple[bytes, ...]) -> None:
        """Send documents of a batch whole, for the peer cannot use what it got."""
        self._send_documents(id_keys, Supply)

    def offer(self, id_keys: tuple[bytes, ...]) -> None:
        """Send documents of which the peer showed an older version."""
        if id_keys and self.state is not State.CLOSED:
            self._send_documents(id_keys, Offer)

    def _send_documents(self, id_keys: tuple[bytes, ...], kind: type[Supply] | type[Offer]) -> None:
        def send(answer: Answer) -> None:
            items = cast(tuple[Whole, ...], answer)
            if items or kind is Supply:
                self.port.send(kind(self.number, write_items(items)))

        self.port.ask(ReadDocuments(scope=self.scope, id_keys=id_keys), send)
