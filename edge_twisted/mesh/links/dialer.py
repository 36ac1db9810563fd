# SPDX-License-Identifier: Apache-2.0
"""
The dialer: keeps a link with every address that it was given, and tries again where there is none.

Each address has a `Dial`, which goes from WAITING to CONNECTING to LINKED, and back to WAITING when
the attempt fails or the link ends.  While another link with the same peer lives it is RESTING, and
while the address leads to this server itself it is SELF; both end in WAITING as well.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from attrs import frozen
from twisted.internet import defer
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from edge_twisted.mesh.carriers.carrier import PeerAddress
from edge_twisted.mesh.links.backoff import Backoff
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.wire.end_reasons import QUIET, EndReason, end_reason

log = Logger()

#: Time limit from the look-up of a name to a connection; a resolver can hang for minutes.
ATTEMPT_SECONDS: Final = 15.0
#: A new problem of one address is logged at most this often.
REPEAT_SECONDS: Final = 60.0
#: A link that lived this long counts as a success and resets the backoff.  One that the peer ends
#: at once, because it has too many, does not.
STEADY_SECONDS: Final = 5.0


class LinkedPeers(Protocol):
    """The node, as the dialer sees it."""

    @property
    def is_full(self) -> bool:
        """Whether the node takes no more peers."""

    def is_linked(self, peer: PeerKey) -> bool:
        """Return whether there is an established link with a peer."""


class DialState(Enum):
    """Where an address stands; shown by `edge-server status`."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    LINKED = "linked"
    #: Another link with the same peer lives; it dials again when that peer leaves.
    RESTING = "resting"
    #: The address leads to this server; it is dialled again, but rarely.
    SELF = "self"


@frozen(kw_only=True)
class DialParts:
    """What all dials work with; `draw` returns a random number in [0, 1)."""

    connect: Callable[[PeerAddress], Deferred[Link]]
    peers: LinkedPeers
    clock: IReactorTime
    draw: Callable[[], float]


class Dialer:
    """All dials, by address; for the reactor thread."""

    def __init__(self, parts: DialParts, most_seconds: float) -> None:
        self._parts = parts
        self._most_seconds = most_seconds
        self._dials: dict[PeerAddress, Dial] = {}

    @property
    def dials(self) -> tuple[Dial, ...]:
        """The dials of all addresses."""
        return tuple(self._dials.values())

    def add(self, target: PeerAddress) -> None:
        """Dial an address until it is removed; harmless when repeated."""
        if target not in self._dials:
            dial = self._dials[target] = Dial(target, self._parts, self._most_seconds)
            dial.begin()

    def remove(self, target: PeerAddress) -> None:
        """Stop dialling an address; a link that came of it lives on."""
        dial = self._dials.pop(target, None)
        if dial is not None:
            dial.end()

    def stop(self) -> None:
        """Stop dialling all addresses."""
        for target in tuple(self._dials):
            self.remove(target)

    def set_most_seconds(self, seconds: float) -> None:
        """Set the longest wait between two tries, for all dials."""
        self._most_seconds = seconds
        for dial in self._dials.values():
            dial.backoff.most_seconds = seconds

    def peer_left(self, peer: PeerKey) -> None:
        """Dial addresses again that rested because of a link with this peer."""
        for dial in self._dials.values():
            dial.peer_left(peer)


class Dial:
    """The tries to be linked with one address."""

    def __init__(self, target: PeerAddress, parts: DialParts, most_seconds: float) -> None:
        self.target = target
        self.state = DialState.WAITING
        #: Why there is no link, in a few words; empty while there is one, or before the first try.
        self.problem = ""
        self.backoff = Backoff(most_seconds, parts.draw)
        self._parts = parts
        self._peer: PeerKey | None = None
        self._timer: IDelayedCall | None = None
        self._attempt: Deferred[Link] | None = None
        self._linked_at: float | None = None
        self._logged_at = float("-inf")
        self._is_over = False

    def begin(self) -> None:
        """Dial at once."""
        self._wait(0.0)

    def end(self) -> None:
        """Cancel the timer and the attempt; an established link lives on."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._attempt is not None:
            self._attempt.cancel()

    def peer_left(self, peer: PeerKey) -> None:
        """Dial again if the dial rested because of a link with this peer."""
        if self.state is DialState.RESTING and self._peer == peer:
            self._wait(self.backoff.delay())

    # -- inner

    def _wait(self, seconds: float, state: DialState = DialState.WAITING) -> None:
        if self._is_over:
            return
        self.state = state
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._parts.clock.callLater(seconds, self._dial)

    def _dial(self) -> None:
        self._timer = None
        if self._parts.peers.is_full:
            self.problem = EndReason.TOO_MANY_CONNECTIONS
            self._wait(self.backoff.delay())
            return
        self.state = DialState.CONNECTING
        attempt = maybeDeferred(self._parts.connect, self.target)
        self._attempt = attempt
        attempt.addTimeout(ATTEMPT_SECONDS, self._parts.clock)
        attempt.addCallbacks(self._connected, self._unreachable)
        attempt.addErrback(lambda failure: log.failure("A dial failed unexpectedly", failure))

    def _connected(self, link: Link) -> None:
        self._attempt = None
        if self._is_over:
            link.refuse(EndReason.GOODBYE)
            return
        link.met.addCallback(self._linked)
        link.done.addCallback(self._ended)

    def _linked(self, link: Link) -> None:
        if not self._is_over:
            self.state = DialState.LINKED
            self.problem = ""
            self._linked_at = self._parts.clock.seconds()

    def _ended(self, link: Link) -> Link:
        if self._is_over:
            return link
        self._peer = link.peer
        now, linked_at = self._parts.clock.seconds(), self._linked_at
        if linked_at is not None and now - linked_at >= STEADY_SECONDS:
            self.backoff.reset()
        self._linked_at = None
        outcome = link.outcome or EndReason.LOST
        reason = end_reason(outcome)
        if reason is not None and reason.retry_seconds is not None:
            self.problem = "it is this server itself"
            self._wait(reason.retry_seconds, DialState.SELF)
        elif link.peer is not None and self._parts.peers.is_linked(link.peer):
            self.problem = "another link with its peer lives"
            self.state = DialState.RESTING
        else:
            if linked_at is None or outcome not in QUIET:
                self._report(f"{outcome}, {link.detail}" if link.detail else outcome)
            self._wait(self.backoff.delay())
        return link

    def _unreachable(self, failure: Failure) -> None:
        self._attempt = None
        if self._is_over:
            return
        self._report(_reason(failure))
        self._wait(self.backoff.delay())

    def _report(self, problem: str) -> None:
        """Set the problem, and log it if it is new: it may last for months."""
        is_new, self.problem = problem != self.problem, problem
        now = self._parts.clock.seconds()
        if is_new and now - self._logged_at >= REPEAT_SECONDS:
            self._logged_at = now
            log.warn(
                "No mesh link with {address} yet: {problem}; trying on",
                address=str(self.target),
                problem=problem,
            )


def _reason(failure: Failure) -> str:
    """Return why a connection failed, in words for users: see `carriers.carrier.Unreachable`."""
    match failure.value:
        case defer.TimeoutError():
            return "no answer"
        case error:
            return str(error) or type(error).__name__
