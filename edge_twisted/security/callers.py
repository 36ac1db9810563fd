# SPDX-License-Identifier: Apache-2.0
"""The caller of a request, known once its API key was checked, with its permissions."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from edge_twisted.config.model import IdentityConfig
from edge_twisted.security.permissions import Permits


@frozen
class Caller:
    """An identity: its name in audit logs (None under dev_mode) and its permissions."""

    id: str | None
    permits: Permits

    @classmethod
    def of(cls, identity: IdentityConfig) -> Caller:
        """Return the caller that an identity of the configuration describes."""
        return cls(identity.id, Permits.of(identity))


#: The caller of every request under ``auth: dev_mode``.
ANYBODY: Final = Caller(None, Permits.everything())
