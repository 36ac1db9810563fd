# SPDX-License-Identifier: Apache-2.0
"""Why a session refuses to go on: the peer's fault, and by which published name it is told."""

from __future__ import annotations

from typing import ClassVar, Final

from edge_twisted.errors import EdgeError

DATABASE_MISMATCH: Final = "db_id_mismatch"
SELF_LINK: Final = "self_link"
DUPLICATE_PEER: Final = "duplicate_peer"
CLOCK_SKEW: Final = "clock_skew"
PROTOCOL_VERSION: Final = "protocol_version"
PROTOCOL_VIOLATION: Final = "protocol_violation"
#: More of a kind of message than `rates` lets through.
RATE_EXCEEDED: Final = "rate_exceeded"
#: It is said that we made writes that we did not, and too many epochs were taken for that lately.
IMPLAUSIBLE_CLAIM: Final = "implausible_claim"
#: No refusals: the link ended as links do, nothing came for too long, the database here failed.
GOODBYE: Final = "goodbye"
LOST: Final = "lost"
INTERNAL_ERROR: Final = "internal_error"


class PeerViolation(EdgeError):
    """The peer broke the protocol: the link ends, and nothing of the message is applied."""

    code: ClassVar[str] = PROTOCOL_VIOLATION

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"the peer broke the protocol: {self.detail}"


class Refused(EdgeError):
    """We and the peer do not belong together; `name` is one of the published refusals."""

    code: ClassVar[str] = "link_refused"

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(name, detail)
        self.name = name
        self.detail = detail

    def __str__(self) -> str:
        return f"link refused: {self.name}, {self.detail}"
