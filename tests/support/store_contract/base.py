# SPDX-License-Identifier: Apache-2.0
"""What the parts of the contract share: how stores are made, and how rows are gathered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from edge_twisted.documents.values import Value
from edge_twisted.store.interface import Store

T = TypeVar("T")


class UnitFailure(Exception):
    """What a unit of work raises in these tests."""


def flat(batches: Iterator[list[T]]) -> list[T]:
    """Return all rows of an iterator of batches, each of which must hold something."""
    rows: list[T] = []
    for batch in batches:
        assert batch, "an empty batch"
        rows.extend(batch)
    return rows


def noted(notes: list[Any], value: object) -> dict[str, Value]:
    """Note a value, and return a document without fields."""
    notes.append(value)
    return {}


class StoreTestCase(TestCase):
    """Makes and closes stores."""

    timeout = 30.0

    async def make_store(self) -> Store:
        """Return a new, open store; `reopen` must find its data again."""
        raise NotImplementedError

    async def reopen(self, store: Store) -> Store:
        """Close a store, and return an open one on the same data."""
        raise NotImplementedError

    async def opened(self) -> Store:
        """Return a new, open store that the test's end closes."""
        store = await self.make_store()
        self.addCleanup(lambda: store.close())
        return store

    async def lsn_of(self, work: Deferred[Any]) -> int:
        """Return the lsn of a unit of work, once it is durable."""
        return int((await work).lsn)
