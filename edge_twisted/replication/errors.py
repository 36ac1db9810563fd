# SPDX-License-Identifier: Apache-2.0
"""Errors of replication: a peer sent what cannot be true; its link ends."""

from __future__ import annotations

from typing import ClassVar

from edge_twisted.errors import Culprit, EdgeError


class CorruptItem(EdgeError):
    """A peer sent a document that contradicts itself; no part of its batch was applied."""

    code: ClassVar[str] = "corrupt_item"
    culprit = Culprit.PEER

    def __init__(self, collection: str, id_key: bytes, reason: str) -> None:
        super().__init__(collection, id_key, reason)
        self.collection = collection
        self.id_key = id_key
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"a document of {self.collection} that a peer sent (key {self.id_key[:32].hex()})"
            f" is damaged: {self.reason}"
        )


class ImplausibleClaim(EdgeError):
    """Peers claimed too often that this server made writes that it did not; nothing was done."""

    code: ClassVar[str] = "implausible_claim"
    culprit = Culprit.PEER

    def __init__(self, of_us: int, renewals: int) -> None:
        super().__init__(of_us, renewals)
        self.of_us = of_us
        self.renewals = renewals

    def __str__(self) -> str:
        return (
            f"a peer says that this server made {self.of_us} writes that it did not make, and it"
            f" took {self.renewals} epochs for that in an hour"
        )
