# SPDX-License-Identifier: Apache-2.0
"""Errors about API keys and their hashes."""

from __future__ import annotations

from edge_twisted.errors import Culprit, EdgeError


class BadKeyHash(EdgeError):
    """A text that is no valid hash; `reason` says why and the remedy, and never quotes it."""

    code = "bad_key_hash"
    culprit = Culprit.OPERATOR

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class KeyCheckOverloaded(EdgeError):
    """Too many keys wait for their first check; the caller should answer 503 and try later."""

    code = "overloaded"
    culprit = Culprit.OURSELVES

    def __init__(self, waiting: int) -> None:
        super().__init__(waiting)
        self.waiting = waiting

    def __str__(self) -> str:
        return f"{self.waiting} keys wait for their first check already; try again in a second"
