# SPDX-License-Identifier: Apache-2.0
"""What a peer can do wrong with attachments."""

from __future__ import annotations

from typing import ClassVar

from edge_twisted.errors import EdgeError


class MalformedBlobMessage(EdgeError):
    """A message about attachments that no correct peer sends: end the link."""

    code: ClassVar[str] = "protocol_violation"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"a message about attachments that is none: {self.detail}"
