# SPDX-License-Identifier: Apache-2.0
"""Who calls, and what that identity may do: what a request carries once its key was checked."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from edge_twisted.config.model import IdentityConfig
from edge_twisted.security.permissions import Permits


@frozen
class Caller:
    """An identity by its name in audit logs, None under dev_mode, with what it may do."""

    id: str | None
    permits: Permits

    @classmethod
    def of(cls, identity: IdentityConfig) -> Caller:
        """Return the caller that an identity of the configuration is."""
        return cls(identity.id, Permits.of(identity))


#: Everybody, when the configuration says ``auth: dev_mode``.
ANYBODY: Final = Caller(None, Permits.everything())
