# SPDX-License-Identifier: Apache-2.0
"""The error of a peer that breaks the protocol of reconciliation."""

from __future__ import annotations

from typing import ClassVar

from edge_twisted.errors import Culprit, EdgeError


class MalformedReconciliation(EdgeError):
    """A summary, request or cells that no correct peer sends: end the link."""

    code: ClassVar[str] = "protocol_violation"
    culprit = Culprit.PEER

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(what, problem)
        self.what = what
        self.problem = problem

    def __str__(self) -> str:
        return f"reconciliation: {self.what} {self.problem}"
