# SPDX-License-Identifier: Apache-2.0
"""
A link: one connection with a peer, and the session that runs on it.

`Link` gives the session bytes, ticks and answers, and carries out its effects in order.  The
session decides what is said, and the node (`LinkOwner`) whether the link may stay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Final, Protocol, cast

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHandshakeListener, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from edge_twisted.mesh.carriers.carrier import LinkRoute
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

#: Time limit from the connection to both HELLOs.
HANDSHAKE_SECONDS: Final = 10.0
#: How long a peer that does not read gets to take BYE, before the connection is cut.
CLOSE_SECONDS: Final = 5.0
#: Bytes written since the transport's buffer was full, beyond which the peer counts as stalled;
#: the windows of sessions are far smaller.
MAX_STALLED_BYTES: Final = 32 * 1024 * 1024


class LinkOwner(Protocol):
    """The node, as its links see it."""

    def certified(self, link: Link, peer: PeerKey) -> LinkSession | None:
        """Return the session for a link whose peer has shown its certificate.

        None: the owner has ended the link.
        """

    def established(self, link: Link, event: Established) -> None:
        """Keep a link on which both HELLOs are in, or refuse it."""

    def compute(self, steps: Generator[None, None, object]) -> Deferred[object]:
        """Run steps, a few milliseconds of them at a time; fire with what they return."""

    def told(self, link: Link, event: object) -> None:
        """Take an event (`ports.effects.Event`) of an established link."""

    def ended(self, link: Link) -> None:
        """Forget a link whose connection is gone; called once for each (`link.outcome` is why)."""


@implementer(IHandshakeListener, IPushProducer)
class Link(TwistedProtocol):
    """
    The protocol of one connection with a peer, inside TLS.

    :param route: the carrier of the connection, and from where to where it leads.
    """

    def __init__(
        self, owner: LinkOwner, documents: Documents, clock: IReactorTime, route: LinkRoute
    ) -> None:
        self._owner = owner
        self._documents = documents
        self._clock = clock
        self.route = route
        #: The peer's key, which the TLS handshake has proven.
        self.peer: PeerKey | None = None
        #: Set once both HELLOs are in.
        self.ends: LinkEnds | None = None
        self.device_name = ""
        #: See `Features.has_signed_presence`; set once both HELLOs are in.
        self.has_signed_presence = False
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
        #: Effects of the session that are to be carried out.
        self._effects: deque[Effect] = deque()
        #: Whether `_carry_out` is on the stack.
        self._is_running = False
        self._answers: set[Deferred[Any]] = set()
        #: Whether the connection is being read: see `LinkSession.wants_bytes`.
        self._is_reading = True
        #: Whether the transport's buffer is full, and the bytes written since then.
        self._is_full = False
        self._stalled_bytes = 0

    # -- IProtocol

    def connectionMade(self) -> None:
        """Prepare the connection; the session begins with `handshakeCompleted`."""
        self.route.carrier.prepare(self._tls)

    def dataReceived(self, data: bytes) -> None:
        """Pass bytes on to the session, and do what it says."""
        self.bytes_in += len(data)
        if self.session is not None and self._closing_since is None:
            session = self.session
            self._step(lambda: session.receive(data, self._clock.seconds()))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note why the link ended, end its session, and tell its owner."""
        outcome, detail = _outcome_of(
            reason, certified=self.peer is not None, met=self.ends is not None
        )
        self._note(outcome, detail, by_us=_is_ours(reason))
        if self.session is not None:
            self.session.lost()
        self.session = None
        self._effects.clear()
        for answer in tuple(self._answers):
            answer.cancel()
        self._owner.ended(self)
        self.done.callback(self)

    # -- IHandshakeListener

    def handshakeCompleted(self) -> None:
        """Begin the session: the peer is a member; only its HELLO proves that it accepted us."""
        connection = self._tls.getHandle()
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
        self._tls.registerProducer(self, True)
        self._step(lambda: session.start(self._clock.seconds()))

    # -- IPushProducer

    def pauseProducing(self) -> None:
        """Note that the transport's buffer is full; `tick` watches whether it empties."""
        self._is_full = True
        self._stalled_bytes = 0

    def resumeProducing(self) -> None:
        """Note that the transport's buffer has room again."""
        self._is_full = False

    def stopProducing(self) -> None:
        """Do nothing: `connectionLost` follows."""

    # -- for the node

    @property
    def address(self) -> str:
        """The address that was dialled, or from which the connection came; for logs."""
        return self.route.address

    @property
    def kind(self) -> LinkKind:
        """The kind of the link in the presence graph."""
        return self.route.carrier.kind

    @property
    def has_room(self) -> bool:
        """Whether neither the transport nor the session has anything waiting to be sent."""
        return not self._is_full and self.session is not None and self.session.is_idle

    def run(self, step: Callable[[LinkSession], list[Effect]]) -> None:
        """Call `step` with the session and carry out its effects, unless the link is ending."""
        session = self.session
        if session is not None and self._closing_since is None:
            self._step(lambda: step(session))

    def tick(self) -> None:
        """End what has run out of time; the node calls it about every half second."""
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
        """End the link by a decision of this side; tell the peer if there is a session."""
        self._note(reason, detail, by_us=True)
        if self.session is None:
            self._close()
        else:
            self.run(lambda session: session.refuse(reason, detail))

    def abort(self, reason: EndReason, detail: str = "") -> None:
        """Cut the connection at once, without BYE; `reason` and `detail` go to our own log."""
        self._note(reason, detail, by_us=True)
        self._closing_since = self._clock.seconds()
        self._abort()

    # -- inner

    def _step(self, step: Callable[[], list[Effect]]) -> None:
        """Call the session, then carry out its effects in order; a failure ends the link."""
        try:
            self._effects.extend(step())
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
        self._pause_or_resume()

    def _carry_out(self) -> None:
        while self._effects:
            match self._effects.popleft():
                case Send(data):
                    self._write(data)
                case Ask(token, request):
                    self._ask(token, self._documents.perform(request))
                case Compute(token, steps):
                    self._ask(token, self._owner.compute(steps))
                case Close(reason, detail, by_peer):
                    self._note(reason, detail, by_us=not by_peer)
                    self._effects.clear()
                    if reason == EndReason.LOST:
                        # A peer that has fallen silent would not take a BYE.
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
        self.has_signed_presence = event.features.has_signed_presence
        self.ends = LinkEnds(
            peer=self.peer, replica=event.replica, dialled_by_us=self.route.is_dialled
        )
        self._owner.established(self, event)
        if self.outcome is None:
            self.met.callback(self)

    def _ask(self, token: Token, answer: Deferred[Any]) -> None:
        self._answers.add(answer)

        def forget(result: object) -> object:
            self._answers.discard(answer)
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

    def _pause_or_resume(self) -> None:
        """Read the connection only while the session wants bytes."""
        if self.session is None or self._closing_since is not None:
            return
        wanted = self.session.wants_bytes
        if wanted != self._is_reading:
            self._is_reading = wanted
            if wanted:
                self._tls.resumeProducing()
            else:
                self._tls.pauseProducing()

    def _note(self, outcome: EndReason | str, detail: str = "", *, by_us: bool = False) -> None:
        """Keep the first reason why the link ends; later ones are consequences of it."""
        if self.outcome is None:
            self.outcome, self.detail, self.refused_by_us = outcome, detail, by_us

    def _close(self) -> None:
        if self._closing_since is not None:
            return
        self._closing_since = self._clock.seconds()
        if self.session is not None:
            # TLS does not end while it has a producer.
            self._tls.unregisterProducer()
        if not self._is_reading:
            # A paused connection would not notice that the other side closes.
            self._tls.resumeProducing()
        self._tls.loseConnection()

    def _abort(self) -> None:
        self._effects.clear()
        if self.transport is not None:
            self._tls.abortConnection()

    @property
    def _tls(self) -> TLSMemoryBIOProtocol:
        return cast(TLSMemoryBIOProtocol, self.transport)


def _outcome_of(reason: Failure, *, certified: bool, met: bool) -> tuple[EndReason, str]:
    """Return the outcome and detail of a connection that was lost for `reason`."""
    error = reason.value
    if isinstance(error, SSL.Error):
        # Our error before the peer's certificate is here, the peer's alert after it (TLS 1.3).
        # Either way one side could not prove that it is a member.
        return (EndReason.LOST if met else EndReason.NOT_A_MEMBER), _tls_reason(error)
    if met:
        return EndReason.LOST, ""
    if certified:
        return EndReason.LOST, "before HELLO"
    return EndReason.LOST, "before TLS was through"


def _is_ours(reason: Failure) -> bool:
    """Return whether this side ended TLS; when the peer does, the error is an alert."""
    error = reason.value
    return isinstance(error, SSL.Error) and "alert" not in _tls_reason(error)


def _tls_reason(error: SSL.Error) -> str:
    stack = error.args[0] if error.args else ()
    reasons = [entry[2] for entry in stack if len(entry) == 3 and entry[2]]
    return reasons[-1] if reasons else "TLS"
