# SPDX-License-Identifier: Apache-2.0
"""The streams of an established link, in both directions, and the messages that are for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import msgspec

from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica
from edge_twisted.errors import EdgeError
from edge_twisted.mesh.limits.buckets import Bucket
from edge_twisted.mesh.limits.rates import OWN_SUBSCRIPTIONS, cost
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import Applied, DeleteGone, Scope
from edge_twisted.mesh.repair.sender import RepairSender
from edge_twisted.mesh.session.credit import IncomingCredit
from edge_twisted.mesh.session.handshake import LocalServer
from edge_twisted.mesh.session.incoming import IncomingStream
from edge_twisted.mesh.session.outgoing import OutgoingStream
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.send_window import SendWindow
from edge_twisted.mesh.session.states import (
    FROM_RECEIVER,
    FROM_SENDER,
    IncomingState,
    OutgoingState,
)
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.items import ScopeKey
from edge_twisted.mesh.wire.values import read_seen, read_wholes
from edge_twisted.mesh.wire.violations import PeerViolation

_arguments: Final = msgspec.msgpack.Decoder(dict[str, object])


class LinkStreams:
    """All streams of one link; see the head of this module."""

    def __init__(
        self, port: Port, us: LocalServer, peer: Replica, peer_window: int, pulls: Pulls
    ) -> None:
        self._port = port
        self._us = us
        self._peer = peer
        self._pulls = pulls
        self._turns = SendWindow()
        self._turns.limit_bytes = peer_window
        self._credit = IncomingCredit(us.window_bytes)
        self._announces = False
        # -- ours
        self._incoming: dict[ScopeKey, IncomingStream] = {}
        self._numbered: dict[int, IncomingStream] = {}
        self._next_number = 1
        self._pace = Bucket(OWN_SUBSCRIPTIONS)
        #: Those of the beginning whose positions are still being found; None once READY is said.
        self._unready: set[ScopeKey] | None = set()
        # -- theirs
        self._outgoing: dict[int, OutgoingStream] = {}
        self._repairs: dict[int, RepairSender] = {}
        self._newest_number = -1
        # -- applies that run: number -> collection
        self._applies: dict[int, str] = {}
        self._apply_count = 0

    # -- what happens here

    def begin(self, scopes: Iterable[Scope]) -> None:
        """Subscribe to what is wanted at the beginning; READY follows when that is done."""
        wanted = {scope.key: scope for scope in scopes}
        self._unready = set(wanted)
        for scope in wanted.values():
            self.subscribe(scope)
        self._say_ready()

    def subscribe(self, scope: Scope) -> None:
        """Want one more scope, unless there are as many as a peer takes."""
        if scope.key in self._incoming or len(self._incoming) >= m.MAX_SCOPES:
            self._subscribed(scope.key)
            return
        stream = IncomingStream(
            port=self._port,
            session=self,
            credit=self._credit,
            pulls=self._pulls,
            scope=scope,
            sender=self._peer,
        )
        self._incoming[scope.key] = stream
        stream.find()

    def unsubscribe(self, key: ScopeKey) -> None:
        """Want a scope no more."""
        stream = self._incoming.pop(key, None)
        if stream is not None:
            stream.stop()
            self._subscribed(key)

    def cursors_dropped(self, collections: frozenset[str]) -> None:
        """Begin the streams of these collections anew (EVICT)."""
        for stream in self._incoming.values():
            # Where the position is still being looked for, the database may have looked before.
            if stream.scope.collection in collections and stream.state is not IncomingState.CLOSED:
                stream.find()

    def committed(self, collections: frozenset[str]) -> None:
        """Something became durable here."""
        for outgoing in tuple(self._outgoing.values()):
            if outgoing.scope.collection in collections:
                outgoing.committed()
        for incoming in tuple(self._incoming.values()):
            if incoming.scope.collection in collections:
                incoming.committed()

    def look_at_clock(self) -> None:
        """Do what is not urgent: about every half second."""
        for outgoing in tuple(self._outgoing.values()):
            outgoing.look_at_clock()
        for incoming in tuple(self._incoming.values()):
            incoming.look_at_clock()

    def abandon(self) -> None:
        """The link is gone."""
        for stream in self._incoming.values():
            stream.abandon()

    # -- what can be asked

    @property
    def is_idle(self) -> bool:
        """Whether no batch waits to be sent."""
        return self._turns.is_idle

    @property
    def is_caught_up(self) -> bool:
        """Whether all that is wanted has come, as far as the peer has said."""
        streams = self._incoming.values()
        return not self._unready and all(stream.is_caught_up for stream in streams)

    def passed(self) -> int:
        """Return up to which commit of ours the peer has what it wants."""
        newest = self.newest_lsn
        return min((each.passed(newest) for each in self._outgoing.values()), default=newest)

    def idle_fingerprints(self) -> list[tuple[int, int, bytes]]:
        """Return what KEEP_ALIVE is to tell of streams that are idle."""
        told = (each.idle_fingerprint() for each in self._outgoing.values())
        return [each for each in told if each is not None]

    # -- messages

    def take(self, message: m.Message, size: int) -> None:
        """
        Take a message about a stream, of so many bytes.

        :raises PeerViolation: it cannot come now; nothing was done.
        """
        kind = type(message)
        if kind in FROM_SENDER:
            incoming = self._ours(cast(m.Batch, message).number)
            if incoming is not None and incoming.step(kind):
                self._take_as_receiver(incoming, message, size)
        elif kind in FROM_RECEIVER:
            outgoing = self._theirs(cast(m.Ack, message).number)
            if outgoing.step(kind):
                self._take_as_sender(outgoing, message)
        elif isinstance(message, m.Subscribe):
            self._take_subscription(message)
        elif isinstance(message, m.Gone):
            self._take_gone(message)

    def _take_as_receiver(self, stream: IncomingStream, message: m.Message, size: int) -> None:
        match message:
            case m.Batch():
                stream.take(message, size)
            case m.Supply():
                stream.supplied(message)
            case m.Offer(items=items):
                stream.offered(read_wholes(items))
            case m.Stale():
                stream.stale()
            case m.Closed(reason=reason):
                stream.closed(reason)
            case m.Opened():
                stream.opened()
            case m.RepairSummary() | m.RepairAnswer() | m.RepairItems() | m.RepairFates():
                if not stream.take_repair(message):
                    raise PeerViolation("an answer that nobody waits for")

    def _take_as_sender(self, stream: OutgoingStream, message: m.Message) -> None:
        repair = self._repairs[stream.number]
        match message:
            case m.Unsubscribe():
                stream.stop()
                repair.end()
                del self._outgoing[stream.number], self._repairs[stream.number]
            case m.Ack(lsn=lsn):
                stream.acknowledged(lsn)
            case m.Want(id_keys=id_keys):
                stream.supply(tuple(id_keys))
            case m.RepairBegin(salt=salt):
                stream.stop()
                repair.begin(salt)
            case m.RepairCells() | m.RepairPull() | m.RepairHave():
                repair.take(message)
            case m.RepairDone(lsn=lsn):
                repair.end()
                stream.begin(lsn, resumes=False)

    def _ours(self, number: int) -> IncomingStream | None:
        """Return our subscription of that number, None if we gave it up meanwhile."""
        stream = self._numbered.get(number)
        if stream is not None and stream.number == number:
            return stream
        if not 0 < number < self._next_number:
            raise PeerViolation(f"subscription {number} is none of ours")
        return None

    def _theirs(self, number: int) -> OutgoingStream:
        stream = self._outgoing.get(number)
        if stream is None:
            raise PeerViolation(f"subscription {number} is none of theirs")
        return stream

    def _take_subscription(self, message: m.Subscribe) -> None:
        number = message.number
        if number <= self._newest_number or len(self._outgoing) >= m.MAX_SCOPES:
            raise PeerViolation("a subscription of an old number, or too many")
        self._newest_number = number
        scope, problem = self._scope(message)
        stream = OutgoingStream(self._port, self._turns, self, number, scope)
        stream.announces = self._announces
        self._outgoing[number] = stream
        self._repairs[number] = RepairSender(self._port, stream, number, scope)
        for incoming in self._incoming.values():
            if incoming.scope.collection == scope.collection:
                incoming.forget_echoes()
        if problem:
            stream.refuse(problem)
        elif message.position is None and message.held:
            stream.wait_for_repair()
        else:
            stream.begin(message.position or 0, resumes=message.position is not None)

    def _scope(self, message: m.Subscribe) -> tuple[Scope, str]:
        """Return the scope that is meant, or one of nothing and why it is none."""
        try:
            arguments = cast(dict[str, Value], _arguments.decode(message.arguments))
            return self._us.home.scope(message.query, arguments), ""
        except (EdgeError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            nothing = Scope(
                key=ScopeKey(b""), query="", arguments={}, collection="", is_whole=False
            )
            return nothing, str(error) or "no subscription"

    def _take_gone(self, message: m.Gone) -> None:
        if message.of_mine:
            theirs = self._theirs(message.number)
            if theirs.state in (OutgoingState.ENDED, OutgoingState.CLOSED):
                return
            collection = theirs.scope.collection
        else:
            ours = self._ours(message.number)
            if ours is None:
                return
            collection = ours.scope.collection
        if message.seen:
            seen = read_seen(message.seen)
            self._port.ask(DeleteGone(collection=collection, seen=seen), lambda _: None)

    def announce(self, wanted: bool) -> None:
        """The peer has, or has not, other sources for large documents."""
        self._announces = wanted
        for stream in self._outgoing.values():
            stream.announces = wanted

    def fingerprints(self, told: Iterable[tuple[int, int, bytes]]) -> None:
        """Take what a KEEP_ALIVE says, and look at every stream that is in sync."""
        for number, lsn, fingerprint in told:
            stream = self._ours(number)
            if stream is not None:
                stream.told(lsn, fingerprint)
        for stream in tuple(self._incoming.values()):
            stream.look()

    # -- Surroundings of incoming streams

    @property
    def newest_lsn(self) -> int:
        """The newest durable commit here."""
        return self._us.home.lsn

    def register(self, stream: IncomingStream) -> int:
        """Give a stream a new number."""
        number = self._next_number
        self._next_number += 1
        self._numbered = {n: s for n, s in self._numbered.items() if s.number == n}
        self._numbered[number] = stream
        return number

    @property
    def may_subscribe(self) -> bool:
        """Whether the peer takes another SUBSCRIBE, as far as we know."""
        return self._pace.left(self._port.now) >= 1

    def say_subscribe(self, message: m.Subscribe, key: ScopeKey) -> None:
        """Send SUBSCRIBE."""
        self._pace.charge(cost(message, len(m.encode(message))), self._port.now)
        self._port.send(message)
        self._subscribed(key)

    def _subscribed(self, key: ScopeKey) -> None:
        if self._unready is not None:
            self._unready.discard(key)
            self._say_ready()

    def _say_ready(self) -> None:
        if self._unready is not None and not self._unready:
            self._unready = None
            self._port.send(m.Ready())

    def have_applied(self, collection: str, applied: Applied) -> None:
        """Let the streams to the peer know what it has, and what it has older."""
        for stream in self._outgoing.values():
            if stream.scope.collection != collection:
                continue
            if applied.echoes:
                stream.came_from_peer(applied.echoes)
            if applied.older:
                stream.older(applied.older)

    def apply_begins(self, collection: str) -> int:
        """Number an `Apply` that is about to be asked for."""
        self._apply_count += 1
        self._applies[self._apply_count] = collection
        return self._apply_count

    def apply_ends(self, number: int) -> None:
        """It is done: what it committed may be read, its echoes are known."""
        collection = self._applies.pop(number)
        for stream in tuple(self._outgoing.values()):
            if stream.scope.collection == collection:
                self._turns.request(stream)

    def new_salt(self) -> bytes:
        """Return 16 random bytes."""
        return self._us.entropy(16)

    # -- Applies of outgoing streams

    def newest_apply(self, collection: str) -> int:
        """Return the number of the newest `Apply` that runs, 0 if none does."""
        return max((n for n, c in self._applies.items() if c == collection), default=0)

    def is_applied(self, collection: str, number: int) -> bool:
        """Whether that one, and all before it, are done."""
        return all(n > number for n, c in self._applies.items() if c == collection)
