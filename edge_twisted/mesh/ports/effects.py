# SPDX-License-Identifier: Apache-2.0
"""What a session wants done: it touches neither transport, clock nor database itself."""

from __future__ import annotations

from collections.abc import Generator
from typing import NewType, Protocol

from attrs import frozen

from edge_twisted.documents.versions import Replica
from edge_twisted.mesh.ports.requests import DocumentRequest, Scope
from edge_twisted.mesh.wire.end_reasons import EndReason
from edge_twisted.mesh.wire.items import ScopeKey

#: Names a question of a session, so that the answer finds it.
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


# -- what others than the session's connection should hear


@frozen
class Established:
    """Both HELLOs are in and agree: the peer counts as connected from here on."""

    peer_key: str
    device_name: str
    replica: Replica


@frozen
class PresenceHeard:
    """Encoded presence records came, to be taken into the graph and passed on if they are news."""

    records: tuple[bytes, ...]


@frozen
class BlobHeard:
    """A message about attachments came (`blob_messages`)."""

    message: bytes


@frozen
class StreamProgress:
    """How far the peer has come with what it takes of us, for `system:data_sync_info`."""

    acknowledged_lsn: int


@frozen
class Received:
    """A batch was applied: documents for the metrics, blobs that came into sight."""

    documents: int
    attachments: tuple[str, ...]


@frozen
class ScopeRefused:
    """The peer does not serve a subscription: its collection stays there, or it reads no DQL so."""

    key: ScopeKey
    reason: str


@frozen
class Withheld:
    """A document is too large for the protocol (30 MiB), and stays here alone."""

    collection: str
    id_key: bytes
    size: int


Event = (
    Established | PresenceHeard | BlobHeard | StreamProgress | Received | ScopeRefused | Withheld
)


@frozen
class Tell:
    """Tell the node (the owner of all links) of an event."""

    event: Event


Effect = Send | Ask | Compute | Close | Tell


class LinkSession(Protocol):
    """
    One link, from its first byte to its end, without transport, clock or database.

    Bytes, ticks, commits and answers go in; effects come out, to be carried out in order.  After
    `Close` nothing comes out any more.  `now` is monotonic seconds.
    """

    def start(self, now: float) -> list[Effect]:
        """Begin: once the connection, TLS included, stands."""

    def receive(self, data: bytes, now: float) -> list[Effect]:
        """Take bytes as they came, in any pieces."""

    def tick(self, now: float) -> list[Effect]:
        """Look at the clock: call it about every 0.5 s."""

    def answered(self, token: Token, answer: object, now: float) -> list[Effect]:
        """Take the answer to an `Ask`, or what a `Compute` returned."""

    def failed(self, token: Token, error: Exception, now: float) -> list[Effect]:
        """An `Ask` or a `Compute` failed."""

    def committed(self, lsn: int, collections: frozenset[str], now: float) -> list[Effect]:
        """Something became durable here, from whatever source."""

    def cursors_dropped(self, collections: frozenset[str], now: float) -> list[Effect]:
        """Ask again for the positions of the scopes in these collections (EVICT)."""

    def subscribe(self, scope: Scope, now: float) -> list[Effect]:
        """Want one more scope; nothing if it is wanted already.  Others are left alone."""

    def unsubscribe(self, key: ScopeKey, now: float) -> list[Effect]:
        """Want a scope no more; what came of it stays."""

    def lost(self) -> None:
        """The connection is gone: nothing comes out any more, others may pull what we did."""

    def send_presence(self, records: tuple[bytes, ...]) -> list[Effect]:
        """Pass encoded presence records to the peer."""

    def send_blob(self, message: bytes) -> list[Effect]:
        """Pass a message about attachments to the peer; small, or one chunk when `is_idle`."""

    def refuse(self, reason: EndReason, detail: str = "") -> list[Effect]:
        """End the link by a decision of the node, telling the peer the reason."""

    @property
    def is_idle(self) -> bool:
        """Whether no batch waits to be sent: the moment for bytes of low priority."""

    @property
    def wants_bytes(self) -> bool:
        """False while what came is not digested: the connection should not be read."""
