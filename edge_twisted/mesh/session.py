# SPDX-License-Identifier: Apache-2.0
"""
One link as a machine without I/O: bytes, ticks, commits and answers in, effects out.

    WAIT_HELLO --HELLO--> ESTABLISHED --BYE, violation, silence, refusal--> CLOSED

In WAIT_HELLO only HELLO and BYE may come; in ESTABLISHED everything but HELLO; in CLOSED nothing is
heard and nothing is said.  What the messages mean is the business of the streams: `incoming` for
our scopes, `outgoing` for the peer's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from enum import Enum
from itertools import count
from typing import Any, Final, TypeVar, cast

import msgspec
from attrs import frozen

from edge_twisted.documents.clock import MAX_AHEAD_MS, Timestamp, milliseconds
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.errors import EdgeError
from edge_twisted.mesh import messages as wire
from edge_twisted.mesh.effects import (
    Ask,
    BlobHeard,
    Close,
    Compute,
    Effect,
    Established,
    PresenceHeard,
    Progress,
    Received,
    Send,
    Tell,
    Token,
)
from edge_twisted.mesh.frames import MAX_MESSAGE_BYTES, FrameReader, FrameWriter
from edge_twisted.mesh.incoming import IncomingStream
from edge_twisted.mesh.outgoing import OutgoingStream
from edge_twisted.mesh.reconciliation.errors import MalformedReconciliation
from edge_twisted.mesh.repair_sender import RepairSender
from edge_twisted.mesh.requests import Answer, DeleteGone, Observe, Request, Scope
from edge_twisted.mesh.violations import (
    CLOCK_SKEW,
    DATABASE_MISMATCH,
    INTERNAL_ERROR,
    PROTOCOL_VERSION,
    PROTOCOL_VIOLATION,
    SELF_LINK,
    SILENT,
    PeerViolation,
    Refused,
)

T = TypeVar("T")

KEEP_ALIVE_SECONDS: Final = 1.5
DEAD_SECONDS: Final = 4.5
#: Bytes of batches that we take before we have acknowledged them.
WINDOW_BYTES: Final = 1 << 20
#: Batches that may wait to be applied before the connection is not read any more.
MAX_QUEUED_BATCHES: Final = 32
#: Subscriptions of one peer.
MAX_SCOPES: Final = 256


@frozen(kw_only=True)
class Us:
    """What a session knows of this server; `scope_of` parses a peer's subscription."""

    database: bytes
    replica: Replica
    peer_key: str
    device_name: str
    clock: Callable[[], Timestamp]
    now_ms: Callable[[], int]
    entropy: Callable[[int], bytes]
    scope_of: Callable[[str, Mapping[str, Value]], Scope]
    heard_of: Callable[[Replica], int]
    scopes: tuple[Scope, ...]
    #: Whether large documents are to be announced: there are other links.
    announce: bool = False


class State(Enum):
    """Where a link stands."""

    WAIT_HELLO = "waiting for HELLO"
    ESTABLISHED = "established"
    CLOSED = "closed"


class _Window:
    """What the peer takes before it has acknowledged, all streams together."""

    def __init__(self) -> None:
        self.limit = 0
        self._taken = 0

    def has_room(self) -> bool:
        return self._taken < self.limit

    def took(self, size: int) -> None:
        self._taken += size


