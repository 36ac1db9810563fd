# SPDX-License-Identifier: Apache-2.0
"""A simulated server: a real database and real sessions, dialling and being dialled."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import Deferred

from edge_twisted.documents.clock import ClockSkew
from edge_twisted.documents.versions import Replica as ReplicaName
from edge_twisted.mesh.links.link_choice import LinkEnds, LinkVerdict, judge
from edge_twisted.mesh.ports.effects import (
    Ask,
    Close,
    Compute,
    Effect,
    Established,
    PeerSubscribed,
    PeerUnsubscribed,
    Received,
    Send,
    StreamProgress,
    Tell,
    Unwanted,
)
from edge_twisted.mesh.ports.requests import ApplyBatch, DeleteGone, Observe, Scope
from edge_twisted.mesh.session.bases import BaseMemory
from edge_twisted.mesh.session.credit import WINDOW_BYTES
from edge_twisted.mesh.session.handshake import LocalServer
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.session import Session
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.wire.end_reasons import EndReason
from edge_twisted.mesh.wire.features import VERSIONS
from edge_twisted.mesh.wire.items import Item, ScopeKey
from edge_twisted.records.facts import ACKNOWLEDGED
from edge_twisted.replication.transit_relay import RelayParts, TransitRelay
from edge_twisted.store.hidden import shown_name
from edge_twisted.store.rows import Commit
from tests.support.replica import ReplicaServer
from tests.support.simulation.contents import Contents
from tests.support.simulation.network import SimulatedConnection
from tests.support.simulation.storage import Storage
from tests.support.simulation.world import EPOCH_MS, World

TICK_SECONDS: Final = 0.5
#: A connection whose end was announced is cut after so long.
CLOSE_SECONDS: Final = 2.0
#: How long the database takes at most, and its answers on their way back.
WORK_SECONDS: Final = 0.02
_DATABASE: Final = b"d" * 32
#: Reasons for which links may end; any other is a bug.
_EXPECTED_ENDS: Final = frozenset(
    {
        EndReason.GOODBYE,
        EndReason.LOST,
        EndReason.DUPLICATE_LINK,
        EndReason.DUPLICATE_PEER,
        EndReason.CLOCK_SKEW,
    }
)


class SimulationFailed(AssertionError):
    """Something happened that must not happen."""


@define(eq=False)
class ConnectionEnd:
    """A server's end of a connection, and the session on it."""

    server: Server
    peer: Server
    dialled: bool
    incarnation: int
    connection: SimulatedConnection | None = None
    side: int = 0
    session: Session | None = None
    ends: LinkEnds | None = None
    is_over: bool = False
    reason: str = ""
    _unread: deque[bytes] = field(factory=deque)
    _effects: deque[Effect] = field(factory=deque)
    _is_running: bool = False

    def start(self) -> None:
        """Begin the session, once the connection stands."""
        self.session = self.server.new_session(self.peer)
        self.run(self.session.start(self.server.world.now))

    # -- Receiver

    def received(self, data: bytes) -> None:
        self._unread.append(data)
        self._read()

    def lost(self) -> None:
        if self.is_over and self not in self.server.ends:
            return
        self.drop()
        self.server.forget(self)

    def drop(self) -> None:
        """The connection is gone, for this end at least."""
        self.is_over = True
        if self.session is not None:
            self.session.lost()
            self.session = None

    # -- the session

    def _read(self) -> None:
        session = self.session
        while self._unread and session is not None and not self.is_over and session.wants_bytes:
            data = self._unread.popleft()
            self.run(session.receive(data, self.server.world.now))

    def do(self, step: Callable[[Session], list[Effect]]) -> None:
        """Let the session do something, if it still lives."""
        if self.session is not None and not self.is_over:
            self.run(step(self.session))

    def tick(self) -> None:
        """Let half a second have passed."""
        if self.session is not None and not self.is_over:
            self.run(self.session.tick(self.server.world.now))

    def refuse(self, reason: EndReason) -> None:
        """End the link."""
        if self.session is not None and not self.is_over:
            self.run(self.session.refuse(reason))

    def run(self, effects: list[Effect]) -> None:
        """Carry out effects, those that come of them behind them."""
        self._effects.extend(effects)
        if self._is_running:
            return
        self._is_running = True
        while self._effects and not self.is_over:
            self._carry_out(self._effects.popleft())
        self._is_running = False

    def _carry_out(self, effect: Effect) -> None:
        assert self.connection is not None
        match effect:
            case Send(data):
                self.connection.send(1 - self.side, data)
            case Ask(token, request):
                self.server.perform(self, token, request)
            case Compute(token, steps):
                self.server.compute(self, token, steps)
            case Close(reason, detail):
                self._close(reason, detail)
            case Tell(Established() as event):
                self.server.established(self, event)
            case Tell(StreamProgress(acknowledged_lsn=lsn)):
                if lsn > self.server.replica.store.lsn:
                    raise SimulationFailed("a peer acknowledged what was never committed")
                self.server.acknowledged_lsn = max(self.server.acknowledged_lsn, lsn)
                self.server.progressed(self, StreamProgress(lsn))
            case Tell(Received(documents=documents)):
                self.server.documents_received += documents
            case Tell(PeerSubscribed() | PeerUnsubscribed() | Unwanted() as event):
                self.server.told(self, event)

    def _close(self, reason: str, detail: str) -> None:
        self.server.world.note("close", self.server.name, self.peer.name, reason, detail)
        is_skew = reason == EndReason.CLOCK_SKEW
        if reason not in _EXPECTED_ENDS or (is_skew and not self.server.may_be_skewed):
            raise SimulationFailed(f"{self.server.name}: link ended with {reason}: {detail}")
        self.is_over = True
        self.reason = reason
        self.session = None
        self.server.forget(self)
        connection = self.connection
        assert connection is not None
        connection.finish(1 - self.side)
        self.server.world.later(CLOSE_SECONDS, connection.cut)

    def answer(self, token: Any, result: Any) -> None:
        """Give the session an answer."""
        if self.session is None or self.is_over:
            return
        now = self.server.world.now
        if isinstance(result, Exception):
            self.run(self.session.failed(token, result, now))
        else:
            self.run(self.session.answered(token, result, now))
        self._read()


