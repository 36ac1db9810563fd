# SPDX-License-Identifier: Apache-2.0
"""Two sessions over a wire in memory; the database is a list of what was asked, and answers."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.documents.clock import BEGINNING, MAX_AHEAD_MS, Timestamp, timestamp
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.mesh.ports.effects import (
    Ask,
    Close,
    Compute,
    Effect,
    Established,
    Send,
    Tell,
    Token,
)
from edge_twisted.mesh.ports.requests import (
    Applied,
    ApplyBatch,
    Changes,
    CursorUnknown,
    Digests,
    DocumentRequest,
    Fates,
    FindGone,
    FindPosition,
    FindSeen,
    Lacking,
    ReadChanges,
    ReadDigests,
    ReadDocuments,
    Scope,
    StreamPosition,
)
from edge_twisted.mesh.session.handshake import LocalServer
from edge_twisted.mesh.session.session import DEAD_SECONDS, Session
from edge_twisted.mesh.session.states import LinkState
from edge_twisted.mesh.wire import messages as wire
from edge_twisted.mesh.wire.features import VERSIONS, Features, common_features
from edge_twisted.mesh.wire.frames import FrameReader, FrameWriter
from edge_twisted.mesh.wire.items import ScopeKey, Whole
from edge_twisted.mesh.wire.violations import PeerViolation

NOW_MS = 1_700_000_000_000


def scope_of(query: str, arguments: Mapping[str, Value]) -> Scope:
    collection = query.rpartition(" ")[2]
    return Scope(
        key=ScopeKey(query.encode()),
        query=query,
        arguments=arguments,
        collection=collection,
        is_whole=True,
    )


@define
class Fake:
    """A database of (id key -> (lsn, body)), enough to sync from and to."""

    documents: dict[bytes, tuple[int, bytes]] = field(factory=dict)
    lsn: int = 0
    cursor: int | None = None
    asked: list[DocumentRequest] = field(factory=list)
    #: Says of some documents that they have to come whole first.
    lacks: set[bytes] = field(factory=set)
    forgets_cursors: bool = False

    def put(self, id_key: bytes, body: bytes) -> None:
        self.lsn += 1
        self.documents[id_key] = (self.lsn, body)

    def digest(self, id_key: bytes) -> int:
        return hash((id_key, self.documents[id_key][1])) & (2**63 - 1)

    def whole(self, id_key: bytes) -> Whole:
        return Whole(id_key, self.documents[id_key][1], b"state")

    def answer(self, request: DocumentRequest) -> Any:
        self.asked.append(request)
        match request:
            case FindPosition():
                return StreamPosition(lsn=self.cursor, held=len(self.documents))
            case ReadChanges(after=after):
                return self._changes(request, after)
            case ApplyBatch():
                return self._apply(request)
            case ReadDocuments(id_keys=id_keys, digests=digests):
                found = [key for key in self.documents if key in id_keys]
                found += [key for key in self.documents if self.digest(key) in digests]
                return tuple(self.whole(key) for key in found)
            case ReadDigests():
                values = array("q", [self.digest(key) for key in self.documents])
                return Digests(lsn=self.lsn, values=values)
            case FindSeen():
                return ()
            case FindGone():
                return Fates()
        return None

    def _changes(self, request: ReadChanges, after: int) -> Any:
        if self.forgets_cursors and 0 < after < 100:
            return CursorUnknown(reason="reaped")
        new = sorted((lsn, key) for key, (lsn, _) in self.documents.items() if lsn > after)
        kept = [self.whole(key) for _, key in new if request.skip.get(key) != self.digest(key)]
        return Changes(items=tuple(kept), lsn=self.lsn, more=False)

    def _apply(self, request: ApplyBatch) -> Any:
        lacking = [item.id_key for item in request.items if item.id_key in self.lacks]
        if lacking:
            self.lacks.clear()
            return Lacking(id_keys=tuple(lacking))
        echoes = []
        for item in request.items:
            assert isinstance(item, Whole) and item.body is not None
            if self.documents.get(item.id_key, (0, b""))[1] != item.body:
                self.put(item.id_key, item.body)
            echoes.append((item.id_key, self.digest(item.id_key)))
        if request.lsn is not None:
            if request.after != self.cursor:
                return Applied(documents=len(request.items), unmoved=(request.scope.key,))
            self.cursor = request.lsn
        return Applied(documents=len(request.items), echoes=tuple(echoes))


@define
class Side:
    """A session with its database, and what came out of it for others."""

    session: Session
    database: Fake
    events: list[object] = field(factory=list)
    closed: Close | None = None
    sent_bytes: int = 0


@define
class Home:
    """What a session looks at without waiting."""

    replica: Replica
    lsn: int = 0
    hybrid_time: Timestamp = BEGINNING

    def heard_of(self, replica: Replica) -> int:
        return 0

    def scope(self, query: str, arguments: Mapping[str, Value]) -> Scope:
        return scope_of(query, arguments)


def us(name: str, **changes: Any) -> LocalServer:
    made = LocalServer(
        home=Home(Replica(SiteId(name.encode() * 16), 1)),
        database=b"d" * 32,
        peer_key=f"pk-{name}",
        device_name=name,
        now_ms=lambda: NOW_MS,
        entropy=lambda length: b"\x07" * length,
    )
    return evolve(made, **changes)


@define
class Pair:
    """Two sides, and the bytes between them."""

    a: Side
    b: Side
    now: float = 0.0
    _queue: deque[tuple[Side, Effect]] = field(factory=deque)

    def other(self, side: Side) -> Side:
        return self.b if side is self.a else self.a

    def do(self, side: Side, effects: list[Effect]) -> None:
        self._queue.extend((side, effect) for effect in effects)

    def run(self) -> None:
        """Carry out effects until nothing is left to do."""
        for _ in range(100_000):
            if not self._queue:
                return
            self._step(*self._queue.popleft())
        raise AssertionError("it does not come to rest")

    def _step(self, side: Side, effect: Effect) -> None:
        match effect:
            case Send(data):
                side.sent_bytes += len(data)
                other = self.other(side)
                self.do(other, other.session.receive(data, self.now))
            case Ask(token, request):
                before = side.database.lsn
                answer = side.database.answer(request)
                self.do(side, side.session.answered(token, answer, self.now))
                if side.database.lsn != before:
                    self.commit(side)
            case Compute(token, steps):
                result = None
                while True:
                    try:
                        next(steps)
                    except StopIteration as end:
                        result = end.value
                        break
                self.do(side, side.session.answered(token, result, self.now))
            case Tell(event):
                side.events.append(event)
            case Close():
                side.closed = effect

    def commit(self, side: Side) -> None:
        lsn = side.database.lsn
        self.do(side, side.session.committed(lsn, frozenset({"tasks"}), self.now))

    def start(self) -> None:
        for side in (self.a, self.b):
            self.do(side, side.session.start(self.now))
        self.run()

    def tick(self, seconds: float) -> None:
        self.now += seconds
        for side in (self.a, self.b):
            self.do(side, side.session.tick(self.now))
        self.run()


QUERY = "SELECT * FROM tasks"
SCOPES = (scope_of(QUERY, {}),)


def pair(
    a: LocalServer,
    b: LocalServer,
    in_a: Fake | None = None,
    in_b: Fake | None = None,
    a_wants: tuple[Scope, ...] = SCOPES,
) -> Pair:
    return Pair(
        Side(Session(a, b.peer_key, a_wants), in_a or Fake()),
        Side(Session(b, a.peer_key, SCOPES), in_b or Fake()),
    )


def test_they_meet_and_sync_both_ways() -> None:
    there = pair(us("a"), us("b"))
    there.start()
    assert any(isinstance(event, Established) for event in there.a.events)
    there.a.database.put(b"1", b"one")
    there.commit(there.a)
    there.b.database.put(b"2", b"two")
    there.commit(there.b)
    there.run()
    shown = [{key: body for key, (_, body) in side.database.documents.items()}
             for side in (there.a, there.b)]  # fmt: skip
    assert shown == [{b"1": b"one", b"2": b"two"}] * 2
    assert there.a.closed is there.b.closed is None


@pytest.mark.parametrize(
    ("ours", "theirs", "version"),
    [((1, 2), (1, 2), 2), ((1, 2), (1,), 1), ((2, 1), (7, 2, 9), 2), ((1,), (2, 1), 1)],
)
def test_the_highest_version_that_both_speak_is_that_of_the_link(
    ours: tuple[int, ...], theirs: tuple[int, ...], version: int
) -> None:
    there = common_features(ours, theirs)
    assert there == common_features(theirs, ours) == Features(version)


def test_servers_without_a_common_version_say_so() -> None:
    there = pair(us("a", versions=(3,)), us("b"))
    there.start()
    assert there.a.closed is not None and there.b.closed is not None
    assert (there.a.closed.reason, there.b.closed.reason) == ("protocol_version",) * 2


@pytest.mark.parametrize("versions", [(1,), (1, 2)])
def test_servers_of_older_versions_sync(versions: tuple[int, ...]) -> None:
    there = pair(us("a", versions=versions), us("b"))
    there.start()
    for side, key in ((there.a, b"1"), (there.b, b"2")):
        side.database.put(key, key)
        there.commit(side)
    there.run()
    assert there.a.database.documents.keys() == there.b.database.documents.keys() == {b"1", b"2"}


def test_what_a_peer_gave_does_not_go_back_to_it() -> None:
    there = pair(us("a"), us("b"))
    there.start()
    there.a.database.put(b"1", b"one")
    there.commit(there.a)
    there.run()
    applied = [r for r in there.a.database.asked if isinstance(r, ApplyBatch) and r.items]
    assert applied == []


def test_in_sync_peers_reconnect_with_few_bytes() -> None:
    full = {str(n).encode(): (n + 1, b"x" * 400) for n in range(1000)}
    first, second = Fake(dict(full), 1000, 1000), Fake(dict(full), 1000, 1000)
    there = pair(us("a"), us("b"), first, second)
    there.start()
    hello = len(FrameWriter().message(wire.encode(wire.Hello(
        list(VERSIONS), b"d" * 32, b"a" * 16, 1, "pk-a", "a", timestamp(NOW_MS), 1 << 20, None,
    ))))  # fmt: skip
    assert there.a.sent_bytes + there.b.sent_bytes - 2 * hello <= 300


def test_what_is_lacking_comes_whole() -> None:
    there = pair(us("a"), us("b"), in_b=Fake(lacks={b"1"}), a_wants=())
    there.start()
    there.a.database.put(b"1", b"one")
    there.commit(there.a)
    there.run()
    assert there.b.database.documents[b"1"][1] == b"one"
    assert there.b.database.cursor == 1


@pytest.mark.parametrize("loses_cursors", [False, True])
def test_a_repair_brings_what_is_missing(loses_cursors: bool) -> None:
    theirs = Fake(forgets_cursors=loses_cursors)
    for n in range(300):
        theirs.put(str(n).encode(), f"body {n}".encode())
    ours = Fake({k: v for k, v in theirs.documents.items() if int(k) % 10})
    ours.lsn, ours.cursor = 300, 5 if loses_cursors else None
    there = pair(us("a"), us("b"), theirs, ours, ())
    there.start()
    assert ours.documents.keys() == theirs.documents.keys()
    assert ours.cursor == theirs.lsn
    theirs.forgets_cursors = False
    theirs.put(b"new", b"new")
    there.commit(there.a)
    there.run()
    assert b"new" in ours.documents
    assert there.a.closed is there.b.closed is None


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"database": b"e" * 32}, "db_id_mismatch"),
        ({"peer_key": "pk-b"}, "duplicate_peer"),
        ({"peer_key": "pk-b", "home": Home(Replica(SiteId(b"b" * 16), 1))}, "self_link"),
        ({"home": Home(Replica(SiteId(b"b" * 16), 1))}, "duplicate_peer"),
        ({"now_ms": lambda: NOW_MS + MAX_AHEAD_MS + 1000}, "clock_skew"),
        ({"now_ms": lambda: NOW_MS - MAX_AHEAD_MS - 1000}, "clock_skew"),
    ],
)
def test_refusals_are_named_on_both_sides(changes: dict[str, Any], name: str) -> None:
    there = pair(us("a", **changes), us("b"))
    there.start()
    assert there.a.closed is not None and there.b.closed is not None
    assert (there.a.closed.reason, there.b.closed.reason) == (name, name)


def test_silence_ends_a_link_and_keep_alives_prevent_it() -> None:
    there = pair(us("a"), us("b"))
    there.start()
    for _ in range(20):
        there.tick(0.5)
    assert there.a.closed is None
    effects = there.a.session.tick(there.now + DEAD_SECONDS)
    assert any(isinstance(effect, Close) and effect.reason == "lost" for effect in effects)


def established() -> tuple[Session, FrameWriter]:
    """Return a session that has met a peer, and the peer's writer."""
    session, writer = Session(us("a"), "pk-b", SCOPES), FrameWriter()
    session.start(0.0)
    hello = wire.Hello([1], b"d" * 32, b"b" * 16, 1, "pk-b", "b", timestamp(NOW_MS), 1 << 20)
    session.receive(writer.message(wire.encode(hello)), 0.0)
    assert session.state is LinkState.ESTABLISHED
    return session, writer


