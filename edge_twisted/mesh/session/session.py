# SPDX-License-Identifier: Apache-2.0
"""
The session of one link: the protocol without I/O.

A `Session` is the protocol on one connection, from the first byte to the end.  It touches neither
transport, clock nor database.  Whoever owns the connection (`edge_twisted.mesh.links.link`, or a
simulation) calls one of its methods for whatever happens, and carries out the effects that the call
returns, in order:

    what happens                      method               effects that may come of it
    bytes came                        `receive`            Send, Ask, Compute, Tell, Close
    half a second passed              `tick`               Send, Tell, Close
    a transaction became durable      `committed`          Ask, Send, Tell
    an Ask or a Compute was answered  `answered`, `failed` all of them

*A message's way.*  `receive` gives the bytes to a `FrameReader`.  For each whole message, `Intake`
checks its rate, and the table `states.LINK` whether it may come now.  HELLO, BYE and other messages
of the link are handled here.  All others go to `LinkStreams`, which finds the stream and asks that
stream's table.

*Questions.*  Nothing waits inside.  A stream that needs the database emits `Ask` with a token and
leaves a function behind, which `answered` calls with the answer; long computations do the same with
`Compute`.  While many questions run, or their messages were large, no further message is taken and
`wants_bytes` is False: the owner stops reading the connection, so that memory stays bounded.  After
`MESSAGES_AT_ONCE` messages, the session rests for a turn of the reactor.

*The end.*  A `PeerViolation` or a `Refused` that anything below raises ends the link: effects that
ask for something are withdrawn, so that nothing of the message is applied, BYE tells the peer the
`EndReason`, and `Close` is the last effect.  After that every method returns nothing.

*Time* is given with each call, in monotonic seconds.  A session says something every
`KEEP_ALIVE_SECONDS`, and takes a peer for dead from which nothing came for `DEAD_SECONDS`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from itertools import count
from typing import Final, TypeVar, cast

from edge_twisted.documents.clock import Timestamp
from edge_twisted.errors import Culprit, EdgeError
from edge_twisted.mesh.limits.rates import Intake, answers_to
from edge_twisted.mesh.ports.effects import (
    Ask,
    BlobHeard,
    Close,
    Compute,
    Effect,
    Established,
    Event,
    PresenceHeard,
    Send,
    StreamProgress,
    Tell,
    Token,
)
from edge_twisted.mesh.ports.requests import Answer, Observe, Question, Scope
from edge_twisted.mesh.reconciliation.errors import MalformedReconciliation
from edge_twisted.mesh.session.bases import BaseMemory
from edge_twisted.mesh.session.clocks import CARRIERS, LinkClocks
from edge_twisted.mesh.session.handshake import LocalServer, check, hello
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.states import LINK, LinkEvent, LinkState
from edge_twisted.mesh.session.streams import MESSAGES_AT_ONCE, LinkStreams
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.end_reasons import EndReason, end_reason
from edge_twisted.mesh.wire.features import Features
from edge_twisted.mesh.wire.frames import MAX_MESSAGE_BYTES, FrameReader, FrameWriter
from edge_twisted.mesh.wire.items import ScopeKey
from edge_twisted.mesh.wire.state_machine import Machine
from edge_twisted.mesh.wire.violations import PeerViolation, Refused

A = TypeVar("A", bound=Answer)
T = TypeVar("T")

KEEP_ALIVE_SECONDS: Final = 1.5
#: A peer from which nothing came for so long is dead: three keep-alives are missing.
DEAD_SECONDS: Final = 4.5
#: Questions and computations that run; with more, no message is taken.
MAX_ASKED: Final = 64
#: Bytes of messages whose questions run; with more, no message is taken.  Decoded, a message takes
#: many times its bytes, so this is far below `MAX_ASKED` of the largest messages.
MAX_ASKED_BYTES: Final = 8 << 20
#: Questions of the peer that read the database at a time: other links need the readers too.
MAX_READING: Final = 2
#: Characters of the detail of a BYE.
_MAX_DETAIL: Final = 1000

#: Codes of errors of the database that have an end reason of their own.
_END_REASON_OF: Final = {
    "clock_skew": EndReason.CLOCK_SKEW,
    "implausible_claim": EndReason.IMPLAUSIBLE_CLAIM,
}
#: How a link ends for any other error of the database, by who is at fault.
_END_REASON_FOR: Final = {Culprit.PEER: EndReason.PROTOCOL_VIOLATION}


class Session:
    """The protocol on one link: a `LinkSession` (`mesh.ports.effects`), the `Port` of its streams.

    :param certified_key: the peer key that the peer's certificate names.
    :param scopes: the initial subscriptions.
    :param pulls: shared by all links of this server, and so are `bases`.
    :param has_other_sources: returns whether there are other links now, so that the peer should
        announce large documents instead of sending them.
    """

    def __init__(
        self,
        local: LocalServer,
        certified_key: str,
        scopes: Iterable[Scope] = (),
        *,
        pulls: Pulls | None = None,
        bases: BaseMemory | None = None,
        has_other_sources: Callable[[], bool] = lambda: False,
    ) -> None:
        self._local = local
        self._certified_key = certified_key
        self._scopes = {scope.key: scope for scope in scopes}
        self._pulls = pulls if pulls is not None else Pulls()
        self._bases = bases if bases is not None else BaseMemory()
        self._has_other_sources = has_other_sources
        self._replica = local.home.replica
        self._clocks = LinkClocks(local)
        self._machine = Machine(LINK, LinkState.WAIT_HELLO)
        #: What the link may carry; until HELLO has told, nothing but HELLO and BYE may come.
        self._features = Features(1)
        self._streams: LinkStreams | None = None
        self._reader = FrameReader()
        self._writer = FrameWriter()
        self._effects: list[Effect] = []
        self._tokens = count(1)
        #: Questions that run: what to call with the answer, and the size of the message that asked.
        self._asked: dict[Token, tuple[Callable[[object], None], int]] = {}
        self._asked_bytes = 0
        #: The size of the message that is being taken, 0 between messages.
        self._taken_bytes = 0
        self._intake = Intake()
        #: Questions of the peer that read the database, and those that wait for their turn.
        self._reads_running: set[Token] = set()
        self._reads_waiting: deque[Ask] = deque()
        #: Whether the reactor serves others before the session takes more messages.
        self._is_resting = False
        self._is_peer_ready = False
        self._progress: int | None = None
        self._announced = False
        self._now = 0.0
        self._heard_at = 0.0
        self._kept_alive_at = 0.0

    # -- LinkSession

    def start(self, now: float) -> list[Effect]:
        self._now = self._heard_at = self._kept_alive_at = now
        self.send(hello(self._local, self._replica, self._clocks.declare()))
        return self._drained()

    def receive(self, data: bytes, now: float) -> list[Effect]:
        """Take bytes of the connection in any pieces; see `LinkSession.receive`."""
        self._heard_at = now
        return self._guarded(now, lambda: self._read(data))

    def tick(self, now: float) -> list[Effect]:
        return self._guarded(now, self._check_clock)

    def answered(self, token: Token, answer: object, now: float) -> list[Effect]:
        """Take the answer to the `Ask` or `Compute` of this token; an unknown token is ignored."""
        then = self._forget(token)

        def go_on() -> None:
            if then is not None:
                then(answer)
            self._read_on()

        return self._guarded(now, go_on)

    def failed(self, token: Token, error: Exception, now: float) -> list[Effect]:
        """End the link: the `Ask` or `Compute` of this token failed; see `LinkSession.failed`."""
        if self._forget(token) is None:
            return []
        reason = EndReason.INTERNAL_ERROR
        if isinstance(error, EdgeError):
            reason = _END_REASON_FOR.get(error.culprit, reason)
            reason = _END_REASON_OF.get(error.code, reason)
        # What went wrong inside is for our own log, not for the peer's.
        detail = "the database failed" if reason.culprit is Culprit.OURSELVES else str(error)
        return self._guarded(now, lambda: self._end(reason, detail))

    def committed(self, lsn: int, collections: frozenset[str], now: float) -> list[Effect]:
        def hear() -> None:
            if self._streams is not None:
                self._streams.committed(lsn, collections)
                self._report_progress()

        return self._guarded(now, hear)

    def cursors_dropped(self, collections: frozenset[str], now: float) -> list[Effect]:
        streams = self._streams
        return self._guarded(now, lambda: streams.cursors_dropped(collections) if streams else None)

    def subscribe(self, scope: Scope, now: float) -> list[Effect]:
        self._scopes[scope.key] = scope
        streams = self._streams
        return self._guarded(now, lambda: streams.subscribe(scope) if streams else None)

    def unsubscribe(self, key: ScopeKey, now: float) -> list[Effect]:
        self._scopes.pop(key, None)
        streams = self._streams
        return self._guarded(now, lambda: streams.unsubscribe(key) if streams else None)

    def lost(self) -> None:
        """End the session of a connection that is gone."""
        if self.state is not LinkState.CLOSED:
            self._close()
        self._effects.clear()

    def send_presence(self, records: tuple[bytes, ...]) -> list[Effect]:
        if self.state is LinkState.ESTABLISHED:
            for start in range(0, len(records), m.MAX_RECORDS):
                self.send(m.Presence(list(records[start : start + m.MAX_RECORDS])))
        return self._drained()

    def send_blob(self, message: bytes) -> list[Effect]:
        if self.state is LinkState.ESTABLISHED:
            self.send(m.Blob(message))
        return self._drained()

    def refuse(self, reason: EndReason, detail: str = "") -> list[Effect]:
        """End the link by a decision of its owner; see `LinkSession.refuse`."""
        return self._guarded(self._now, lambda: self._end(reason, detail))

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self._machine.state

    @property
    def is_idle(self) -> bool:
        """Whether no batch waits to be sent."""
        return self._streams is None or self._streams.is_idle

    @property
    def wants_bytes(self) -> bool:
        """Whether to read the connection; False while too much of what came is worked on."""
        few = len(self._asked) < MAX_ASKED and self._asked_bytes < MAX_ASKED_BYTES
        return few and not self._is_resting

    @property
    def is_caught_up(self) -> bool:
        """Whether every subscription has caught up, as far as the peer has said."""
        return self._streams is not None and self._streams.is_caught_up

    # -- Port

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self._now

    @property
    def declared(self) -> Timestamp:
        """The hybrid clock that the peer declared."""
        return self._clocks.theirs

    def send(self, message: m.Message) -> None:
        """Send a message, and count the answers that it may get."""
        if isinstance(message, CARRIERS):
            self._declare_clock()
        self._intake.said(type(message), answers_to(message))
        # Chunks of blobs are compressed already, or gain little.
        self._put(m.encode(message), deflated=not isinstance(message, m.Blob))

    def send_batch(self, payload: bytes) -> None:
        """Send an encoded BATCH."""
        self._declare_clock()
        self._intake.said(m.Batch)
        self._put(payload, deflated=True)

    def _put(self, payload: bytes, *, deflated: bool) -> None:
        if self.state is not LinkState.CLOSED:
            self._effects.append(Send(self._writer.message(payload, deflated=deflated)))

    def _declare_clock(self) -> None:
        """Say how far the hybrid clock is, before documents come that are stamped so late."""
        news = self._clocks.news()
        if news is not None:
            self.send(news)

    def ask(self, request: Question[A], then: Callable[[A], None]) -> None:
        """Have the database perform a request; call `then` with the answer."""
        self._effects.append(Ask(self._token(then), request))

    def ask_in_turn(self, request: Question[A], then: Callable[[A], None]) -> None:
        """Have the database read for the peer, at most `MAX_READING` requests at a time."""
        self._reads_waiting.append(Ask(self._token(then), request))
        self._start_reads()

    def _start_reads(self) -> None:
        while self._reads_waiting and len(self._reads_running) < MAX_READING:
            ask = self._reads_waiting.popleft()
            self._reads_running.add(ask.token)
            self._effects.append(ask)

    def compute(self, steps: Generator[None, None, T], then: Callable[[T], None]) -> None:
        """Have steps run to their end; call `then` with what they return."""
        self._effects.append(Compute(self._token(then), steps))

    def tell(self, event: Event) -> None:
        """Tell the owner of the link of an event."""
        self._effects.append(Tell(event))

    def _token(self, then: Callable[[T], None]) -> Token:
        token = Token(next(self._tokens))
        # The owner answers a token with what its `Question` or its steps promise.  A type checker
        # cannot follow here, and only here: `answered` takes the answers of all tokens.
        self._asked[token] = (cast("Callable[[object], None]", then), self._taken_bytes)
        self._asked_bytes += self._taken_bytes
        return token

    def _forget(self, token: Token) -> Callable[[object], None] | None:
        then, size = self._asked.pop(token, (None, 0))
        self._asked_bytes -= size
        if token in self._reads_running:
            self._reads_running.discard(token)
            self._start_reads()
        return then

    # -- inner: life

    def _guarded(self, now: float, work: Callable[[], None]) -> list[Effect]:
        self._now = now
        if self.state is LinkState.CLOSED:
            return []
        try:
            work()
        except (PeerViolation, MalformedReconciliation) as error:
            self._end(EndReason.PROTOCOL_VIOLATION, str(error))
        except Refused as error:
            self._end(error.reason, error.detail)
        return self._drained()

    def _drained(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    def _end(self, reason: EndReason, detail: str) -> None:
        """Tell the peer why, and close; questions that were to be asked are withdrawn."""
        detail = detail[:_MAX_DETAIL]
        self._effects = [each for each in self._effects if not isinstance(each, Ask | Compute)]
        self.send(m.Bye(reason, detail))
        self._effects.append(Close(reason, detail))
        self._close()

    def _close(self) -> None:
        self._machine.step(LinkEvent.ENDED)
        self._asked.clear()
        self._reads_running.clear()
        self._reads_waiting.clear()
        if self._streams is not None:
            self._streams.abandon()
            self._streams = None

    # -- inner: messages

    def _read(self, data: bytes) -> None:
        self._reader.feed(data)
        self._read_on()

    def _read_on(self) -> None:
        """Take messages until there are none, or enough questions run; each answer goes on."""
        # Few bytes may inflate to very many messages: not to read the connection is not enough.
        for _ in range(MESSAGES_AT_ONCE if self._streams is None else self._streams.at_once):
            if self.state is LinkState.CLOSED or not self.wants_bytes:
                break
            payload = next(self._reader.messages(), None)
            if payload is None:
                break
            self._take_payload(payload)
        else:
            self._rest()
        self._report_progress()

    def _take_payload(self, payload: bytes) -> None:
        message = m.decode(payload)
        if message is None:
            self._intake.take_unknown(self._now)
            return
        self._intake.take(message, len(payload), self._now)
        self._taken_bytes = len(payload)
        self._take(message, len(payload))
        self._taken_bytes = 0

    def _rest(self) -> None:
        """Take more messages after the reactor has served others."""

        def rested(_: None) -> None:
            self._is_resting = False

        if self.state is not LinkState.CLOSED and not self._is_resting:
            self._is_resting = True
            self.compute(_nothing(), rested)

    def _take(self, message: m.Message, size: int) -> None:
        self._machine.step(type(message))
        if not self._features.has(type(message)):
            version = self._features.version
            raise PeerViolation(f"{type(message).__name__} on a link of version {version}")
        match message:
            case m.Hello():
                self._greeted(message)
            case m.Bye(reason=reason, detail=detail):
                self._effects.append(Close(end_reason(reason) or reason, detail, by_peer=True))
                self._close()
            case m.Met(of_you=of_you):
                self.ask(Observe(clock=self._peer_clock, of_us=of_you), lambda _: None)
            case m.Clock(clock=clock, hybrid_clock=hybrid):
                self._clocks.hear(Timestamp(clock), Timestamp(hybrid))
            case m.Ready():
                self._is_peer_ready = True
                if self._streams is not None:
                    self._streams.peer_is_ready()
            case m.Presence(records=records):
                self.tell(PresenceHeard(tuple(records)))
            case m.Blob(message=inner):
                self.tell(BlobHeard(inner))
            case _:
                self._take_for_streams(message, size)

    def _take_for_streams(self, message: m.Message, size: int) -> None:
        streams = self._streams
        assert streams is not None
        match message:
            case m.KeepAlive(fingerprints=told):
                streams.fingerprints(told)
            case m.Announce(wanted=wanted):
                streams.announce(wanted)
            case _:
                streams.take(message, size)

    def _greeted(self, theirs: m.Hello) -> None:
        local = self._local
        peer = check(local, self._replica, self._certified_key, theirs)
        self._features = peer.features
        self._peer_clock = Timestamp(theirs.clock)
        self._clocks.hear(self._peer_clock, Timestamp(theirs.hybrid_clock or 0))
        self._reader.limit_bytes = MAX_MESSAGE_BYTES
        self._streams = LinkStreams(self, local, peer, self._pulls, self._bases)
        self.tell(Established(theirs.peer_key, theirs.device_name, peer.replica, peer.features))
        self.send(m.Met(local.home.heard_of(peer.replica)))
        self._send_announce()
        self._streams.begin(self._scopes.values())

    # -- inner: time

    def _check_clock(self) -> None:
        if self.wants_bytes is False:
            # Nothing can come while the connection is not read.
            self._heard_at = self._now
        if self._now - self._heard_at >= DEAD_SECONDS:
            self._end(EndReason.LOST, f"nothing came for {DEAD_SECONDS} s")
            return
        if self._local.home.replica != self._replica:
            self._end(EndReason.GOODBYE, "the epoch was renewed")
            return
        streams = self._streams
        if streams is None:
            return
        streams.look_at_clock()
        self._send_announce()
        if self._now - self._kept_alive_at >= KEEP_ALIVE_SECONDS:
            self._kept_alive_at = self._now
            self.send(m.KeepAlive(streams.idle_fingerprints()))
        self._report_progress()

    def _send_announce(self) -> None:
        wanted = self._has_other_sources()
        if wanted != self._announced:
            self._announced = wanted
            self.send(m.Announce(wanted))

    def _report_progress(self) -> None:
        """Tell how far the peer has come, once it has said READY."""
        if self._streams is None or not self._is_peer_ready:
            return
        lsn = self._streams.passed()
        if lsn != self._progress:
            self._progress = lsn
            self.tell(StreamProgress(lsn))


def _nothing() -> Generator[None, None, None]:
    """Compute nothing, in one step: the answer comes after the reactor has served others."""
    yield
