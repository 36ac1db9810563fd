# SPDX-License-Identifier: Apache-2.0
"""The simulation notices when deltas build on what the receiver does not have."""

from __future__ import annotations

import pytest

from edge_twisted.documents.deltas import Delta
from edge_twisted.documents.state import DocumentState, merge
from edge_twisted.documents.versions import SiteId, VersionVector
from edge_twisted.mesh.session.bases import BaseMemory
from edge_twisted.mesh.wire.items import ScopeKey
from edge_twisted.replication import merges
from tests.support.simulation.node import SimulationFailed
from tests.support.simulation.scenario import simulate

#: The first seeds that notice it are 5 and 11.
SEEDS = range(500)


def newest(
    self: BaseMemory, receiver: SiteId, key: ScopeKey, digest: bytes
) -> VersionVector | None:
    """Return what the receiver was told last, whatever it says that it has."""
    return self._bases.get((receiver, key), (None,))[-1]


def merged_unchecked(state: DocumentState | None, changes: Delta) -> DocumentState:
    return merge(state or DocumentState(), changes.changes, changes.omitted_dots)


@pytest.mark.slow
def test_a_base_that_is_too_new_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseMemory, "find", newest)
    monkeypatch.setattr(merges, "apply_delta", merged_unchecked)
    for seed in SEEDS:
        try:
            simulate(seed)
        except SimulationFailed as error:
            assert "differ" in str(error) or "lacks" in str(error) or "lost" in str(error)
            return
    raise AssertionError("nobody has noticed")
