# SPDX-License-Identifier: Apache-2.0
"""
What a caller may not read changes nothing of what the caller is told, or can do.

Some hundred statements here; ``python -m tests.support.noninterference`` asks many more.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from edge_twisted.store.interface import Store
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore
from tests.support.dql_examples import outcome
from tests.support.noninterference.comparison import interference
from tests.support.noninterference.worlds import NOW_MS

#: Scenes of some 40 statements each.
IN_MEMORY = range(24)
ON_DISK = range(500, 503)


@pytest.mark.parametrize("seed", IN_MEMORY)
def test_hidden_documents_tell_nothing(seed: int) -> None:
    _, difference = outcome(Deferred.fromCoroutine(interference(seed)))
    assert difference is None, str(difference)


class OnDisk(TestCase):
    """The same over SQLite, which filters, counts and orders by itself."""

    timeout = 120

    async def test_hidden_documents_tell_nothing(self) -> None:
        for seed in ON_DISK:
            _, difference = await interference(seed, self.opened)
            self.assertIsNone(difference, str(difference))

    async def opened(self, name: str) -> Store:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        store = SqliteStore(
            Layout(folder, name),
            threads=reactor,  # type: ignore[arg-type]
            clock=reactor,
            now_ms=lambda: NOW_MS,
            entropy=lambda size: bytes(size),
        )
        await store.open()
        return store
