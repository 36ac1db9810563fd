# SPDX-License-Identifier: Apache-2.0
"""
Gossip of presence: checks encoded records, takes them into the graph, and says what to send on.

A record is signed by the peer that it is about.  Servers of protocol version 1 sign nothing, so
what such a server says of itself is believed on the link with that server alone, where TLS has
proven who it is, and goes on to links of version 1 only.  What it passes on of others counts only
with their signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from attrs import frozen

from edge_twisted.mesh.presence.codec import decode, encode, is_of_another_format, signed_bytes
from edge_twisted.mesh.presence.graph import Claim, PresenceGraph, PresenceRecord
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.trust.signatures import is_signed_by


class RecordFault(StrEnum):
    """Why a record is refused; the names stand in logs and metrics."""

    #: The signature is not that of the peer that the record is about.
    FORGED = "forged"
    #: The bytes are no record within the limits.
    DAMAGED = "damaged"
    #: There is no signature, and the record did not come from the peer that it is about.
    UNSIGNED = "unsigned"


@frozen
class RefusedRecord:
    """A record that is not believed; `about` is empty when that cannot be told."""

    fault: RecordFault
    about: str


@frozen
class Spread:
    """An encoded record to be sent over all links, or all but the one that it came over."""

    peer: PeerKey
    record: bytes
    to_all: bool
    #: Unsigned records go over links of version 1 only.
    is_signed: bool


@frozen
class Giver:
    """The peer at the other end of the link that a record came over."""

    peer: PeerKey
    #: Whether all records on the link have to be signed.
    signs: bool


class Gossip:
    """
    The presence graph, with records as bytes.

    :param sign: signs as this server, see `trust.signatures`.
    """

    def __init__(self, graph: PresenceGraph, sign: Callable[[bytes], bytes]) -> None:
        self.graph = graph
        self._sign = sign
        self._sign_local()

    def publish(self, claims: Iterable[Claim]) -> Spread | None:
        """Set this server's links; return its new record, None if they have not changed."""
        record = self.graph.publish(claims)
        return None if record is None else self._own()

    def hear(self, data: bytes, giver: Giver) -> Spread | RefusedRecord | None:
        """Take an encoded record that came over a link from `giver`.

        Return what to send on, if it is news; why it is refused; or None: there is nothing to do.
        Takes some 0.1 ms if it is news, for the signature, and less if it is none.
        """
        record = decode(data)
        if record is None:
            is_later = is_of_another_format(data)
            return None if is_later else RefusedRecord(RecordFault.DAMAGED, "")
        if not record.signature and giver.signs:
            return RefusedRecord(RecordFault.UNSIGNED, record.peer)
        if not self.graph.is_news(record):
            return None
        fault = self._fault(record, giver)
        if fault is not None:
            return RefusedRecord(fault, record.peer)
        news = self.graph.receive(record)
        if news is None:
            return None
        if news.peer == self.graph.local.peer:
            return self._own()
        return Spread(news.peer, encode(news), to_all=False, is_signed=bool(news.signature))

    def everything(self, *, signed_only: bool) -> tuple[bytes, ...]:
        """Return all records, encoded, for a new link; with `signed_only`, all that are signed."""
        records = self.graph.everything()
        return tuple(encode(each) for each in records if each.signature or not signed_only)

    def forget(self, now: float) -> None:
        """Drop records of peers that are long out of reach; see `PresenceGraph.forget`."""
        self.graph.forget(now)

    # -- inner

    def _fault(self, record: PresenceRecord, giver: Giver) -> RecordFault | None:
        if not record.signature:
            is_proven = record.peer == giver.peer != self.graph.local.peer
            return None if is_proven else RecordFault.UNSIGNED
        is_theirs = is_signed_by(record.peer, record.signature, signed_bytes(record))
        return None if is_theirs else RecordFault.FORGED

    def _own(self) -> Spread:
        record = self._sign_local()
        return Spread(record.peer, encode(record), to_all=True, is_signed=True)

    def _sign_local(self) -> PresenceRecord:
        return self.graph.sign_local(self._sign(signed_bytes(self.graph.local)))
