# SPDX-License-Identifier: Apache-2.0
"""What a peer's HELLO says to the store."""

from __future__ import annotations

from edge_twisted.documents.versions import Replica
from edge_twisted.mesh.ports.requests import Observe
from edge_twisted.replication.epoch_renewal import renew_if_copy
from edge_twisted.store.interface import UnitOfWork


def observe(unit: UnitOfWork, request: Observe, own: Replica, now_ms: int) -> Replica | None:
    """
    Perform `Observe`; return who we are if that changed.

    :raises ClockSkew: one of the two clocks is wrong.
    :raises ImplausibleClaim: see `renew_if_copy`.
    """
    unit.see(request.clock)
    return renew_if_copy(unit, own, request.of_us, now_ms)