class Session:
    """See the head of this module; implements `edge_twisted.mesh.effects.LinkSession`."""

    def __init__(self, us: Us, expected_peer_key: str) -> None:
        self._us = us
        self._expected = expected_peer_key
        self.state = State.WAIT_HELLO
        self.peer: Replica | None = None
        self._reader = FrameReader()
        self._writer = FrameWriter()
        self._effects: list[Effect] = []
        self._tokens = count(1)
        self._waiting: dict[Token, Callable[[Any], None]] = {}
        self._incoming: dict[int, IncomingStream] = {}
        self._outgoing: dict[int, OutgoingStream] = {}
        self._repairs: dict[int, RepairSender] = {}
        self._window = _Window()
        self._progress = -1
        self.now = 0.0
        self._heard_at = 0.0
        self._said_at = 0.0

    # -- LinkSession

    def start(self, now: float) -> list[Effect]:
        self.now = self._heard_at = self._said_at = now
        us = self._us
        self.send(
            wire.Hello(
                wire.VERSIONS,
                us.database,
                us.replica.site,
                us.replica.epoch,
                us.peer_key,
                us.device_name,
                us.clock(),
                WINDOW_BYTES,
            )
        )
        return self._drained()

    def receive(self, data: bytes, now: float) -> list[Effect]:
        self.now = self._heard_at = now
        if self.state is State.CLOSED:
            return []
        self._reader.feed(data)
        return self._guarded(self._read)

    def tick(self, now: float) -> list[Effect]:
        self.now = now
        if self.state is State.CLOSED:
            return []
        return self._guarded(self._look_at_clock)

    def answered(self, token: Token, answer: object, now: float) -> list[Effect]:
        self.now = now
        then = self._waiting.pop(token, None)
        if then is None or self.state is State.CLOSED:
            return []
        return self._guarded(lambda: then(answer))

    def failed(self, token: Token, error: Exception, now: float) -> list[Effect]:
        self.now = now
        if self._waiting.pop(token, None) is None or self.state is State.CLOSED:
            return []
        code = error.code if isinstance(error, EdgeError) else ""
        name = {
            "clock_skew": CLOCK_SKEW,
            "corrupt_item": PROTOCOL_VIOLATION,
            PROTOCOL_VIOLATION: PROTOCOL_VIOLATION,
        }.get(code, INTERNAL_ERROR)
        self._end(name, str(error) if name != INTERNAL_ERROR else code)
        return self._drained()

    def committed(self, lsn: int, collections: frozenset[str], now: float) -> list[Effect]:
        self.now = now
        if self.state is not State.ESTABLISHED:
            return []

        def hear() -> None:
            for stream in self._outgoing.values():
                stream.committed(lsn, collections)
            for incoming in self._incoming.values():
                incoming.committed(lsn)

        return self._guarded(hear)

    def cursors_dropped(self, collections: frozenset[str], now: float) -> list[Effect]:
        self.now = now
        if self.state is not State.ESTABLISHED:
            return []

        def find() -> None:
            for stream in self._incoming.values():
                if stream.scope.collection in collections:
                    stream.find()

        return self._guarded(find)

    def send_presence(self, records: tuple[bytes, ...]) -> list[Effect]:
        if self.state is State.ESTABLISHED and records:
            self.send(wire.Presence(list(records)))
        return self._drained()

    def send_blob(self, message: bytes) -> list[Effect]:
        if self.state is State.ESTABLISHED:
            self.send(wire.Blob(message))
        return self._drained()

    def refuse(self, reason: str, detail: str = "") -> list[Effect]:
        if self.state is not State.CLOSED:
            self._end(reason, detail)
        return self._drained()

    @property
    def is_idle(self) -> bool:
        return all(stream.is_idle for stream in self._outgoing.values())

    @property
    def wants_bytes(self) -> bool:
        queued = sum(stream.queued_batches for stream in self._incoming.values())
        return queued < MAX_QUEUED_BATCHES

    # -- Port

    def send(self, message: wire.Message) -> int:
        """Put a message on the wire; return its size there."""
        data = self._writer.message(
            wire.encode(message), deflated=not isinstance(message, wire.Blob)
        )
        self._said_at = self.now
        self._effects.append(Send(data))
        return len(data)

    def ask(self, request: Request, then: Callable[[Answer], None]) -> None:
        """Have the database perform a request."""
        self._effects.append(Ask(self._token(then), request))

    def compute(self, steps: Generator[None, None, T], then: Callable[[T], None]) -> None:
        """Have steps run to their end."""
        self._effects.append(Compute(self._token(then), steps))

    def tell(self, event: PresenceHeard | Progress | Received) -> None:
        """Tell the node."""
        self._effects.append(Tell(event))

    # -- Neighbourhood

    def offer(self, collection: str, id_keys: tuple[bytes, ...]) -> None:
        """Offer documents on the first stream of theirs that is for the collection."""
        for stream in self._outgoing.values():
            if stream.scope.collection == collection:
                stream.offer(id_keys)
                return

    def came_from_peer(self, collection: str, echoes: tuple[tuple[bytes, int], ...]) -> None:
        """Have no stream send back what the peer gave."""
        for stream in self._outgoing.values():
            if stream.scope.collection == collection:
                stream.came_from_peer(echoes)

    def encoded_arguments(self, scope: Scope) -> bytes:
        """Return a scope's arguments as SUBSCRIBE carries them."""
        return wire.encode(dict(scope.arguments))

    def new_salt(self) -> bytes:
        """Return 16 random bytes."""
        return self._us.entropy(16)

    # -- inner: bytes

    def _token(self, then: Callable[[Any], None]) -> Token:
        token = Token(next(self._tokens))
        self._waiting[token] = then
        return token

    def _guarded(self, work: Callable[[], None]) -> list[Effect]:
        try:
            work()
        except PeerViolation as error:
            self._end(PROTOCOL_VIOLATION, error.detail)
        except MalformedReconciliation as error:
            self._end(PROTOCOL_VIOLATION, str(error))
        except Refused as error:
            self._end(error.name, error.detail)
        return self._drained()

    def _drained(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    def _end(self, reason: str, detail: str) -> None:
        self.send(wire.Bye(reason, detail[:1000]))
        self._effects.append(Close(reason, detail))
        self._close()

    def _close(self) -> None:
        self.state = State.CLOSED
        self._waiting.clear()
        self._incoming.clear()
        self._outgoing.clear()
        self._repairs.clear()

    def _read(self) -> None:
        for payload in self._reader.messages():
            message = wire.decode(payload)
            if message is not None:
                self._take(message)
            if self.state is State.CLOSED:
                return

    def _take(self, message: wire.Message) -> None:
        if isinstance(message, wire.Bye):
            self._effects.append(Close(message.reason, message.detail))
            self._close()
        elif self.state is State.WAIT_HELLO:
            if not isinstance(message, wire.Hello):
                raise PeerViolation("a message before HELLO")
            self._greeted(message)
        else:
            self._dispatch(message)

    # -- inner: HELLO

    def _greeted(self, hello: wire.Hello) -> None:
        us = self._us
        if not set(hello.versions) & set(wire.VERSIONS):
            raise Refused(PROTOCOL_VERSION, f"the peer speaks {hello.versions}")
        if hello.database != us.database:
            raise Refused(DATABASE_MISMATCH, "the peer has another database")
        if hello.peer_key == us.peer_key:
            raise Refused(SELF_LINK, "the peer is this server")
        if hello.peer_key != self._expected:
            raise PeerViolation("HELLO and certificate name different peers")
        ahead = abs(milliseconds(Timestamp(hello.clock)) - us.now_ms())
        if ahead > MAX_AHEAD_MS:
            raise Refused(CLOCK_SKEW, f"the clocks are {ahead / 1000:.0f} s apart")
        self._reader.limit_bytes = MAX_MESSAGE_BYTES
        self._window.limit = hello.window
        self.state = State.ESTABLISHED
        self.peer = Replica(SiteId(hello.site), hello.epoch)
        self._effects.append(Tell(Established(hello.peer_key, hello.device_name, self.peer)))
        self.send(wire.Met(us.heard_of(self.peer)))
        for number, scope in enumerate(us.scopes):
            stream = IncomingStream(self, self, number, scope, self.peer, us.announce)
            self._incoming[number] = stream
            stream.find()

    # -- inner: messages

    def _dispatch(self, message: wire.Message) -> None:
        match message:
            case wire.Batch(number=number):
                self._ours(number).take(message)
            case wire.Ack(number=number, lsn=lsn):
                self._theirs(number).acknowledged(lsn)
                self._tell_progress()
            case wire.KeepAlive(fingerprints=fingerprints):
                for number, lsn, fingerprint in fingerprints:
                    self._ours(number).told(lsn, fingerprint)
            case wire.Want(number=number, id_keys=id_keys):
                self._theirs(number).supply(tuple(id_keys))
            case wire.Supply(number=number, items=items):
                self._ours(number).supplied(wire.read_items(items))
            case wire.Offer(number=number, items=items):
                self._ours(number).offered(wire.read_items(items))
            case wire.Gone():
                self._gone(message)
            case wire.Presence(records=records):
                self._effects.append(Tell(PresenceHeard(tuple(records))))
            case wire.Blob(message=inner):
                self._effects.append(Tell(BlobHeard(inner)))
            case wire.Met(of_you=of_you):
                clock = Timestamp(0)
                self.ask(Observe(clock=clock, of_us=of_you), lambda _: None)
            case wire.Hello():
                raise PeerViolation("a second HELLO")
            case _:
                self._dispatch_streams(message)

    def _dispatch_streams(self, message: wire.Message) -> None:
        match message:
            case wire.Subscribe():
                self._subscribed(message)
            case wire.Unsubscribe(number=number):
                self._theirs(number).wait()
                del self._outgoing[number], self._repairs[number]
            case wire.Stale(number=number):
                self._ours(number).stale()
            case wire.Closed(number=number):
                self._ours(number).closed()
            case wire.RepairBegin(number=number, salt=salt):
                self._theirs(number).wait()
                self._repairs[number].begin(salt)
            case wire.RepairCells() | wire.RepairPull() | wire.RepairHave():
                self._theirs(message.number)
                self._repairs[message.number].take(message)
            case wire.RepairDone(number=number, lsn=lsn):
                self._repairs[number].end()
                self._theirs(number).begin(lsn)
            case (
                wire.RepairSummary() | wire.RepairAnswer() | wire.RepairItems() | wire.RepairFates()
            ):
                repair = self._ours(message.number).repair
                # One that crossed with a new beginning of ours is for nobody.
                if repair is not None:
                    repair.take(message)

    def _ours(self, number: int) -> IncomingStream:
        stream = self._incoming.get(number)
        if stream is None:
            raise PeerViolation(f"a message for subscription {number}, which is none of ours")
        return stream

    def _theirs(self, number: int) -> OutgoingStream:
        stream = self._outgoing.get(number)
        if stream is None:
            raise PeerViolation(f"a message for subscription {number}, which is none of theirs")
        return stream

    def _subscribed(self, message: wire.Subscribe) -> None:
        number = message.number
        old = self._outgoing.pop(number, None)
        if old is not None:
            old.wait()
        try:
            arguments = msgspec.msgpack.decode(message.arguments)
            scope = self._us.scope_of(message.query, cast(Mapping[str, Value], arguments))
        except (EdgeError, msgspec.MsgspecError, RecursionError) as error:
            self._outgoing.pop(number, None)
            self.send(wire.Closed(number, str(error)[:1000]))
            return
        stream = OutgoingStream(self, self._window, number, scope, message.announce)
        self._outgoing[number] = stream
        self._repairs[number] = RepairSender(self, stream, number, scope)
        if message.position is None and message.held:
            stream.wait()
        else:
            stream.begin(message.position or 0)

    def _gone(self, message: wire.Gone) -> None:
        """The peer deleted these long ago: `of_mine` says whose subscription is named."""
        stream = self._theirs(message.number) if message.of_mine else self._ours(message.number)
        seen = wire.read_seen(message.seen)
        self.ask(DeleteGone(collection=stream.scope.collection, seen=seen), lambda _: None)

    # -- inner: time

    def _look_at_clock(self) -> None:
        if self.now - self._heard_at >= DEAD_SECONDS:
            self._end(SILENT, f"nothing came for {DEAD_SECONDS} s")
            return
        if self.state is not State.ESTABLISHED or self.now - self._said_at < KEEP_ALIVE_SECONDS:
            return
        for stream in self._outgoing.values():
            stream.pass_cursor()
        told = [each.idle_fingerprint() for each in self._outgoing.values()]
        self.send(wire.KeepAlive([each for each in told if each is not None]))
        for incoming in self._incoming.values():
            incoming.look()
        self._tell_progress()

    def _tell_progress(self) -> None:
        if not self._outgoing:
            return
        lsn = min(stream.acknowledged_lsn for stream in self._outgoing.values())
        if lsn != self._progress:
            self._progress = lsn
            self._effects.append(Tell(Progress(lsn)))
