# SPDX-License-Identifier: Apache-2.0
"""
The mesh without daemons: two sessions over two stores on disk, in one process, without TLS.

A part of ``python -m bench.mesh``.  Beside the figures between daemons these show what HTTP, TLS,
TCP and a second process cost.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater

from bench.mesh_bytes import document
from bench.replication import opened
from bench.report import Figure
from edge_twisted.documents.values import Value
from edge_twisted.mesh.ports.effects import Ask, Close, Compute, Effect, Send
from edge_twisted.mesh.reconciliation.sketch import run
from edge_twisted.mesh.session.handshake import LocalServer
from edge_twisted.mesh.session.session import Session
from edge_twisted.services.reactor import reactor
from edge_twisted.store.rows import Commit
from tests.support.replica import ReplicaServer

DOCUMENTS = 100_000
CHUNK = 1000
SAMPLES = 200
QUERY = "SELECT * FROM tasks"


@define(eq=False, slots=False)
class End:
    """One end of a link without a transport: a session and the server that it is of."""

    server: ReplicaServer
    session: Session
    peer: End | None = None
    sent_bytes: int = 0
    _waiting: list[bytes] = field(factory=list)

    def begin(self) -> None:
        """Say hello, and tell the session of commits from now on."""
        self.server.store.on_commit(self._committed)
        self.take(self.session.start(reactor.seconds()))

    def take(self, effects: list[Effect]) -> None:
        """Carry out what came of a step."""
        for effect in effects:
            match effect:
                case Send(data):
                    self.sent_bytes += len(data)
                    self._waiting.append(data)
                    if len(self._waiting) == 1:
                        reactor.callLater(0, self._deliver)
                case Ask(token, request):
                    self.server.documents.perform(request).addCallback(self._answered, token)
                case Compute(token, steps):
                    self._answered(run(steps), token)
                case Close():
                    raise AssertionError(f"the link ended: {effect}")
                case _:
                    pass

    def tick(self) -> None:
        """Do what time makes due."""
        self.take(self.session.tick(reactor.seconds()))

    def _answered(self, answer: object, token: Any) -> None:
        self.take(self.session.answered(token, answer, reactor.seconds()))

    def _committed(self, commit: Commit) -> None:
        told = self.session.committed(commit.lsn, frozenset(commit.collections), reactor.seconds())
        self.take(told)

    def _deliver(self) -> None:
        data, self._waiting = b"".join(self._waiting), []
        assert self.peer is not None
        self.peer.take(self.peer.session.receive(data, reactor.seconds()))


def end_of(server: ReplicaServer, peer: str, *queries: str) -> End:
    """Return one end of a link with a peer of this name, to whose documents it subscribes."""
    local = LocalServer(
        home=server.documents,
        database=b"d" * 32,
        peer_key=f"pk{server.name}",
        device_name=server.name,
        now_ms=lambda: int(time.time() * 1000),
        entropy=os.urandom,
    )
    scopes = [server.documents.scope(query, {}) for query in queries]
    return End(server, Session(local, f"pk{peer}", scopes))


async def until(server: ReplicaServer, query: str, wanted: int) -> None:
    """Wait until a count is reached."""
    while (await server.rows(query))[0]["n"] != wanted:
        await pause(0.0)


def pause(seconds: float) -> Deferred[None]:
    """Return a Deferred that fires after so long."""
    return deferLater(reactor, seconds, lambda: None)


async def measure(folder: Path) -> list[Figure]:
    """Return the figures of one pair."""
    hub, spoke = [await opened(folder, name) for name in ("hub", "spoke")]
    for start in range(0, DOCUMENTS, CHUNK):
        rows = [cast(Value, document(n)) for n in range(start, start + CHUNK)]
        await hub.run("INSERT INTO tasks DOCUMENTS (:d)", d=rows)
    near, far = end_of(hub, "spoke"), end_of(spoke, "hub", QUERY)
    near.peer, far.peer = far, near
    began = time.perf_counter()
    tickers = [LoopingCall(each.tick) for each in (near, far)]
    for ticker, each in zip(tickers, (near, far), strict=True):
        each.begin()
        ticker.start(0.5, now=False)
    await until(spoke, "SELECT COUNT(*) AS n FROM tasks", DOCUMENTS)
    rate = DOCUMENTS / (time.perf_counter() - began)
    await pause(1.0)
    before = near.sent_bytes + far.sent_bytes
    await hub.run(f"UPDATE tasks SET priority = 100 WHERE _id < 'task{CHUNK:08d}'")
    await until(spoke, "SELECT COUNT(*) AS n FROM tasks WHERE priority = 100", CHUNK)
    await pause(1.0)
    size = near.sent_bytes + far.sent_bytes - before
    found = sorted([await _visible_ms(hub, spoke, number) for number in range(SAMPLES)])
    for ticker in tickers:
        ticker.stop()
    for each in (near, far):
        each.session.lost()
    for server in (hub, spoke):
        await server.store.close()
    name = "in one process"
    p99 = found[int(len(found) * 0.99)]
    return [
        Figure(name=f"first sync, {name}", value=rate, unit="docs/s"),
        Figure(name=f"1,000 one-field changes, {name}", value=size / 1000, unit="kB"),
        Figure(name=f"visible, {name}, median", value=statistics.median(found), unit="ms"),
        Figure(name=f"visible, {name}, p99", value=p99, unit="ms"),
    ]


async def _visible_ms(here: ReplicaServer, there: ReplicaServer, number: int) -> float:
    id_ = f"hop-{number}"
    await here.run("INSERT INTO tasks DOCUMENTS (:d)", d=[{"_id": id_, "n": number}])
    began = time.perf_counter()
    await until(there, f"SELECT COUNT(*) AS n FROM tasks WHERE _id = '{id_}'", 1)
    return (time.perf_counter() - began) * 1000


def in_process(folder: Path) -> Iterator[Figure]:
    """First sync, changes and latency between two sessions of one process."""
    found: list[Figure] = []

    def begin() -> None:
        done = Deferred.fromCoroutine(measure(folder))
        done.addCallback(found.extend)
        done.addErrback(lambda failure: print(failure.getTraceback()))
        done.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    yield from found
