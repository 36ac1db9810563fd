# SPDX-License-Identifier: Apache-2.0
"""HELLO: what servers say first, and whether they belong together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from attrs import frozen

from edge_twisted.documents.clock import MAX_AHEAD_MS, Timestamp, milliseconds, timestamp
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.mesh.ports.requests import Scope
from edge_twisted.mesh.session.credit import WINDOW_BYTES
from edge_twisted.mesh.wire.end_reasons import EndReason
from edge_twisted.mesh.wire.messages import VERSIONS, Hello
from edge_twisted.mesh.wire.violations import PeerViolation, Refused

#: Of a device name, in characters, as in the configuration.
MAX_NAME: Final = 256


class HelloFacts(Protocol):
    """What a session may ask of the database without waiting (`requests.Documents`)."""

    @property
    def replica(self) -> Replica:
        """Who we are."""

    @property
    def lsn(self) -> int:
        """The newest durable commit."""

    def heard_of(self, replica: Replica) -> int:
        """Return the highest sequence of a replica in what came here."""

    def scope(self, query: str, arguments: Mapping[str, Value]) -> Scope:
        """
        Return the scope that a subscription query names.

        :raises DqlError: it is no subscription.
        """


@frozen(kw_only=True)
class LocalServer:
    """What a session says of this server, and where it has time and chance from."""

    home: HelloFacts
    #: 32 bytes, the same for servers of one database and for no others.
    database: bytes
    peer_key: str
    device_name: str
    #: The wall clock, in ms since 1970.
    now_ms: Callable[[], int]
    entropy: Callable[[int], bytes]
    window_bytes: int = WINDOW_BYTES


def hello(us: LocalServer, replica: Replica) -> Hello:
    """Return what we say of ourselves."""
    return Hello(
        list(VERSIONS),
        us.database,
        replica.site,
        replica.epoch,
        us.peer_key,
        us.device_name[:MAX_NAME],
        timestamp(us.now_ms()),
        us.window_bytes,
    )


def check(us: LocalServer, replica: Replica, certified_key: str, theirs: Hello) -> Replica:
    """
    Return who the peer is, whose certificate names `certified_key`.

    :raises Refused: we do not belong together.
    :raises PeerViolation: it is not who it says.
    """
    if not set(theirs.versions) & set(VERSIONS):
        spoken = f"the peer speaks {theirs.versions}, we {list(VERSIONS)}"
        raise Refused(EndReason.PROTOCOL_VERSION, spoken)
    if theirs.database != us.database:
        raise Refused(EndReason.DATABASE_MISMATCH, "the peer has another db_id")
    if theirs.peer_key != certified_key:
        raise PeerViolation("HELLO and certificate name different peers")
    peer = Replica(SiteId(theirs.site), theirs.epoch)
    if theirs.peer_key == us.peer_key and peer == replica:
        raise Refused(EndReason.SELF_LINK, "the peer is this server")
    if theirs.peer_key == us.peer_key or peer == replica:
        copied = "the peer has our identity: is it a copy of our data folder?"
        raise Refused(EndReason.DUPLICATE_PEER, copied)
    apart = abs(milliseconds(Timestamp(theirs.clock)) - us.now_ms())
    if apart > MAX_AHEAD_MS:
        raise Refused(EndReason.CLOCK_SKEW, f"the clocks are {apart / 1000:.0f} s apart")
    return peer
