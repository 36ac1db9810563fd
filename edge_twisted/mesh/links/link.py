# SPDX-License-Identifier: Apache-2.0
"""
One connection to a peer: carries bytes, time and answers to a session, and out its effects.

Everything about a link that needs a transport or the reactor is here; what is said over it is the
session's business, whether it may stay is the node's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Final, Protocol, cast

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from edge_twisted.mesh.links.link_choice import LinkEnds
from edge_twisted.mesh.ports.effects import (
    Ask,
    Close,
    Compute,
    Effect,
    Established,
    LinkSession,
    Send,
    Tell,
    Token,
)
from edge_twisted.mesh.ports.requests import Documents
from edge_twisted.mesh.presence.graph import LinkKind
from edge_twisted.mesh.trust.certificates import certified_peer
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.wire.end_reasons import EndReason

log = Logger()

#: From the connection to both HELLOs.
HANDSHAKE_SECONDS: Final = 10.0
#: A peer that does not read gets this long to take our last words.
CLOSE_SECONDS: Final = 5.0
#: Written since the transport's buffer filled up; sessions keep to windows far below it.
MAX_STALLED_BYTES: Final = 32 * 1024 * 1024


class LinkOwner(Protocol):
    """The node, as its links see it."""

    def certified(self, link: Link, peer: PeerKey) -> LinkSession | None:
        """Give the session for a link whose peer has shown its certificate; None ends the link."""

    def established(self, link: Link, event: Established) -> None:
        """Both HELLOs are in; the node may refuse the link."""

    def compute(self, steps: Generator[None, None, object]) -> Deferred[object]:
        """Run steps to their end, without blocking anybody; fire with what they return."""

    def told(self, link: Link, event: object) -> None:
        """Hear an event of an established link."""

    def ended(self, link: Link) -> None:
        """The connection is gone; `link.outcome` says why.  Called once for every link."""


@implementer(IHandshakeListener, IPushProducer)
class Link(TwistedProtocol):
    """
    A link from its connection on, inside TLS.

    :param dialled: what we dialled, None if the peer did; it is what logs call the link.
    """

    kind: LinkKind = "AccessPoint"

    def __init__(
        self, owner: LinkOwner, documents: Documents, clock: IReactorTime, dialled: str | None
    ) -> None:
        self._owner = owner
        self._documents = documents
        self._clock = clock
        self.dialled = dialled
        self.address = dialled or ""
        #: Proven by the handshake; the key of `LinkEnds` once both HELLOs are in.
        self.peer: PeerKey | None = None
        self.ends: LinkEnds | None = None
        self.device_name = ""
        self.session: LinkSession | None = None
        #: An `EndReason`, or what a peer of a later version called it; and who said it.
        self.outcome: EndReason | str | None = None
        self.detail = ""
        self.refused_by_us = False
        self.bytes_in = 0
        self.bytes_out = 0
        #: Fires once both HELLOs are in and the node keeps the link; perhaps never.
        self.met: Deferred[Link] = Deferred()
        #: Fires when the connection is gone.
        self.done: Deferred[Link] = Deferred()
        self.began = clock.seconds()
        self._closing_since: float | None = None
        self._waiting: deque[Effect] = deque()
        self._is_running = False
        self._asked: set[Deferred[Any]] = set()
        self._is_read = True
        self._is_full = False
        self._stalled_bytes = 0

    # -- IProtocol

    def connectionMade(self) -> None:
        assert self.transport is not None
        if self.dialled is None:
            self.address = str(getattr(self.transport.getPeer(), "host", "unknown"))
        # Small messages follow each other: Nagle would hold the second one back until the peer's
        # delayed acknowledgement, 40 ms later.
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)

    def dataReceived(self, data: bytes) -> None:
        self.bytes_in += len(data)
        if self.session is not None and self._closing_since is None:
            session = self.session
            self._step(lambda: session.receive(data, self._clock.seconds()))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        outcome, detail = _outcome_of(
            reason, certified=self.peer is not None, met=self.ends is not None
        )
        self._note(outcome, detail, by_us=_is_ours(reason))
        if self.session is not None:
            self.session.lost()
        self.session = None
        self._waiting.clear()
        for asked in tuple(self._asked):
            asked.cancel()
        self._owner.ended(self)
        self.done.callback(self)

    # -- IHandshakeListener

    def handshakeCompleted(self) -> None:
        """TLS is through here: the peer has shown that it is a member, we perhaps not yet."""
        connection = cast(TLSMemoryBIOProtocol, self.transport).getHandle()
        certificate = connection.get_peer_certificate(as_cryptography=True)
        assert isinstance(certificate, x509.Certificate)
        peer = certified_peer(certificate)
        if peer is None:
            self.abort(EndReason.NOT_A_MEMBER, "its certificate does not name its key")
            return
        self.peer = peer
        session = self._owner.certified(self, peer)
        if session is None or self._closing_since is not None:
            return
        self.session = session
        cast(TLSMemoryBIOProtocol, self.transport).registerProducer(self, True)
        self._step(lambda: session.start(self._clock.seconds()))

    # -- IPushProducer

    def pauseProducing(self) -> None:
        self._is_full = True
        self._stalled_bytes = 0

    def resumeProducing(self) -> None:
        self._is_full = False

    def stopProducing(self) -> None:
        """The connection is going; `connectionLost` follows."""

    # -- what the node does with it

    @property
    def has_room(self) -> bool:
        """Whether this is a moment for bytes of low priority."""
        return not self._is_full and self.session is not None and self.session.is_idle

    def run(self, step: Callable[[LinkSession], list[Effect]]) -> None:
        """Let the session do something, if the link still lives."""
        session = self.session
        if session is not None and self._closing_since is None:
            self._step(lambda: step(session))

    def tick(self) -> None:
        """Look at the clock; the node calls it about every half second."""
        now = self._clock.seconds()
        if self._closing_since is not None:
            if now - self._closing_since >= CLOSE_SECONDS:
                self._abort()
            return
        if self.ends is None and now - self.began >= HANDSHAKE_SECONDS:
            self.abort(EndReason.HANDSHAKE_TIMEOUT)
            return
        self.run(lambda session: session.tick(now))

    def refuse(self, reason: EndReason, detail: str = "") -> None:
        """End the link for a reason of ours, telling the peer if it can be told."""
        self._note(reason, detail, by_us=True)
        if self.session is None:
            self._close()
        else:
            self.run(lambda session: session.refuse(reason, detail))

    def abort(self, reason: EndReason, detail: str = "") -> None:
        """End the link at once."""
        self._note(reason, detail, by_us=True)
        self._closing_since = self._clock.seconds()
        self._abort()

    # -- inner

    def _step(self, step: Callable[[], list[Effect]]) -> None:
        """Let the session do one thing and carry out what comes of it, in order."""
        try:
            self._waiting.extend(step())
            if self._is_running:
                return
            self._is_running = True
            try:
                self._carry_out()
            finally:
                self._is_running = False
        except Exception:  # the boundary between a connection and the rest of the server
            log.failure("The session with {peer} failed", peer=self.peer or self.address)
            self.abort(EndReason.INTERNAL_ERROR)
            return
        self._read_or_rest()

    def _carry_out(self) -> None:
        while self._waiting:
            match self._waiting.popleft():
                case Send(data):
                    self._write(data)
                case Ask(token, request):
                    self._ask(token, self._documents.perform(request))
                case Compute(token, steps):
                    self._ask(token, self._owner.compute(steps))
                case Close(reason, detail, by_peer):
                    self._note(reason, detail, by_us=not by_peer)
                    self._waiting.clear()
                    if reason == EndReason.LOST:
                        # A peer that has fallen silent takes no last words either.
                        self.abort(EndReason.LOST, detail)
                    else:
                        self._close()
                case Tell(Established() as event):
                    self._meet(event)
                case Tell(event):
                    self._owner.told(self, event)

    def _meet(self, event: Established) -> None:
        assert self.peer is not None
        if event.peer_key != self.peer:
            self.refuse(EndReason.PROTOCOL_VIOLATION, "HELLO and certificate name different peers")
            return
        self.device_name = event.device_name
        self.ends = LinkEnds(
            peer=self.peer, replica=event.replica, dialled_by_us=self.dialled is not None
        )
        self._owner.established(self, event)
        if self.outcome is None:
            self.met.callback(self)

    def _ask(self, token: Token, answer: Deferred[Any]) -> None:
        self._asked.add(answer)

        def forget(result: object) -> object:
            self._asked.discard(answer)
            return result

        def answered(value: object) -> None:
            self.run(lambda session: session.answered(token, value, self._clock.seconds()))

        def failed(failure: Failure) -> None:
            if self.session is None and failure.check(CancelledError):
                return
            error = failure.value
            if not isinstance(error, Exception):
                failure.raiseException()
            self.run(lambda session: session.failed(token, error, self._clock.seconds()))

        answer.addBoth(forget)
        answer.addCallbacks(answered, failed)
        answer.addErrback(lambda failure: log.failure("An answer was not heard", failure))

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.bytes_out += len(data)
        if self._is_full:
            self._stalled_bytes += len(data)
            if self._stalled_bytes > MAX_STALLED_BYTES:
                self.abort(EndReason.STALLED, "the peer does not read")
                return
        self.transport.write(data)

    def _read_or_rest(self) -> None:
        """Read the connection only while the session digests what comes."""
        if self.session is None or self._closing_since is not None:
            return
        wanted = self.session.wants_bytes
        if wanted != self._is_read:
            self._is_read = wanted
            transport = cast(IPushProducer, self.transport)
            if wanted:
                transport.resumeProducing()
            else:
                transport.pauseProducing()

    def _note(self, outcome: EndReason | str, detail: str = "", *, by_us: bool = False) -> None:
        """Keep the first word on why this ends: what follows is its consequence."""
        if self.outcome is None:
            self.outcome, self.detail, self.refused_by_us = outcome, detail, by_us

    def _close(self) -> None:
        if self._closing_since is not None:
            return
        self._closing_since = self._clock.seconds()
        transport = cast(TLSMemoryBIOProtocol, self.transport)
        if self.session is not None:
            # TLS does not end while it has a producer.
            transport.unregisterProducer()
        if not self._is_read:
            # A paused connection would not notice that the other side closes.
            transport.resumeProducing()
        cast(ITransport, transport).loseConnection()

    def _abort(self) -> None:
        self._waiting.clear()
        if self.transport is not None:
            cast(TLSMemoryBIOProtocol, self.transport).abortConnection()


def _outcome_of(reason: Failure, *, certified: bool, met: bool) -> tuple[EndReason, str]:
    """Return the outcome and detail of a connection that was lost for `reason`."""
    error = reason.value
    if isinstance(error, SSL.Error):
        # Ours before the peer's certificate, the peer's alert after it (TLS 1.3); either way one
        # of us could not prove to belong.
        return (EndReason.LOST if met else EndReason.NOT_A_MEMBER), _tls_reason(error)
    if met:
        return EndReason.LOST, ""
    if certified:
        return EndReason.LOST, "before HELLO"
    return EndReason.LOST, "before TLS was through"


def _is_ours(reason: Failure) -> bool:
    """Whether TLS ended because of what is not to our liking; a peer's dislike is an alert."""
    error = reason.value
    return isinstance(error, SSL.Error) and "alert" not in _tls_reason(error)


def _tls_reason(error: SSL.Error) -> str:
    stack = error.args[0] if error.args else ()
    reasons = [entry[2] for entry in stack if len(entry) == 3 and entry[2]]
    return reasons[-1] if reasons else "TLS"
