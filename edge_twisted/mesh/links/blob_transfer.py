# SPDX-License-Identifier: Apache-2.0
"""
Adapter between the blob exchange (`edge_twisted.mesh.blobs`) and the disk, the links, the clock.

`BlobTransfer` tells the exchange what happens, and carries out its effects: messages go to links,
downloads to the disk.  What is done to one download is done in order.  For the reactor thread.
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

#: How often the exchange looks at the clock.
TICK_SECONDS: Final = 0.5
#: After how long a link that was busy with documents is offered a chunk again.
ROOM_SECONDS: Final = 0.02
#: The code of the error by which `Download.finish` says that the bytes are wrong.
_CORRUPT: Final = "attachment_corrupt"


class LocalBlob(Protocol):
    """A complete blob in the store."""

    @property
    def length(self) -> int:
        """Size of the blob in bytes."""


class BlobContent(Protocol):
    """A complete blob that is open for reading."""

    def read(self, offset: int, length: int) -> Awaitable[bytes]:
        """Return up to `length` bytes from `offset`; fewer at the end only, and none beyond it."""

    def close(self) -> None:
        """Close the blob; nothing can be read any more."""


class Download(Protocol):
    """An open file for a blob that is not complete; one call at a time."""

    @property
    def received(self) -> int:
        """Number of bytes of the blob that the file holds."""

    def write(self, chunk: bytes) -> Awaitable[None]:
        """Append bytes of the blob to the file."""

    def finish(self) -> Awaitable[LocalBlob]:
        """Verify the bytes and complete the blob; return it.

        :raises EdgeError: with code ``attachment_corrupt``: the bytes are not that blob, and are
            gone; download it again.
        """

    def pause(self) -> Awaitable[None]:
        """Close the file and keep its bytes for `resume`; harmless when repeated."""


class LocalBlobs(Protocol):
    """The blobs of this server's store."""

    def find(self, attachment: str) -> LocalBlob | None:
        """Return a complete blob; None if it is not here."""

    def open(self, attachment: str) -> Awaitable[BlobContent]:
        """Open a complete blob for reading; the caller closes it."""

    def resume(self, attachment: str) -> Awaitable[Download]:
        """Open a download of a blob, with the bytes that an earlier one kept."""


class Neighbours(Protocol):
    """The links with connected peers; `MeshNode` in the server."""

    def send(self, peer: Peer, message: bytes) -> None:
        """Send an encoded message about blobs to a peer; do nothing if it is not connected."""

    def has_room(self, peer: Peer) -> bool:
        """Return whether the link with a peer has nothing else waiting to be sent."""

    def refuse(self, peer: Peer, detail: str) -> None:
        """End the link of a peer that broke the protocol; `detail` says how, for log and peer."""


@frozen(kw_only=True)
class BlobTransferParts:
    """What the transfer works with."""

    blobs: LocalBlobs
    #: Answers whether a document that may be sent to this peer names this blob.
    may_send: Callable[[Peer, str], Awaitable[bool]]
    neighbours: Neighbours
    clock: IReactorTime
    entropy: Callable[[int], bytes]


