# SPDX-License-Identifier: Apache-2.0
"""Errors of the blob exchange."""

from __future__ import annotations

from typing import ClassVar

from edge_twisted.errors import Culprit, EdgeError


class MalformedBlobMessage(EdgeError):
    """A message about attachments that no correct peer sends: the link has to end."""

    code: ClassVar[str] = "protocol_violation"
    culprit = Culprit.PEER

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"a malformed message about attachments: {self.detail}"