@pytest.mark.parametrize(
    "message",
    [
        wire.Hello([1], b"d" * 32, b"b" * 16, 1, "pk-b", "b", 0, 1 << 20),
        wire.Batch(9, wire.Items(), 1, True),
        wire.Ack(0, 5),
        wire.Want(0, [b"k"]),
        wire.RepairCells(0, b""),
        wire.RepairPull(3, [1]),
        wire.Batch(2, wire.Items(), 1, True),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_nobody_waits_for_ends_the_link(message: wire.Message) -> None:
    session, writer = established()
    effects = session.answered(Token(1), StreamPosition(lsn=None, held=0), 0.0)
    assert any(isinstance(effect, Send) for effect in effects), "it subscribes"
    effects = session.receive(writer.message(wire.encode(message)), 0.0)
    closes = [effect for effect in effects if isinstance(effect, Close)]
    assert [close.reason for close in closes] == ["protocol_violation"]
    assert not any(isinstance(effect, Ask) for effect in effects)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_end_in_a_refusal_or_are_waited_for(pieces: list[bytes]) -> None:
    session = Session(us("a"), "pk-b", SCOPES)
    session.start(0.0)
    for piece in pieces:
        for effect in session.receive(piece, 0.0):
            assert isinstance(effect, Send | Close)


def test_a_bomb_is_refused() -> None:
    writer, reader = FrameWriter(), FrameReader()
    reader.limit_bytes = 100_000
    reader.feed(writer.message(b"\0" * 10_000_000))
    with pytest.raises(PeerViolation):
        list(reader.messages())