class BlobTransfer:
    """See the head of this module."""

    def __init__(self, parts: BlobTransferParts) -> None:
        self._parts = parts
        self._exchange = BlobExchange(lambda: parts.entropy(SEARCH_BYTES))
        self._peers: set[Peer] = set()
        self._downloads: dict[str, Download] = {}
        #: attachment -> lock that puts what is done to its download in order.
        self._locks: dict[str, DeferredLock] = {}
        #: Blobs that are read for peers; None: the blob is being opened.
        self._readers: dict[tuple[Peer, str], BlobContent | None] = {}
        self._waiters: dict[str, list[Deferred[bool]]] = {}
        self._tasks: set[Deferred[None]] = set()
        self._effects: deque[Effect] = deque()
        #: Whether a call of `_carry` is on the stack.
        self._is_carrying = False
        self._is_running = False
        self._room_timer: IDelayedCall | None = None
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = parts.clock

    # -- life

    def start(self) -> None:
        """Begin to fetch and to serve; the store is open."""
        self._is_running = True
        self._ticker.start(TICK_SECONDS, now=False)

    async def stop(self) -> None:
        """Pause downloads, answer requests that wait, and let pending disk work end."""
        self._is_running = False
        if self._ticker.running:
            self._ticker.stop()
        if self._room_timer is not None:
            self._room_timer.cancel()
            self._room_timer = None
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

    # -- for requests and replication

    def fetch(self, attachment: str, timeout_seconds: float | None) -> Deferred[bool]:
        """Fetch a blob from neighbours; fire with whether it is here then.

        False means that no neighbour can give it now, or that the time is up; the fetch goes on in
        the background.  `timeout_seconds` None means no limit.  Cancelling the Deferred ends the
        wait, not the fetch.
        """
        if self._parts.blobs.find(attachment) is not None:
            return succeed(True)
        if not self._is_running:
            return succeed(False)
        waiter: Deferred[bool] = Deferred(lambda _: self._forget(attachment, waiter))
        self._waiters.setdefault(attachment, []).append(waiter)
        if timeout_seconds is not None:
            timer = self._parts.clock.callLater(timeout_seconds, self._time_out, attachment, waiter)
            waiter.addBoth(_cancel(timer))
        self._carry(self._exchange.want(attachment, self._now(), urgent=True))
        return waiter

    def fetch_unasked(self, attachments: Iterable[str]) -> None:
        """Fetch blobs, by their ids, in the background, when their turn comes."""
        for attachment in attachments:
            if self._is_running and self._parts.blobs.find(attachment) is None:
                self._carry(self._exchange.want(attachment, self._now(), urgent=False))

    # -- for the node's observer

    def connected(self, peer: Peer) -> None:
        """Take in a peer as a neighbour."""
        self._peers.add(peer)
        self._carry(self._exchange.joined(peer, self._now()))

    def disconnected(self, peer: Peer) -> None:
        """Drop a neighbour whose link is gone; other neighbours give what it was giving."""
        self._peers.discard(peer)
        self._carry(self._exchange.left(peer, self._now()))

    def heard(self, peer: Peer, message: bytes) -> None:
        """Take an encoded message about blobs from a neighbour; a malformed one ends its link."""
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
        """Carry out effects in order, and those that follow from them; then give chunks."""
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
        """Give chunks to neighbours whose link has room; retry soon if others wait for one."""
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
        if is_busy and self._room_timer is None:
            self._room_timer = self._parts.clock.callLater(ROOM_SECONDS, self._retry_give)

    def _retry_give(self) -> None:
        self._room_timer = None
        self._carry(())

    def _tick(self) -> None:
        self._carry(self._exchange.tick(self._now()))

    # -- the store

    async def _look(self, look: Look) -> None:
        allowed = False
        try:
            allowed = await self._parts.may_send(look.peer, look.attachment)
        except EdgeError:
            log.failure(
                "Who may have attachment {attachment} cannot be read", attachment=look.attachment
            )
        info = self._parts.blobs.find(look.attachment) if self._is_running else None
        length = None if info is None else info.length
        self._carry(self._exchange.looked(look, allowed, length, self._now()))

    async def _begin(self, attachment: str) -> None:
        info = self._parts.blobs.find(attachment)
        if info is not None:
            # A client has uploaded it meanwhile.
            self._carry(self._exchange.finished(attachment, info.length, self._now()))
            return
        download = self._downloads.get(attachment)
        if download is None:
            try:
                download = await self._parts.blobs.resume(attachment)
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
                reader = await self._parts.blobs.open(read.attachment)
                if key not in self._readers or not self._is_running:
                    reader.close()
                    # Empty data: the peer stopped its pull meanwhile.
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

    def _in_turn(self, attachment: str, steps: Coroutine[Deferred[object], object, None]) -> None:
        """Run steps after all earlier ones for the same download."""
        lock = self._locks.setdefault(attachment, DeferredLock())

        async def run_locked() -> None:
            await lock.acquire()
            try:
                await steps
            finally:
                lock.release()
                if not lock.locked and not lock.waiting:
                    self._locks.pop(attachment, None)

        self._spawn(run_locked())

    def _spawn(self, steps: Coroutine[Deferred[object], object, None]) -> None:
        """Run steps in the background; `stop` waits for their end."""
        task = Deferred.fromCoroutine(steps)
        self._tasks.add(task)

        def discard(outcome: object) -> object:
            self._tasks.discard(task)
            return outcome

        task.addBoth(discard)
        task.addErrback(lambda failure: log.failure("The exchange of attachments failed", failure))

    def _settle(self, attachment: str, *, is_here: bool) -> None:
        for waiter in self._waiters.pop(attachment, ()):
            waiter.callback(is_here)

    def _time_out(self, attachment: str, waiter: Deferred[bool]) -> None:
        self._forget(attachment, waiter)
        waiter.callback(False)

    def _forget(self, attachment: str, waiter: Deferred[bool]) -> None:
        waiters = self._waiters.get(attachment, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(attachment, None)


def _cancel(timer: IDelayedCall) -> Callable[[T], T]:
    """Return a callback that cancels a timer and passes its argument on."""

    def cancel(outcome: T) -> T:
        if timer.active():
            timer.cancel()
        return outcome

    return cancel
