# SPDX-License-Identifier: Apache-2.0
"""
Why links end: each reason with its published name, whose fault it is, and when to dial again.

The names travel in BYE and stand in logs, `edge-server status` and the audit log, so they never
change.  `docs/mesh-protocol.md` prints the table below; a test holds the page to it.  To add a
reason, add a member here and a row there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from edge_twisted.errors import Culprit

#: An address that led to this server itself may lead to another machine one day (a floating
#: address), so it is dialled again, rarely.
SELF_REST_SECONDS: Final = 300.0


class EndReason(StrEnum):
    """
    Why a link ended; the member itself is the published name.

    :ivar culprit: who has to change something.
    :ivar meaning: what the protocol page says of the reason.
    :ivar retry_seconds: when whoever dialled dials again; None for the wait of
        `edge_twisted.mesh.links.backoff`, which grows from try to try.
    """

    culprit: Culprit
    meaning: str
    retry_seconds: float | None

    def __new__(
        cls, name: str, culprit: Culprit, meaning: str, retry_seconds: float | None = None
    ) -> EndReason:
        """Make a member from its row."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.culprit, member.meaning, member.retry_seconds = culprit, meaning, retry_seconds
        return member

    NOT_A_MEMBER = (
        "not_a_member",
        Culprit.OPERATOR,
        "the certificate is not of this mesh (seen by TLS; no BYE)",
    )
    DATABASE_MISMATCH = "db_id_mismatch", Culprit.OPERATOR, "the servers have different `db_id`s"
    SELF_LINK = (
        "self_link",
        Culprit.OPERATOR,
        "both ends are one server: its own address is among those that it dials",
        SELF_REST_SECONDS,
    )
    DUPLICATE_PEER = (
        "duplicate_peer",
        Culprit.OPERATOR,
        "two servers have one identity: a data folder was copied",
    )
    CLOCK_SKEW = (
        "clock_skew",
        Culprit.OPERATOR,
        "the clocks are more than 10 minutes apart, or a document is stamped later than *Clocks*"
        " allows; nothing of its batch is applied",
    )
    PROTOCOL_VERSION = "protocol_version", Culprit.OPERATOR, "no version is common to both sides"
    TOO_MANY_CONNECTIONS = (
        "too_many_connections",
        Culprit.OPERATOR,
        "no place for another peer, or none for another stranger (then there is no BYE)",
    )
    PROTOCOL_VIOLATION = (
        "protocol_violation",
        Culprit.PEER,
        "a message that this page does not allow, or a damaged document; nothing of the message"
        " is applied",
    )
    RATE_EXCEEDED = (
        "rate_exceeded",
        Culprit.PEER,
        "more of a kind of message than *Rates* lets through",
    )
    IMPLAUSIBLE_CLAIM = "implausible_claim", Culprit.PEER, "see *Claims*"
    HANDSHAKE_TIMEOUT = (
        "handshake_timeout",
        Culprit.PEER,
        "no HELLO within 10 s of the connection (no BYE)",
    )
    STALLED = "stalled", Culprit.PEER, "the other side does not read what it is sent (no BYE)"
    INTERNAL_ERROR = "internal_error", Culprit.OURSELVES, "no refusal: the database failed"
    DUPLICATE_LINK = "duplicate_link", Culprit.NOBODY, "another link between the two stays"
    GOODBYE = "goodbye", Culprit.NOBODY, "no refusal: a server stops, or renewed its epoch"
    LOST = (
        "lost",
        Culprit.NOBODY,
        "no refusal: the connection broke, or nothing came for 4.5 s",
    )


#: Ends that belong to how meshes come together and part: logged at `debug` only.
QUIET: Final = frozenset(each for each in EndReason if each.culprit is Culprit.NOBODY)
_BY_NAME: Final[dict[str, EndReason]] = {str(each): each for each in EndReason}


def end_reason(name: str) -> EndReason | None:
    """Return the reason of that name; None if a peer of a later version gave a new one."""
    return _BY_NAME.get(name)
