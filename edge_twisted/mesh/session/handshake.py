# SPDX-License-Identifier: Apache-2.0
"""HELLO: what servers say first, and the check whether they belong together."""

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
from edge_twisted.mesh.wire.features import VERSIONS, Features, common_features
from edge_twisted.mesh.wire.messages import Hello
from edge_twisted.mesh.wire.violations import PeerViolation, Refused

#: Characters of a device name, as in the configuration.
MAX_NAME: Final = 256


class HelloFacts(Protocol):
    """What a session asks of the database without waiting (`requests.Documents`)."""

    @property
    def replica(self) -> Replica:
        """The site and epoch of this server."""

    @property
    def lsn(self) -> int:
        """The number of the newest durable commit here."""

    @property
    def hybrid_time(self) -> Timestamp:
        """The hybrid clock: no document here has a write that is stamped later."""

    def heard_of(self, replica: Replica) -> int:
        """Return the highest sequence number of a replica among the writes known here."""

    def scope(self, query: str, arguments: Mapping[str, Value]) -> Scope:
        """Return the scope that a subscription query names.

        :raises DqlError: the query is no subscription; the peer is answered CLOSED with the
            message.
        """


@frozen(kw_only=True)
class LocalServer:
    """What a session says of this server, and its sources of time and randomness."""

    home: HelloFacts
    #: 32 bytes, the same for servers of one database and for no others.
    database: bytes
    peer_key: str
    device_name: str
    #: The wall clock, in ms since 1970.
    now_ms: Callable[[], int]
    entropy: Callable[[int], bytes]
    window_bytes: int = WINDOW_BYTES
    #: Versions of the protocol that it speaks; tests make servers of older releases with it.
    versions: tuple[int, ...] = VERSIONS


@frozen(kw_only=True)
class Peer:
    """The server at the other end of a link, as its HELLO and ours have agreed."""

    replica: Replica
    #: Bytes of unacknowledged batches that it takes.
    window_bytes: int
    #: What may be said on the link.
    features: Features


def hello(local: LocalServer, replica: Replica, declared: Timestamp | None) -> Hello:
    """Return the HELLO of this server; `declared` is its hybrid clock, if that is ahead."""
    return Hello(
        list(local.versions),
        local.database,
        replica.site,
        replica.epoch,
        local.peer_key,
        local.device_name[:MAX_NAME],
        timestamp(local.now_ms()),
        local.window_bytes,
        declared,
    )


def check(local: LocalServer, replica: Replica, certified_key: str, theirs: Hello) -> Peer:
    """Return the peer whose HELLO is `theirs` and whose certificate names `certified_key`.

    :raises Refused: the two servers cannot work together, or are one; end the link with its reason.
    :raises PeerViolation: HELLO names another key than the certificate; end the link.
    """
    features = common_features(local.versions, theirs.versions)
    if features is None:
        spoken = f"the peer speaks {theirs.versions}, we {list(local.versions)}"
        raise Refused(EndReason.PROTOCOL_VERSION, spoken)
    if theirs.database != local.database:
        raise Refused(EndReason.DATABASE_MISMATCH, "the peer has another db_id")
    if theirs.peer_key != certified_key:
        raise PeerViolation("HELLO and certificate name different peers")
    peer = Replica(SiteId(theirs.site), theirs.epoch)
    if theirs.peer_key == local.peer_key and peer == replica:
        raise Refused(EndReason.SELF_LINK, "the peer is this server")
    if theirs.peer_key == local.peer_key or peer == replica:
        copied = "the peer has our identity: is it a copy of our data folder?"
        raise Refused(EndReason.DUPLICATE_PEER, copied)
    check_wall_clock(local, Timestamp(theirs.clock))
    return Peer(replica=peer, window_bytes=theirs.window, features=features)


def check_wall_clock(local: LocalServer, theirs: Timestamp) -> None:
    """Compare a peer's wall clock, as the peer just told it, with this server's.

    :raises Refused: they are further apart than `MAX_AHEAD_MS`: one of them is wrong; end the link.
    """
    apart = abs(milliseconds(theirs) - local.now_ms())
    if apart > MAX_AHEAD_MS:
        raise Refused(EndReason.CLOCK_SKEW, f"the clocks are {apart / 1000:.0f} s apart")
