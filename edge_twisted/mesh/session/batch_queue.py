# SPDX-License-Identifier: Apache-2.0
"""
The queue of batches at the receiver, for one stream or for several that travel together.

Batches are applied one after the other, each in one transaction with the cursors of the streams
that it is for, and acknowledged once on disk.  A batch lacks documents if a delta has nothing to
build on, or if it only announces them.  The queue asks the sender for these with WANT, puts what
SUPPLY brings in their place, and applies the batch again.  Documents that another link is pulling
already (`pulls`) are not asked for here: the batch waits until something came over that link.

Streams come together as the sender's batches name them (`queue_of`), and leave one by one.  ACK and
WANT carry the number of the first stream that the batch names and that is still there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from attrs import define, field

from edge_twisted.documents.versions import NO_VERSION, Replica, VersionVector
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import Applied, ApplyBatch, Lacking, ScopeCursor
from edge_twisted.mesh.session.applier import Applier, ApplyingStream
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.states import QUEUE, QueueEvent, QueueState
from edge_twisted.mesh.wire.items import Announced, Item, Left, Whole
from edge_twisted.mesh.wire.messages import Ack, Batch, Supply, Want
from edge_twisted.mesh.wire.state_machine import Machine
from edge_twisted.mesh.wire.values import read_items, read_vector, read_wholes
from edge_twisted.mesh.wire.violations import PeerViolation

#: Most documents in one WANT.
WANT_AT_ONCE: Final = 256


class WindowAccount(Protocol):
    """The window that this server named to the peer."""

    def take(self, size: int) -> None:
        """Count the bytes of a batch that came.

        :raises PeerViolation: they are more than is left of the window; end the link.
        """

    def give_back(self, size: int) -> None:
        """Count the bytes of a batch that was acknowledged or dropped."""


class BatchStream(ApplyingStream, Protocol):
    """An incoming stream, as its queue sees it."""

    #: The cursor in the database, None if there is none; and the newest lsn that came.
    position: int | None
    newest_lsn: int
    #: Whether the cursor is not in the database, because documents were not taken; and what the
    #: sender said in a repair that it knows.
    is_provisional: bool
    vouched: VersionVector | None

    @property
    def queue(self) -> BatchQueue:
        """The queue in which batches of the stream wait."""

    def join(self, queue: BatchQueue) -> None:
        """Leave the queue that the stream is in, and go on in another one."""

    def have_moved(self, lsn: int, caught_up: bool) -> None:
        """Follow the sender from the new cursor, `lsn`; `caught_up`: that is all it has."""

    def cursor_lost(self) -> None:
        """Find the cursor and subscribe anew: the database has another one than the stream."""


@define(eq=False)
class _WaitingBatch:
    """
    A batch that waits to be applied, or is being applied.

    :ivar streams: whom it is for, in the order in which it names them; who leaves is taken out.
    """

    message: Batch
    streams: list[BatchStream]
    size: int
    items: tuple[Item, ...]
    #: How often `BatchQueue.forget_echoes` was called before the batch came.
    age: int
    #: Digests that this batch claimed in `Pulls`.
    claimed: set[int] = field(factory=set)
    #: False once the sender could not supply a document that the batch names.
    is_complete: bool = True

    def replace(self, wanted: frozenset[bytes], whole: dict[bytes, Whole]) -> None:
        """Put whole documents, by id key, in the places of their items.

        `wanted` documents that are not among them are dropped: the sender has them no more.
        """
        self.is_complete = self.is_complete and wanted <= whole.keys()
        self.items = tuple(
            whole.get(item.id_key, item)
            for item in self.items
            if item.id_key in whole or item.id_key not in wanted
        )


@define(eq=False)
class BatchQueue:
    """Applies and acknowledges batches, in order; see the head of this module."""

    port: Port
    credit: WindowAccount
    pulls: Pulls
    sender: Replica
    members: list[BatchStream]
    _batches: deque[_WaitingBatch] = field(factory=deque)
    _machine: Machine[QueueState] = field(
        init=False, factory=lambda: Machine(QUEUE, QueueState.READY)
    )
    _applier: Applier = field(init=False)
    #: Id keys in the WANT that runs, those for the next WANT, and documents that have come.
    _asked: tuple[bytes, ...] = ()
    _to_ask: tuple[bytes, ...] = ()
    _supplied: dict[bytes, Whole] = field(factory=dict)
    _wanted: frozenset[bytes] = frozenset()

    def __attrs_post_init__(self) -> None:
        self._applier = Applier(self.port)

    # -- members

    def leave(self, stream: BatchStream) -> None:
        """
        Drop what waits for a stream; call `go_on` once the sender was told that it left.

        An acknowledgement for the others would name another stream than the sender expects.
        """
        self.members.remove(stream)
        if not self.members:
            self._stop()
            return
        first = self._batches[0] if self._batches else None
        is_leading = first is not None and first.streams[0] is stream
        for batch in tuple(self._batches):
            if stream in batch.streams:
                batch.streams.remove(stream)
            if not batch.streams:
                self._batches.remove(batch)
                self._give_up(batch)
        is_asking = self._machine.state in (QueueState.WANTING, QueueState.WANTING_PART)
        if first is not None and (not first.streams or (is_leading and is_asking)):
            # What was asked for under its number does not come any more.
            self._machine.step(QueueEvent.STREAM_LEFT)
            self._asked = self._to_ask = ()
            self._wanted, self._supplied = frozenset(), {}

    def go_on(self) -> None:
        """Apply the next batch, after a stream left."""
        self._next()

    def _stop(self) -> None:
        self._machine.step(QueueEvent.STOPPED)
        self._applier.stop()
        for batch in self._batches:
            batch.streams.clear()
            self._give_up(batch)
        self._batches.clear()

    def _give_up(self, batch: _WaitingBatch) -> None:
        self.credit.give_back(batch.size)
        self.pulls.release(self, batch.claimed)

    @property
    def _is_stopped(self) -> bool:
        return self._machine.state is QueueState.STOPPED

    # -- batches

    def take(self, message: Batch, size: int, streams: Sequence[BatchStream]) -> None:
        """
        Queue a batch of `size` bytes for some of the members.

        :raises PeerViolation: its lsn goes back, or it is more than the window.
        """
        goes_back = any(message.lsn < each.newest_lsn for each in streams)
        if goes_back or (message.is_part and message.caught_up):
            raise PeerViolation("a batch that goes back, or ends before its commit does")
        self.credit.take(size)
        for each in streams:
            each.newest_lsn = message.lsn
        items, age = read_items(message.items), self._applier.age
        self._batches.append(_WaitingBatch(message, list(streams), size, items, age))
        self._next()

    def forget_echoes(self) -> None:
        """Take no more echoes of batches that came until now: the peer may have evicted them."""
        self._applier.age += 1

    @property
    def is_empty(self) -> bool:
        """Whether every batch that came is applied."""
        return not self._batches

    def _next(self) -> None:
        if self._machine.state is not QueueState.READY or not self._batches:
            return
        first = self._batches[0]
        message = first.message
        is_there = all(each.position == message.lsn for each in first.streams)
        is_news = message.knowledge is not None or message.base is not None
        if not first.items and not is_news and is_there:
            self._finish(first)
            return
        self._machine.step(QueueEvent.APPLIES)
        self._apply(first, self._request(first), lambda answer: self._have_applied(first, answer))

    def _request(self, first: _WaitingBatch) -> ApplyBatch:
        message = first.message
        cursors = (ScopeCursor(s.scope, s.position, s.evictions) for s in first.streams)
        (scope, after, evictions), *others = cursors
        # A document that the sender evicted after it told its knowledge will never come.  With that
        # knowledge, this server would take the document for deleted.
        provisional = frozenset(s.scope.key for s in first.streams if s.is_provisional)
        is_told = message.caught_up and first.is_complete and not provisional
        knowledge = None
        if is_told and message.knowledge is not None:
            knowledge = read_vector(message.knowledge)
        base = knowledge
        if is_told and message.base is not None:
            base = read_vector(message.base).join(knowledge or NO_VERSION)
        return ApplyBatch(
            scope=scope,
            sender=self.sender,
            items=first.items,
            lsn=None if message.is_part else message.lsn,
            after=after,
            evictions=evictions,
            others=tuple(others),
            knowledge=knowledge,
            base=base,
            provisional=provisional,
            vouched=next((s.vouched for s in first.streams if s.vouched is not None), None),
        )

    def _apply(
        self,
        first: _WaitingBatch,
        request: ApplyBatch,
        then: Callable[[Applied | Lacking], None],
    ) -> None:
        def applied(answer: Applied | Lacking) -> None:
            # It was dropped if all streams that it was for have left.
            if self._batches and self._batches[0] is first:
                then(answer)

        self._applier.apply(first.streams[0], request, first.age, applied)

    def _have_applied(self, first: _WaitingBatch, answer: Applied | Lacking) -> None:
        if isinstance(answer, Lacking):
            self._lack(first, answer.id_keys)
            return
        self._machine.step(QueueEvent.APPLIED)
        if answer.doubtful:
            for stream in first.streams:
                stream.doubted()
        for stream in tuple(first.streams):
            if stream.scope.key in answer.unmoved:
                stream.cursor_lost()
        # Who lost the cursor has left.
        if first.streams:
            self._finish(first)

    def _finish(self, first: _WaitingBatch) -> None:
        message = first.message
        self._batches.popleft()
        self._give_up(first)
        self.port.send(Ack(first.streams[0].number or 0, message.lsn))
        if not message.is_part:
            self._move(first.streams, message)
        self._next()

    def _move(self, streams: Sequence[BatchStream], message: Batch) -> None:
        for each in tuple(streams):
            each.position = message.lsn
        for each in tuple(streams):
            if each in self.members:
                each.have_moved(message.lsn, message.caught_up)

    # -- what a batch lacks

    def _lack(self, first: _WaitingBatch, id_keys: tuple[bytes, ...]) -> None:
        digests = {i.id_key: i.digest for i in first.items if isinstance(i, Announced | Left)}
        ours = []
        for id_key in id_keys:
            digest = digests.get(id_key)
            if digest is None:
                ours.append(id_key)
            elif self.pulls.claim(self, digest, self.port.now):
                first.claimed.add(digest)
                ours.append(id_key)
        is_pulled = len(ours) < len(id_keys)
        if not ours:
            self._machine.step(QueueEvent.LACKS_ONLY_PULLED)
        else:
            self._machine.step(QueueEvent.LACKS_PULLED if is_pulled else QueueEvent.LACKS)
            self._wanted = frozenset(ours)
            self._to_ask = tuple(ours)
            self._ask()

    def _ask(self) -> None:
        self._asked, self._to_ask = self._to_ask[:WANT_AT_ONCE], self._to_ask[WANT_AT_ONCE:]
        lead = self._batches[0].streams[0]
        self.port.send(Want(lead.number or 0, list(self._asked)))

    def supplied(self, message: Supply) -> None:
        """Take documents that the first batch lacked; once all have come, apply it again.

        :raises PeerViolation: they were not asked for; end the link.
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
        self._machine.step(QueueEvent.SUPPLIED)
        if self._machine.state is QueueState.APPLYING_PART:
            self._share(first, tuple(supplied.values()))
        else:
            self._next()

    def _share(self, first: _WaitingBatch, whole: tuple[Whole, ...]) -> None:
        """
        Apply at once what came, while the batch waits for what other links pull.

        Those links may wait for these documents in turn.  This is the only case in which the
        documents of one commit become visible one after the other.
        """

        def applied(answer: Applied | Lacking) -> None:
            if isinstance(answer, Applied) and answer.doubtful:
                for stream in first.streams:
                    stream.doubted()
            self.pulls.release(self, first.claimed)
            first.claimed.clear()
            self._machine.step(QueueEvent.APPLIED)
            self._next()

        scope = first.streams[0].scope
        vouched = first.streams[0].vouched
        request = ApplyBatch(
            scope=scope, sender=self.sender, items=whole, lsn=None, vouched=vouched
        )
        self._apply(first, request, applied)

    def try_again(self) -> None:
        """Apply the first batch again if it waits for other links."""
        if self._machine.state is QueueState.WAITING:
            self._machine.step(QueueEvent.TRIES_AGAIN)
            self._next()


def queue_of(streams: Sequence[BatchStream]) -> BatchQueue:
    """Return the queue for a batch that names these streams, after bringing them together.

    :raises PeerViolation: batches of several of them wait apart; end the link.  A sender brings
        streams together only when all that it sent is acknowledged.
    """
    queues = list(dict.fromkeys(each.queue for each in streams))
    waiting = [each for each in queues if not each.is_empty]
    if len(waiting) > 1:
        raise PeerViolation("a batch for streams whose batches wait apart")
    queue = (waiting or queues)[0]
    for other in queues:
        if other is not queue:
            for stream in tuple(other.members):
                stream.join(queue)
    return queue
