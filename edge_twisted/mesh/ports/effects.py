# SPDX-License-Identifier: Apache-2.0
"""Effects: what a session, which does no I/O itself, wants its owner to do."""

from __future__ import annotations

from collections.abc import Generator
from typing import NewType, Protocol

from attrs import frozen

from edge_twisted.documents.versions import Replica
from edge_twisted.mesh.ports.requests import DocumentRequest, Scope, TransitRoute
from edge_twisted.mesh.wire.end_reasons import EndReason
from edge_twisted.mesh.wire.features import Features
from edge_twisted.mesh.wire.items import ScopeKey

#: Names a question of a session, for its answer.
Token = NewType("Token", int)


@frozen
class Send:
    """Write these bytes to the transport, in order."""

    data: bytes


@frozen
class Ask:
    """Have `Documents` perform a request; give the answer to `Session.answered`."""

    token: Token
    request: DocumentRequest


@frozen
class Compute:
    """
    Run these steps to their end, a few milliseconds at a time; give what they return to
    `Session.answered`.  A step takes about a millisecond.
    """

    token: Token
    steps: Generator[None, None, object]


@frozen
class Close:
    """
    End the connection after what was sent.

    `reason` is an `EndReason`, or another name that a peer of a later version gave.
    """

    reason: EndReason | str
    detail: str = ""
    #: Whether the peer ends it, and gave the reason.
    by_peer: bool = False


# -- events, for whoever owns the links


@frozen
class Established:
    """Both HELLOs are in and agree: the peer counts as connected from here on."""

    peer_key: str
    device_name: str
    replica: Replica
    #: What the link may carry.
    features: Features


@frozen
class PresenceHeard:
    """Encoded presence records came, to be taken into the graph and passed on if they are news."""

    records: tuple[bytes, ...]


@frozen
class BlobHeard:
    """A message about attachments came (`mesh.blobs.messages`)."""

    message: bytes


@frozen
class StreamProgress:
    """The lsn up to which the peer has what it wants, for `system:data_sync_info`."""

    acknowledged_lsn: int


@frozen
class Received:
    """A batch was applied: how many documents, and attachments that are visible now."""

    documents: int
    attachments: tuple[str, ...]


@frozen
class ScopeRefused:
    """The peer does not serve a subscription: its scope is closed, or the query is unknown."""

    key: ScopeKey
    reason: str


@frozen
class PeerSubscribed:
    """
    The peer subscribes to a scope.

    :ivar number: names the subscription on this link.
    :ivar route: set if the peer passes it on for others.
    :ivar position: the cursor from which it goes on; None: from nothing.
    """

    number: int
    scope: Scope
    route: TransitRoute | None
    position: int | None


@frozen
class PeerUnsubscribed:
    """The peer has ended the subscription of this number."""

    number: int


@frozen
class Unwanted:
    """The peer sent documents, so many, that nobody subscribes to here; they were ignored."""

    documents: int


@frozen
class Withheld:
    """A document is larger than the protocol takes (30 MiB), so it is not sent."""

    collection: str
    id_key: bytes
    size: int


Event = (
    Established
    | PresenceHeard
    | BlobHeard
    | StreamProgress
    | Received
    | ScopeRefused
    | PeerSubscribed
    | PeerUnsubscribed
    | Unwanted
    | Withheld
)


@frozen
class Tell:
    """Tell the node (the owner of all links) of an event."""

    event: Event


Effect = Send | Ask | Compute | Close | Tell


class LinkSession(Protocol):
    """
    The protocol on one link, from its first byte to its end, without I/O.

    Every method but `lost` returns effects, to be carried out in order; after `Close` it returns
    none.  `now` is monotonic seconds.
    """

    def start(self, now: float) -> list[Effect]:
        """Begin with this server's HELLO; call it once the TLS handshake is complete."""

    def receive(self, data: bytes, now: float) -> list[Effect]:
        """Take bytes of the connection, in any pieces, and act on each message that they complete.

        A peer that breaks the protocol is no exception: the effects then end with `Close`.
        """

    def tick(self, now: float) -> list[Effect]:
        """Do what is due at `now` (keep-alives, time-outs); call it about every 0.5 s."""

    def answered(self, token: Token, answer: object, now: float) -> list[Effect]:
        """Take the answer to the `Ask`, or the result of the `Compute`, that had this token."""

    def failed(self, token: Token, error: Exception, now: float) -> list[Effect]:
        """End the link, because the `Ask` or the `Compute` with this token failed."""

    def committed(self, lsn: int, collections: frozenset[str], now: float) -> list[Effect]:
        """Send the peer what it subscribes to of the commits up to `lsn`, durable here now.

        `collections` are those that the commits changed, by whichever source.
        """

    def cursors_dropped(self, collections: frozenset[str], now: float) -> list[Effect]:
        """Begin the subscriptions in these collections anew, for EVICT dropped their cursors."""

    def subscribe(self, scope: Scope, now: float) -> list[Effect]:
        """Subscribe to one more scope, unless it is subscribed to already."""

    def unsubscribe(self, key: ScopeKey, now: float) -> list[Effect]:
        """End the subscription to a scope; the documents that it brought stay."""

    def lost(self) -> None:
        """End the session of a connection that is gone; other links may pull its documents."""

    def send_presence(self, records: tuple[bytes, ...]) -> list[Effect]:
        """Send encoded presence records to the peer."""

    def send_blob(self, message: bytes) -> list[Effect]:
        """Send the peer one encoded message about attachments (`mesh.blobs.messages`).

        Chunks have low priority: send them only while `is_idle`.
        """

    def refuse(self, reason: EndReason, detail: str = "") -> list[Effect]:
        """End the link by a decision of its owner; the peer gets the reason.

        :param detail: a sentence for the peer's log, beside the reason.
        """

    @property
    def is_idle(self) -> bool:
        """Whether no batch waits to be sent, so that bytes of low priority may be."""

    @property
    def wants_bytes(self) -> bool:
        """Whether to read the connection; False while too much of what came is worked on."""
