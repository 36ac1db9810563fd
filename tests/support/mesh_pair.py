# SPDX-License-Identifier: Apache-2.0
"""Two mesh sessions that talk to each other in memory, each over its own `FakeDocuments`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import TypeVar

from attrs import define, field

from edge_twisted.mesh.ports.effects import Ask, Close, Compute, Effect, Event, Send, Tell
from edge_twisted.mesh.ports.requests import Answer, DocumentRequest, Scope
from edge_twisted.mesh.reconciliation.sketch import run
from edge_twisted.mesh.session.handshake import LocalServer
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.session import Session
from edge_twisted.mesh.wire.features import VERSIONS
from tests.support.fake_documents import FakeDocuments, fake_replica, fake_scope

E = TypeVar("E")

#: The wall clock at the beginning of every test, in ms.
NOW_MS = 1_764_000_000_000


def fake_us(documents: FakeDocuments, **changes: object) -> LocalServer:
    """Return what a session says of a server whose peer key is made of its site id."""
    facts: dict[str, object] = {
        "home": documents,
        "database": b"d" * 32,
        "peer_key": fake_key(documents),
        "device_name": f"device {documents.replica.site[0]}",
        "now_ms": lambda: NOW_MS,
        "entropy": _salts(documents.replica.site[0]),
        **changes,
    }
    return LocalServer(**facts)  # type: ignore[arg-type]


def fake_key(documents: FakeDocuments) -> str:
    """Return a server's peer key."""
    return f"pk{documents.replica.site[0]}"


def _salts(seed: int) -> Callable[[int], bytes]:
    numbers = count(1)
    return lambda size: (seed * 1000 + next(numbers)).to_bytes(size, "big")


@define(eq=False, slots=False)
class LinkEnd:
    """One side of a link: a session, its database, and what came out of it."""

    documents: FakeDocuments
    session: Session
    to_peer: deque[bytes] = field(factory=deque)
    asked: deque[Ask | Compute] = field(factory=deque)
    requests: list[DocumentRequest] = field(factory=list)
    events: list[Event] = field(factory=list)
    closed: Close | None = None
    sent_bytes: int = 0
    #: Everything that was sent.
    log: list[bytes] = field(factory=list)

    def take(self, effects: Iterable[Effect]) -> None:
        """Carry out what came of a step, but for questions, which wait for `step`."""
        for effect in effects:
            assert self.closed is None, f"{effect} after the end"
            match effect:
                case Send(data):
                    self.to_peer.append(data)
                    self.sent_bytes += len(data)
                    self.log.append(data)
                case Ask() | Compute():
                    self.asked.append(effect)
                case Close():
                    self.closed = effect
                case Tell(event):
                    self.events.append(event)

    def step(self, now: float) -> bool:
        """Answer one question; return whether there was one."""
        if not self.asked:
            return False
        ask = self.asked.popleft()
        answer: object
        try:
            if isinstance(ask, Compute):
                answer = run(ask.steps)
            else:
                self.requests.append(ask.request)
                answer = self.perform(ask.request)
        except Exception as error:  # whatever it is, the session hears of it
            self.take(self.session.failed(ask.token, error, now))
            return True
        self.tell_commits(now)
        self.take(self.session.answered(ask.token, answer, now))
        return True

    def perform(self, request: DocumentRequest) -> Answer:
        """Perform a request; tests put something else in its place."""
        return self.documents.answer(request)

    def tell_commits(self, now: float) -> None:
        """Tell the session what became durable."""
        changed = self.documents.take_changed()
        if changed:
            self.take(self.session.committed(self.documents.lsn, changed, now))

    def told(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


@define(eq=False)
class LinkPair:
    """A link between two servers, and the time on it."""

    left: LinkEnd
    right: LinkEnd
    now: float = 0.0

    @classmethod
    def of(
        cls,
        left: FakeDocuments,
        right: FakeDocuments,
        *,
        left_wants: Iterable[str] = (),
        right_wants: Iterable[str] = (),
        versions: tuple[int, ...] = VERSIONS,
    ) -> LinkPair:
        """Link two servers; each wants some scopes of the other, and speaks these versions."""
        return cls(
            _end(left, right, left_wants, versions), _end(right, left, right_wants, versions)
        )

    def start(self) -> LinkPair:
        """Let both say hello, and go on until nothing happens any more."""
        for end in (self.left, self.right):
            end.take(end.session.start(self.now))
        return self.settle()

    def settle(self) -> LinkPair:
        """Carry bytes and answer questions until nothing happens any more."""
        while self.step():
            pass
        return self

    def step(self) -> bool:
        """Do one thing on each side; return whether there was any."""
        moved = False
        for end, peer in ((self.left, self.right), (self.right, self.left)):
            end.tell_commits(self.now)
            moved |= end.step(self.now)
            if end.to_peer:
                data = end.to_peer.popleft()
                moved = True
                if peer.closed is None:
                    peer.take(peer.session.receive(data, self.now))
        return moved

    def wait(self, seconds: float) -> LinkPair:
        """Let time pass in ticks, all that happens included."""
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            for end in (self.left, self.right):
                if end.closed is None:
                    end.take(end.session.tick(self.now))
            self.settle()
        return self

    @property
    def total_bytes(self) -> int:
        """Bytes that both sides sent."""
        return self.left.sent_bytes + self.right.sent_bytes


def _end(
    documents: FakeDocuments, peer: FakeDocuments, wants: Iterable[str], versions: tuple[int, ...]
) -> LinkEnd:
    scopes: list[Scope] = [fake_scope(query) for query in wants]
    us = fake_us(documents, versions=versions)
    session = Session(us, fake_key(peer), scopes, pulls=Pulls())
    return LinkEnd(documents, session)


def two() -> tuple[FakeDocuments, FakeDocuments]:
    """Return two empty servers."""
    return FakeDocuments(fake_replica(1)), FakeDocuments(fake_replica(2))
