# SPDX-License-Identifier: Apache-2.0
"""
Carries the exchange of attachments (`edge_twisted.mesh.blobs`) to disks, links and clocks.

For the reactor thread.  Tell it of neighbours and of what they say; ask it for blobs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Final, Protocol, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from edge_twisted.errors import EdgeError
from edge_twisted.mesh.blobs.effects import (
    Begin,
    Blame,
    Effect,
    Finish,
    Look,
    Pause,
    Peer,
    Read,
    Say,
    Settle,
    Shut,
    Write,
)
from edge_twisted.mesh.blobs.errors import MalformedBlobMessage
from edge_twisted.mesh.blobs.exchange import BlobExchange
from edge_twisted.mesh.blobs.messages import SEARCH_BYTES, decode, encode

log = Logger()

T = TypeVar("T")

TICK_SECONDS: Final = 0.5
#: A link that is busy with documents is looked at again after this.
ROOM_SECONDS: Final = 0.02
_CORRUPT: Final = "attachment_corrupt"


class Info(Protocol):
    """A complete blob."""

    @property
    def length(self) -> int:
        """Its bytes."""


class BlobContent(Protocol):
    """An open blob."""

    def read(self, offset: int, length: int) -> Awaitable[bytes]:
        """Fire with bytes from `offset`."""

    def close(self) -> None:
        """Give it back."""


class Download(Protocol):
    """A blob on its way in; one call at a time."""

    @property
    def received(self) -> int:
        """Bytes that are here."""

    def write(self, chunk: bytes) -> Awaitable[None]:
        """Take the next bytes."""

    def finish(self) -> Awaitable[Info]:
        """Verify it; fails with code ``attachment_corrupt`` if the bytes are not that blob."""

    def pause(self) -> Awaitable[None]:
        """Keep what came for later; harmless when repeated."""


class LocalBlobs(Protocol):
    """The blobs of the store."""

    def find(self, attachment: str) -> Info | None:
        """Return what is known of a complete blob."""

    def open(self, attachment: str) -> Awaitable[BlobContent]:
        """Open a complete blob."""

    def resume(self, attachment: str) -> Awaitable[Download]:
        """Begin a download, or go on with it."""


class Neighbours(Protocol):
    """The connected peers."""

    def send(self, peer: Peer, message: bytes) -> None:
        """Send a message about attachments, if the peer is still there."""

    def has_room(self, peer: Peer) -> bool:
        """Answer whether nothing more urgent waits on the link."""

    def refuse(self, peer: Peer, detail: str) -> None:
        """End the link: the peer broke the protocol."""


@frozen(kw_only=True)
class CarrierParts:
    """What a carrier works with."""

    attachments: LocalBlobs
    #: Whether a document that a peer may see names a blob.
    may_send: Callable[[Peer, str], Awaitable[bool]]
    neighbours: Neighbours
    clock: IReactorTime
    entropy: Callable[[int], bytes]


class BlobCarrier:
    """See the head of this module."""

    def __init__(self, parts: CarrierParts) -> None:
        self._parts = parts
        self._exchange = BlobExchange(lambda: parts.entropy(SEARCH_BYTES))
        self._peers: set[Peer] = set()
        self._downloads: dict[str, Download] = {}
        #: What is done to a download is done in order.
        self._turns: dict[str, DeferredLock] = {}
        self._readers: dict[tuple[Peer, str], BlobContent | None] = {}
        self._waiters: dict[str, list[Deferred[bool]]] = {}
        self._tasks: set[Deferred[None]] = set()
        self._effects: deque[Effect] = deque()
        self._is_carrying = False
        self._is_running = False
        self._look_again: IDelayedCall | None = None
        self._ticks = LoopingCall(self._tick)
        self._ticks.clock = parts.clock

    # -- life

    def start(self) -> None:
        """Begin; the store is open."""
        self._is_running = True
        self._ticks.start(TICK_SECONDS, now=False)

    async def stop(self) -> None:
        """Put downloads away, tell those who wait, and finish what is under way."""
        self._is_running = False
        if self._ticks.running:
            self._ticks.stop()
        if self._look_again is not None:
            self._look_again.cancel()
            self._look_again = None
        for attachment in tuple(self._waiters):
            self._settle(attachment, is_here=False)
        for attachment in tuple(self._downloads):
            self._in_turn(attachment, self._pause(attachment))
        while self._tasks:
            await next(iter(self._tasks))
        for reader in self._readers.values():
            if reader is not None:
                reader.close()
        self._readers.clear()

    # -- for whoever wants blobs

    def fetch(self, attachment: str, timeout_seconds: float | None) -> Deferred[bool]:
        """
        Bring a blob here; fire with whether it is.

        False means that no neighbour can give it, or not in time; then it is still tried in
        the background.  Cancelling gives up waiting only.
        """
        if self._parts.attachments.find(attachment) is not None:
            return succeed(True)
        if not self._is_running:
            return succeed(False)
        waiter: Deferred[bool] = Deferred(lambda _: self._forget(attachment, waiter))
        self._waiters.setdefault(attachment, []).append(waiter)
        if timeout_seconds is not None:
            late = self._parts.clock.callLater(timeout_seconds, self._late, attachment, waiter)
            waiter.addBoth(_cancelling(late))
        self._carry(self._exchange.want(attachment, self._now(), urgent=True))
        return waiter

    def fetch_unasked(self, attachments: Iterable[str]) -> None:
        """Bring blobs here in the background, when their turn comes."""
        for attachment in attachments:
            if self._is_running and self._parts.attachments.find(attachment) is None:
                self._carry(self._exchange.want(attachment, self._now(), urgent=False))

    # -- for whoever knows the neighbours

    def connected(self, peer: Peer) -> None:
        """A peer is a neighbour from now on."""
        self._peers.add(peer)
        self._carry(self._exchange.joined(peer, self._now()))

    def disconnected(self, peer: Peer) -> None:
        """A neighbour has gone."""
        self._peers.discard(peer)
        self._carry(self._exchange.left(peer, self._now()))

    def heard(self, peer: Peer, message: bytes) -> None:
        """A neighbour said something about attachments."""
        if peer not in self._peers or not self._is_running:
            return
        try:
            decoded = decode(message)
        except MalformedBlobMessage as error:
            self._parts.neighbours.refuse(peer, str(error))
            return
        self._carry(self._exchange.heard(peer, decoded, self._now()))

    # -- effects

    def _carry(self, effects: Iterable[Effect]) -> None:
        """Carry out effects in order, those that come of it after them; then give chunks."""
        self._effects.extend(effects)
        if self._is_carrying:
            return
        self._is_carrying = True
        try:
            self._give()
            while self._effects:
                self._carry_out(self._effects.popleft())
                if not self._effects:
                    self._give()
        finally:
            self._is_carrying = False

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Say(peer, message):
                if peer in self._peers:
                    self._parts.neighbours.send(peer, encode(message))
            case Look():
                self._spawn(self._look(effect))
            case Begin(attachment):
                self._in_turn(attachment, self._begin(attachment))
            case Write(attachment):
                self._in_turn(attachment, self._write(effect))
            case Finish(attachment):
                self._in_turn(attachment, self._finish(attachment))
            case Pause(attachment):
                self._in_turn(attachment, self._pause(attachment))
            case Read(peer, attachment):
                self._readers.setdefault((peer, attachment), None)
                self._spawn(self._read(effect))
            case Shut(peer, attachment):
                reader = self._readers.pop((peer, attachment), None)
                if reader is not None:
                    reader.close()
            case Settle(attachment, is_here):
                self._settle(attachment, is_here=is_here)
            case Blame(peer, attachment):
                log.warn(
                    "Peer {peer} sent wrong bytes for attachment {attachment}",
                    peer=peer,
                    attachment=attachment,
                )

    def _give(self) -> None:
        """Send chunks where the link has room; look again soon where it has not."""
        if not self._is_running:
            return
        is_busy = False
        for peer in self._peers:
            if not self._exchange.is_serving(peer):
                continue
            if self._parts.neighbours.has_room(peer):
                self._effects.extend(self._exchange.give(peer, self._now()))
            else:
                is_busy = True
        if is_busy and self._look_again is None:
            self._look_again = self._parts.clock.callLater(ROOM_SECONDS, self._looked_again)

    def _looked_again(self) -> None:
        self._look_again = None
        self._carry(())

    def _tick(self) -> None:
        self._carry(self._exchange.tick(self._now()))

    # -- the store

    async def _look(self, look: Look) -> None:
        allowed = False
        try:
            allowed = await self._parts.may_send(look.peer, look.attachment)
        except EdgeError:
            log.failure("Who may have attachment {attachment}?", attachment=look.attachment)
        info = self._parts.attachments.find(look.attachment) if self._is_running else None
        length = None if info is None else info.length
        self._carry(self._exchange.looked(look, allowed, length, self._now()))

    async def _begin(self, attachment: str) -> None:
        info = self._parts.attachments.find(attachment)
        if info is not None:
            # It was uploaded here meanwhile.
            self._carry(self._exchange.finished(attachment, info.length, self._now()))
            return
        download = self._downloads.get(attachment)
        if download is None:
            try:
                download = await self._parts.attachments.resume(attachment)
            except EdgeError as error:
                self._break(attachment, error)
                return
            self._downloads[attachment] = download
        self._carry(self._exchange.begun(attachment, download.received, self._now()))

    async def _write(self, write: Write) -> None:
        download = self._downloads.get(write.attachment)
        try:
            if download is not None:
                await download.write(write.data)
        except EdgeError as error:
            await self._pause(write.attachment)
            self._break(write.attachment, error)
        finally:
            effects = self._exchange.written(write.peer, len(write.data), self._now())
            self._carry(effects)

    async def _finish(self, attachment: str) -> None:
        download = self._downloads.pop(attachment, None)
        if download is None:
            return
        try:
            info = await download.finish()
        except EdgeError as error:
            if error.code == _CORRUPT:
                self._carry(self._exchange.corrupt(attachment, self._now()))
            else:
                self._break(attachment, error)
            return
        self._carry(self._exchange.finished(attachment, info.length, self._now()))

    async def _pause(self, attachment: str) -> None:
        download = self._downloads.pop(attachment, None)
        if download is not None:
            await download.pause()

    async def _read(self, read: Read) -> None:
        key = (read.peer, read.attachment)
        try:
            reader = self._readers.get(key)
            if reader is None:
                reader = await self._parts.attachments.open(read.attachment)
                if key not in self._readers or not self._is_running:
                    reader.close()
                    # Nothing was read: the peer stopped meanwhile.
                    self._carry(self._exchange.read(*key, -1, b"", self._now()))
                    return
                self._readers[key] = reader
            data = await reader.read(read.offset, read.length)
        except EdgeError as error:
            log.info("An attachment cannot be read for a peer: {error}", error=str(error))
            self._carry(self._exchange.unreadable(read.peer, read.attachment, self._now()))
            return
        self._carry(self._exchange.read(read.peer, read.attachment, read.offset, data, self._now()))

    def _break(self, attachment: str, error: EdgeError) -> None:
        log.warn(
            "Attachment {attachment} cannot be fetched: {error}",
            attachment=attachment,
            error=str(error),
        )
        self._carry(self._exchange.broken(attachment, self._now()))

    # -- inner

    def _now(self) -> float:
        return self._parts.clock.seconds()

    def _in_turn(self, attachment: str, work: Coroutine[Deferred[object], object, None]) -> None:
        turn = self._turns.setdefault(attachment, DeferredLock())

        async def taking() -> None:
            await turn.acquire()
            try:
                await work
            finally:
                turn.release()
                if not turn.locked and not turn.waiting:
                    self._turns.pop(attachment, None)

        self._spawn(taking())

    def _spawn(self, work: Coroutine[Deferred[object], object, None]) -> None:
        task = Deferred.fromCoroutine(work)
        self._tasks.add(task)

        def done(outcome: object) -> object:
            self._tasks.discard(task)
            return outcome

        task.addBoth(done)
        task.addErrback(lambda failure: log.failure("The exchange of attachments failed", failure))

    def _settle(self, attachment: str, *, is_here: bool) -> None:
        for waiter in self._waiters.pop(attachment, ()):
            waiter.callback(is_here)

    def _late(self, attachment: str, waiter: Deferred[bool]) -> None:
        self._forget(attachment, waiter)
        waiter.callback(False)

    def _forget(self, attachment: str, waiter: Deferred[bool]) -> None:
        waiters = self._waiters.get(attachment, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(attachment, None)


def _cancelling(late: IDelayedCall) -> Callable[[T], T]:
    def cancel(outcome: T) -> T:
        if late.active():
            late.cancel()
        return outcome

    return cancel
