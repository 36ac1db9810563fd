# SPDX-License-Identifier: Apache-2.0
"""The streams of an established link, in both directions, and the messages that are for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import msgspec

from edge_twisted.documents.values import Value
from edge_twisted.errors import EdgeError
from edge_twisted.mesh.limits.buckets import Bucket
from edge_twisted.mesh.limits.rates import OWN_SUBSCRIPTIONS, cost
from edge_twisted.mesh.ports.effects import PeerSubscribed, PeerUnsubscribed
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import Applied, DeleteGone, Scope, TransitRoute
from edge_twisted.mesh.repair.sender import RepairSender
from edge_twisted.mesh.session.bases import AnswerBudget, BaseMemory, ReceiverBase
from edge_twisted.mesh.session.batch_queue import queue_of
from edge_twisted.mesh.session.courses import Courses
from edge_twisted.mesh.session.credit import IncomingCredit
from edge_twisted.mesh.session.handshake import LocalServer, Peer
from edge_twisted.mesh.session.incoming import IncomingStream
from edge_twisted.mesh.session.outgoing import OutgoingStream
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.repair_turns import RepairTurns
from edge_twisted.mesh.session.send_window import SendWindow
from edge_twisted.mesh.session.states import (
    FROM_RECEIVER,
    FROM_SENDER,
    IncomingState,
    OutgoingState,
)
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.items import ScopeKey
from edge_twisted.mesh.wire.values import read_seen, read_vector, read_wholes
from edge_twisted.mesh.wire.violations import PeerViolation

#: Messages that are taken in one step, about a millisecond.  Few bytes may inflate to very many.
MESSAGES_AT_ONCE: Final = 64
#: Subscriptions that are looked at in one step: many messages concern all others of a link.
LOOKS_AT_ONCE: Final = 4096
_arguments: Final = msgspec.msgpack.Decoder(dict[str, object])


class LinkStreams:
    """
    All streams of one link, in both directions.

    It finds the stream that a message is for, asks the stream's table of states whether the message
    may come now, and hands it on.  It is also what the streams of one direction hear of the other:
    which versions came from the peer, and which `ApplyBatch` still runs.
    """

    def __init__(
        self, port: Port, local: LocalServer, peer: Peer, pulls: Pulls, bases: BaseMemory
    ) -> None:
        self._port = port
        self._local = local
        self._peer = peer
        self._pulls = pulls
        self._bases = bases
        self._base_budget = AnswerBudget()
        self._window = SendWindow()
        self._window.limit_bytes = peer.window_bytes
        self._credit = IncomingCredit(local.window_bytes)
        shares = peer.features.shares_batches
        self._courses = Courses(port, self._window, self, is_shared=shares)
        # -- subscriptions of this server
        self._repair_turns = RepairTurns()
        self._incoming: dict[ScopeKey, IncomingStream] = {}
        self._numbered: dict[int, IncomingStream] = {}
        self._next_number = 1
        self._pace = Bucket(OWN_SUBSCRIPTIONS)
        #: Initial subscriptions whose cursor lookup is pending; None once READY is sent.
        self._unready: set[ScopeKey] | None = set()
        # -- subscriptions of the peer
        self._outgoing: dict[int, OutgoingStream] = {}
        self._repairs: dict[int, RepairSender] = {}
        self._newest_number = -1
        # -- `ApplyBatch` requests that run: number -> collection
        self._applies: dict[int, str] = {}
        self._apply_count = 0
        #: The newest commit that the streams have heard of.
        self._committed_lsn = local.home.lsn

    # -- what happens here

    def begin(self, scopes: Iterable[Scope]) -> None:
        """Subscribe to the initial scopes; READY follows when all are subscribed to."""
        wanted = {scope.key: scope for scope in scopes}
        self._unready = set(wanted)
        for scope in wanted.values():
            self.subscribe(scope)
        self._send_ready_if_due()

    def subscribe(self, scope: Scope) -> None:
        """Subscribe to one more scope, unless there are as many as a peer takes."""
        if scope.key in self._incoming or len(self._incoming) >= m.MAX_SCOPES:
            self._subscribed(scope.key)
            return
        stream = IncomingStream(
            port=self._port,
            host=self,
            credit=self._credit,
            pulls=self._pulls,
            repair_turns=self._repair_turns,
            scope=scope,
            sender=self._peer.replica,
            features=self._peer.features,
        )
        self._incoming[scope.key] = stream
        stream.find()

    def unsubscribe(self, key: ScopeKey) -> None:
        """End the subscription to a scope."""
        stream = self._incoming.pop(key, None)
        if stream is not None:
            stream.stop()
            self._subscribed(key)

    def cursors_dropped(self, collections: frozenset[str]) -> None:
        """Begin the streams of these collections anew (EVICT)."""
        for stream in self._incoming.values():
            # A lookup that is still pending may have read the cursor before EVICT dropped it.
            if stream.scope.collection in collections and stream.state is not IncomingState.CLOSED:
                stream.find()

    def committed(self, lsn: int, collections: frozenset[str]) -> None:
        """Tell the streams of these collections that something, up to `lsn`, is durable here."""
        self._committed_lsn = max(self._committed_lsn, lsn)
        for collection in collections:
            self._courses.committed(collection)
        for incoming in tuple(self._incoming.values()):
            if incoming.scope.collection in collections:
                incoming.committed()

    def look_at_clock(self) -> None:
        """Let every stream do what is not urgent; called about every half second."""
        self._courses.look_at_clock()
        for outgoing in tuple(self._outgoing.values()):
            outgoing.look_at_clock()
        for incoming in tuple(self._incoming.values()):
            incoming.look_at_clock()

    def abandon(self) -> None:
        """End the incoming streams, for the link is gone."""
        self._repair_turns.end()
        for stream in self._incoming.values():
            stream.abandon()

    # -- what can be asked

    @property
    def is_idle(self) -> bool:
        """Whether no batch waits to be sent."""
        return self._window.is_idle

    @property
    def is_caught_up(self) -> bool:
        """Whether every subscription of this server has caught up, as far as the peer has said."""
        streams = self._incoming.values()
        return not self._unready and all(stream.is_caught_up for stream in streams)

    @property
    def at_once(self) -> int:
        """Messages that are taken in one step, fewer where there are many subscriptions."""
        scopes = max(len(self._incoming), len(self._outgoing), 1)
        return min(MESSAGES_AT_ONCE, LOOKS_AT_ONCE // scopes)

    def passed(self) -> int:
        """Return the lsn here up to which the peer has what it wants."""
        # Of a newer commit the streams have not heard, so they do not know yet what is to be sent.
        newest = self._committed_lsn
        return self._courses.passed(newest)

    def idle_fingerprints(self) -> list[tuple[int, int, bytes]]:
        """Return (number, lsn, 16-byte fingerprint) of streams that are idle, for KEEP_ALIVE."""
        told = (each.idle_fingerprint() for each in self._outgoing.values())
        return [each for each in told if each is not None]

    # -- messages

    def take(self, message: m.Message, size: int) -> None:
        """
        Take a message of `size` bytes about a stream.

        :raises PeerViolation: the message cannot come now; nothing was done.
        """
        kind = type(message)
        if isinstance(message, m.Batch):
            self._take_batch(message, size)
        elif kind in FROM_SENDER:
            incoming = self._own_stream(cast(m.Batch, message).number)
            if incoming is not None and incoming.step(kind):
                self._take_as_receiver(incoming, message)
        elif kind in FROM_RECEIVER:
            outgoing = self._peer_stream(cast(m.Ack, message).number)
            if outgoing.step(kind):
                self._take_as_sender(outgoing, message)
        elif isinstance(message, m.Subscribe):
            self._take_subscription(message)
        elif isinstance(message, m.Gone):
            self._take_gone(message)

    def _take_batch(self, message: m.Batch, size: int) -> None:
        """Queue a batch for all streams that it names and that still take batches."""
        shares = self._peer.features.shares_batches
        if message.base is not None and not self._peer.features.has_bases:
            message = msgspec.structs.replace(message, base=None)
        numbers = [message.number, *(message.others if shares else ())]
        if len(set(numbers)) < len(numbers):
            raise PeerViolation("a batch that names a subscription twice")
        named = [each for number in numbers if (each := self._own_stream(number)) is not None]
        if len({each.scope.collection for each in named}) > 1:
            raise PeerViolation("a batch for subscriptions of several collections")
        streams = [each for each in named if each.step(m.Batch)]
        if streams:
            for each in streams:
                each.is_caught_up = False
            queue_of(streams).take(message, size, streams)

    def _take_as_receiver(self, stream: IncomingStream, message: m.Message) -> None:
        match message:
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
            case m.BaseWanted():
                stream.tell_base()
            case m.RepairSummary() | m.RepairAnswer() | m.RepairItems() | m.RepairFates():
                if not stream.take_repair(message):
                    raise PeerViolation("an answer that nobody waits for")

    def _take_as_sender(self, stream: OutgoingStream, message: m.Message) -> None:
        repair = self._repairs[stream.number]
        match message:
            case m.Unsubscribe():
                stream.end()
                repair.end()
                del self._outgoing[stream.number], self._repairs[stream.number]
                self._port.tell(PeerUnsubscribed(stream.number))
            case m.Ack(lsn=lsn):
                stream.acknowledged(lsn)
            case m.Want(id_keys=id_keys):
                stream.supply(tuple(id_keys))
            case m.RepairBegin(salt=salt):
                stream.halt()
                repair.begin(salt)
            case m.RepairCells() | m.RepairPull() | m.RepairHave():
                repair.take(message)
            case m.Base(base=base):
                stream.take_base(read_vector(base))
            case m.RepairDone(lsn=lsn):
                repair.end()
                stream.begin(lsn, resumes=False)

    def _own_stream(self, number: int) -> IncomingStream | None:
        """Return the stream of a number that this server gave, None if it was given up since."""
        stream = self._numbered.get(number)
        if stream is not None and stream.number == number:
            return stream
        if not 0 < number < self._next_number:
            raise PeerViolation(f"subscription {number} was never given")
        return None

    def _peer_stream(self, number: int) -> OutgoingStream:
        stream = self._outgoing.get(number)
        if stream is None:
            raise PeerViolation(f"subscription {number} does not exist")
        return stream

    def _take_subscription(self, message: m.Subscribe) -> None:
        number = message.number
        if number <= self._newest_number or len(self._outgoing) >= m.MAX_SCOPES:
            raise PeerViolation("a subscription of an old number, or too many")
        self._newest_number = number
        scope, problem = self._scope(message)
        stream = OutgoingStream(
            port=self._port,
            courses=self._courses,
            number=number,
            scope=scope,
            base=ReceiverBase(
                self._bases,
                self._peer.replica.site,
                scope,
                self._peer.features,
                self._base_budget,
            ),
        )
        self._outgoing[number] = stream
        self._repairs[number] = RepairSender(self._port, stream, number, scope)
        for incoming in self._incoming.values():
            if incoming.scope.collection == scope.collection:
                incoming.forget_echoes()
        if problem:
            stream.refuse(problem)
            return
        route = None
        if message.path and self._peer.features.passes_subscriptions_on:
            route = TransitRoute(tuple(message.path), message.token)
        self._port.tell(PeerSubscribed(number, scope, route, message.position))
        if message.position is None and message.held:
            stream.wait_for_repair()
        else:
            resumes = message.position is not None
            stream.begin(message.position or 0, resumes=resumes, base=message.base)

    def _scope(self, message: m.Subscribe) -> tuple[Scope, str]:
        """Return the scope of a SUBSCRIBE and "", or an empty scope and what is wrong."""
        try:
            arguments = cast(dict[str, Value], _arguments.decode(message.arguments))
            return self._local.home.scope(message.query, arguments), ""
        except (EdgeError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            nothing = Scope(
                key=ScopeKey(b""), query="", arguments={}, collection="", is_whole=False
            )
            return nothing, str(error) or "no subscription"

    def _take_gone(self, message: m.Gone) -> None:
        if message.of_mine:
            theirs = self._peer_stream(message.number)
            if theirs.state in (OutgoingState.ENDED, OutgoingState.CLOSED):
                return
            collection = theirs.scope.collection
        else:
            ours = self._own_stream(message.number)
            if ours is None:
                return
            collection = ours.scope.collection
        if message.seen:
            seen = read_seen(message.seen)
            self._port.ask(DeleteGone(collection=collection, seen=seen), lambda _: None)

    def announce(self, wanted: bool) -> None:
        """Note whether the peer has other sources for large documents."""
        self._courses.announce(wanted)

    def peer_is_ready(self) -> None:
        """Note that the peer has subscribed to all that it wants at first."""
        self._courses.ready()

    def fingerprints(self, told: Iterable[tuple[int, int, bytes]]) -> None:
        """Take the fingerprints of a KEEP_ALIVE, and let every stream compare its own."""
        for number, lsn, fingerprint in told:
            stream = self._own_stream(number)
            if stream is not None:
                stream.told(lsn, fingerprint)
        for stream in tuple(self._incoming.values()):
            stream.look()

    # -- StreamHost, for incoming streams

    @property
    def newest_lsn(self) -> int:
        """The newest durable commit here."""
        return self._local.home.lsn

    def register(self, stream: IncomingStream) -> int:
        """Return a new number for the stream, under which messages find it."""
        number = self._next_number
        self._next_number += 1
        self._numbered = {n: s for n, s in self._numbered.items() if s.number == n}
        self._numbered[number] = stream
        return number

    @property
    def may_subscribe(self) -> bool:
        """Whether another SUBSCRIBE now stays below the rate that the peer takes."""
        return self._pace.left(self._port.now) >= 1

    def send_subscribe(self, message: m.Subscribe, key: ScopeKey) -> None:
        """Send SUBSCRIBE, and READY if it was the last initial one."""
        self._pace.charge(cost(message, len(m.encode(message))), self._port.now)
        self._port.send(message)
        self._subscribed(key)

    def _subscribed(self, key: ScopeKey) -> None:
        if self._unready is not None:
            self._unready.discard(key)
            self._send_ready_if_due()

    def _send_ready_if_due(self) -> None:
        if self._unready is not None and not self._unready:
            self._unready = None
            self._port.send(m.Ready())

    def have_applied(self, collection: str, applied: Applied) -> None:
        """Tell the peer's streams which versions the peer has, and of which it has older ones."""
        if applied.echoes:
            self._courses.came_from_peer(collection, applied.echoes)
        if applied.older:
            self._gather_offers(collection, applied.older)

    def _gather_offers(self, collection: str, id_keys: tuple[bytes, ...]) -> None:
        """Have one of the streams of a collection offer documents, whichever scope they match."""
        streams = [s for s in self._outgoing.values() if s.scope.collection == collection]
        serving = (s for s in streams if s.state is OutgoingState.STREAMING)
        stream = next(serving, streams[0] if streams else None)
        if stream is not None:
            stream.older(id_keys)

    def apply_begins(self, collection: str) -> int:
        """Return the number of an `ApplyBatch` that is about to be asked for."""
        self._apply_count += 1
        self._applies[self._apply_count] = collection
        return self._apply_count

    def apply_ends(self, number: int) -> None:
        """Let the streams of the collection read what an `ApplyBatch` committed."""
        collection = self._applies.pop(number)
        self._courses.applied(collection)

    def is_evicted(self, collection: str, evictions: int) -> bool:
        """Return whether streams of a collection are from before its last EVICT."""
        served = (IncomingState.STREAMING, IncomingState.REPAIRING)
        return any(
            stream.evictions != evictions
            for stream in self._incoming.values()
            if stream.scope.collection == collection and stream.state in served
        )

    def new_salt(self) -> bytes:
        """Return 16 random bytes."""
        return self._local.entropy(16)

    # -- ApplyProgress, for outgoing streams

    def newest_apply(self, collection: str) -> int:
        """Return the number of the newest `ApplyBatch` that runs for a collection, else 0."""
        return max((n for n, c in self._applies.items() if c == collection), default=0)

    def is_applied(self, collection: str, number: int) -> bool:
        """Return whether the `ApplyBatch` of this number and all before it are done."""
        return all(n > number for n, c in self._applies.items() if c == collection)
