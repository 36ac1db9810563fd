# SPDX-License-Identifier: Apache-2.0
"""Errors that end a link: what the peer did, or why the two servers do not belong together."""

from __future__ import annotations

from typing import ClassVar

from edge_twisted.errors import Culprit, EdgeError
from edge_twisted.mesh.wire.end_reasons import EndReason


class PeerViolation(EdgeError):
    """The peer broke the protocol; the link ends, and nothing of the message is applied."""

    code: ClassVar[str] = EndReason.PROTOCOL_VIOLATION
    culprit = Culprit.PEER

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"the peer broke the protocol: {self.detail}"


class Refused(EdgeError):
    """This server does not go on with the peer; `reason` is the published one."""

    code: ClassVar[str] = "link_refused"
    culprit = Culprit.OPERATOR

    def __init__(self, reason: EndReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"link refused: {self.reason}, {self.detail}"