class _Neighbours:
    """The links of a simulated server, for its relay."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def _do(self, peer: str, step: Callable[[Session], list[Effect]]) -> None:
        for end in tuple(self._server.ends):
            if end.peer.key == peer and self._server.linked(end.peer) is end:
                end.do(step)

    def subscribe(self, peer: str, scope: Scope) -> None:
        now = self._server.world.now
        self._do(peer, partial(Session.subscribe, scope=scope, now=now))

    def unsubscribe(self, peer: str, key: ScopeKey) -> None:
        now = self._server.world.now
        self._do(peer, partial(Session.unsubscribe, key=key, now=now))

    def cut_off(self, peer: str, detail: str) -> None:
        self._server.world.note("cut off", self._server.name, peer)
        for end in tuple(self._server.ends):
            if end.peer.key == peer and end.connection is not None:
                end.connection.cut()


class Server:
    """
    One server.

    :ivar queries: what it subscribes to now; `final_queries` in the end.
    :ivar offset_ms: how far its wall clock is off.
    :ivar may_be_skewed: False once all clocks are right: no link ends for them any more.
    :ivar ends: its ends of connections.
    :ivar held_when_down: what it will start with; a store that is closed cannot be asked.
    """

    def __init__(
        self,
        world: World,
        number: int,
        storage: Storage,
        queries: tuple[str, ...],
        transit_bytes: int | None = None,
    ) -> None:
        self.world = world
        self.number = number
        self.name = f"n{number}"
        self.key = PeerKey(f"pk{number:03d}")
        self.storage = storage
        self.queries = self.final_queries = queries
        self.transit_bytes = transit_bytes
        self.relay: TransitRelay | None = None
        self.has_subscribed = bool(queries)
        self.progress: dict[str, int] = {}
        self.offset_ms = 0
        self.may_be_skewed = True
        self.announces = world.chance(0.5)
        self.drops_moved_out = world.chance(0.3)
        self.calls_at_commit: list[tuple[int, Callable[[], None]]] = []
        self.versions = VERSIONS if world.chance(0.85) else VERSIONS[:1]
        self.window_bytes = world.random.choice((WINDOW_BYTES, WINDOW_BYTES, 4096))
        self.pulls = Pulls()
        self.bases = BaseMemory()
        self.is_up = False
        self.incarnation = 0
        self.ends: list[ConnectionEnd] = []
        self.documents_received = 0
        #: The id key of a document, and the items in which it came, before they were applied.
        self.watched: bytes | None = None
        self.came: list[Item] = []
        self.acknowledged_lsn = -1
        self.held_when_down = Contents()
        self._writes_at = 0.0
        self._commits_at = 0.0
        self.replica: ReplicaServer
        self.start()

    # -- life

    def now_ms(self) -> int:
        """The wall clock."""
        return EPOCH_MS + int(self.world.now * 1000) + self.offset_ms

    def start(self) -> None:
        """Open the database, and begin to tick."""
        self.is_up = True
        store = self.storage.open(self.now_ms)
        self.replica = ReplicaServer(
            self.name,
            store,
            self.now_ms,
            drop_moved_out=self.drops_moved_out,
            transit_bytes=self.transit_bytes,
        )
        self._subscribe()
        self._start_transit()
        self.replica.documents.watch(self)
        store.on_commit(self._commit)
        incarnation = self.incarnation
        self.world.soon(TICK_SECONDS, lambda: self._tick(incarnation))
        self.world.note("start", self.name, self.replica.documents.replica.epoch)

    def _start_transit(self) -> None:
        documents = self.replica.documents
        self.storage.wait(Deferred.fromCoroutine(documents.start_transit()))
        if self.transit_bytes is None:
            return
        self.relay = TransitRelay(
            RelayParts(
                documents=documents,
                store=self.replica.store,
                neighbours=_Neighbours(self),
                progress=lambda peer: min(self.progress.get(peer, 0), self.replica.store.lsn),
                seconds=lambda: self.world.now,
                now_ms=self.now_ms,
                entropy=self.world.entropy,
            )
        )
        with self.replica.store.snapshot() as snapshot:
            self.relay.load(snapshot)

    def told(self, end: ConnectionEnd, event: object) -> None:
        """Let the relay hear of an event on the link with a peer."""
        if self.relay is not None and self.linked(end.peer) is end:
            self.relay.told(end.peer.key, end, event)

    def progressed(self, end: ConnectionEnd, event: StreamProgress) -> None:
        """Note how far a peer is."""
        self.progress[end.peer.key] = event.acknowledged_lsn
        self.told(end, event)

    def crash(self) -> None:
        """Stop at once: connections break, what waits is lost, what is durable stays."""
        self.world.note("crash", self.name, self.replica.store.lsn)
        self.held_when_down = self.held
        self.is_up = False
        self.incarnation += 1
        self.pulls = Pulls()
        self.bases = BaseMemory()
        self.calls_at_commit.clear()
        for end in tuple(self.ends):
            end.drop()
            if end.connection is not None:
                end.connection.cut()
        self.ends.clear()
        self.storage.close()

    @property
    def held(self) -> Contents:
        """What it holds; while it is down, what it will start with."""
        return Contents.of(self.replica.store) if self.is_up else self.held_when_down

    def subscribe(self, queries: tuple[str, ...]) -> None:
        """Change the subscriptions, over the links that there are."""
        before = self.scopes
        self.queries = queries
        self.has_subscribed = self.has_subscribed or bool(queries)
        self._subscribe()
        gone = [scope for scope in before if scope.key not in {s.key for s in self.scopes}]
        now = self.world.now
        for end in tuple(self.ends):
            for scope in gone:
                end.do(partial(Session.unsubscribe, key=scope.key, now=now))
            for scope in self.scopes:
                end.do(partial(Session.subscribe, scope=scope, now=now))
        if self.relay is not None:
            self.relay.scopes_changed()

    def _subscribe(self) -> None:
        documents = self.replica.documents
        self.scopes = tuple(documents.scope(query, {}) for query in self.queries)
        documents.subscribe(self.scopes)

    def new_session(self, peer: Server) -> Session:
        """Return a session for a link with a peer."""
        documents = self.replica.documents
        us = LocalServer(
            home=documents,
            database=_DATABASE,
            peer_key=self.key,
            device_name=self.name,
            now_ms=self.now_ms,
            entropy=self.world.entropy,
            window_bytes=self.window_bytes,
            versions=self.versions,
        )
        return Session(
            us,
            peer.key,
            (*self.scopes, *(self.relay.initial(peer.key) if self.relay is not None else ())),
            pulls=self.pulls,
            bases=self.bases,
            has_other_sources=lambda: self.announces and len(self.ends) > 1,
        )

    # -- links

    def linked(self, peer: Server) -> ConnectionEnd | None:
        """Return the established link with a peer."""
        for end in self.ends:
            if end.peer is peer and end.ends is not None and not end.is_over:
                return end
        return None

    def note_acknowledged(self) -> None:
        """Write down how far a peer is, as the service does every other second."""
        if self.acknowledged_lsn >= 0:
            lsn = self.acknowledged_lsn.to_bytes(8, "big")
            self.storage.wait(
                self.replica.store.write("peers", lambda u: u.put_fact(ACKNOWLEDGED, b"", lsn))
            )

    def forget(self, end: ConnectionEnd) -> None:
        """A connection is gone."""
        if end in self.ends:
            self.ends.remove(end)
            if self.relay is not None and end.ends is not None and not self.linked(end.peer):
                self.relay.disconnected(end.peer.key)

    def established(self, end: ConnectionEnd, event: Established) -> None:
        """Decide between two links with one peer."""
        ends = LinkEnds(
            peer=PeerKey(event.peer_key), replica=event.replica, dialled_by_us=end.dialled
        )
        old = self.linked(end.peer)
        verdict = judge(ends, old.ends if old else None, self.key, self.replica.documents.replica)
        end.ends = ends
        if verdict is LinkVerdict.KEEP and self.relay is not None:
            self.relay.connected(end.peer.key, event.replica.site, end)
        if verdict is LinkVerdict.REPLACE:
            assert old is not None
            old.refuse(EndReason.DUPLICATE_LINK)
        elif verdict is not LinkVerdict.KEEP:
            end.refuse(verdict.value)

    # -- Watcher, commits, time

    def cursors_dropped(self, collections: frozenset[str]) -> None:
        """Pass it on."""

        def tell() -> None:
            for end in tuple(self.ends):
                if end.session is not None:
                    end.run(end.session.cursors_dropped(collections, self.world.now))

        self._soon(tell)

    def scopes_opened(self, collections: frozenset[str]) -> None:
        """As if something had been committed."""
        self._commit(Commit(lsn=self.replica.store.lsn, collections=collections))

    def replica_renewed(self, replica: ReplicaName) -> None:
        """Everybody has to meet us anew."""
        self.world.note("renewed", self.name, replica.epoch)
        for end in tuple(self.ends):
            end.refuse(EndReason.GOODBYE)

    def call_at_commit(self, number: int, call: Callable[[], None]) -> None:
        """Call a function right after so many commits from now, before anything else happens."""
        self.calls_at_commit.append((self.replica.store.lsn + number, call))

    def _commit(self, commit: Commit) -> None:
        self.world.note("commit", self.name, commit.lsn)
        for lsn, call in tuple(self.calls_at_commit):
            if lsn <= commit.lsn:
                self.world.later(0.0, call)
        collections = frozenset(map(shown_name, commit.collections))
        self._commits_at = max(self._commits_at, self.world.now + self.world.random.random() / 500)

        def tell() -> None:
            for end in tuple(self.ends):
                if end.session is not None and not end.is_over:
                    now = self.world.now
                    end.run(end.session.committed(commit.lsn, collections, now))
            if self.relay is not None:
                self.relay.check_room()

        self._at(self._commits_at, tell)

    def _tick(self, incarnation: int) -> None:
        if incarnation != self.incarnation:
            return
        for end in tuple(self.ends):
            end.tick()
        if self.relay is not None:
            self.relay.tick()
        self.world.later(TICK_SECONDS, lambda: self._tick(incarnation))

    def _soon(self, call: Any) -> None:
        self._at(self.world.now + self.world.random.random() / 500, call)

    def _at(self, moment: float, call: Any) -> None:
        incarnation = self.incarnation

        def unless_crashed() -> None:
            if incarnation == self.incarnation:
                call()

        self.world.later(moment - self.world.now, unless_crashed)

    # -- what sessions ask

    def perform(self, end: ConnectionEnd, token: Any, request: Any) -> None:
        """Perform a request after a while, and give the answer after another."""
        moment = self.world.now + self.world.random.random() * WORK_SECONDS
        if isinstance(request, ApplyBatch):
            self.came += [item for item in request.items if item.id_key == self.watched]
        if isinstance(request, ApplyBatch | DeleteGone | Observe):
            moment = self._writes_at = max(moment, self._writes_at)

        def work() -> None:
            # A request of a link that is gone is cancelled while it waits.
            if end.is_over:
                return
            result: Any
            try:
                result = self.storage.wait(self.replica.documents.perform(request))
            except ClockSkew as error:
                result = error
            self.world.note("did", self.name, end.peer.name, type(request).__name__)
            self._at(
                self.world.now + self.world.random.random() * WORK_SECONDS,
                lambda: end.answer(token, result),
            )

        self._at(moment, work)

    def compute(self, end: ConnectionEnd, token: Any, steps: Any) -> None:
        """Run a computation."""
        result = None
        try:
            while True:
                next(steps)
        except StopIteration as stop:
            result = stop.value
        self._soon(lambda: end.answer(token, result))
