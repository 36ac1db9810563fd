# SPDX-License-Identifier: Apache-2.0
"""A database over a real SQLite store, for tests that run statements."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from edge_twisted.database.database import Database, TimeAndChance
from edge_twisted.documents.json_text import from_text
from edge_twisted.documents.values import Value
from edge_twisted.dql.result import Result
from edge_twisted.store.interface import Store
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore
from tests.support.callers import EVERYTHING
from tests.support.callers import Everything as Everything

E = TypeVar("E", bound=Exception)


class DatabaseTestCase(TestCase):
    """Opens a database in a fresh folder, and closes it."""

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]
        numbers = count(1)
        self.store = self.make_store()
        await self.store.open()
        self.addCleanup(self.store.close)
        surroundings = TimeAndChance(
            now_ms=lambda: 1_790_000_000_000,
            monotonic=time.monotonic,
            new_id=lambda: f"new-{next(numbers)}",
        )
        self.database = Database(self.store, "db", surroundings, {})
        self.database.start()

    def make_store(self) -> Store:
        """Return a new store, not yet open."""
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        return SqliteStore(
            Layout(folder, "test"),
            threads=reactor,  # type: ignore[arg-type]
            clock=reactor,
            now_ms=lambda: int(time.time() * 1000),
            entropy=os.urandom,
        )

    async def run_(
        self,
        statement: str,
        access: Any = EVERYTHING,
        **args: Value,
    ) -> Result:
        return await self.database.execute(
            statement, args, access=access, request_id="r1", timeout_seconds=20
        )

    async def rows(
        self,
        statement: str,
        access: Any = EVERYTHING,
        **args: Value,
    ) -> list[Any]:
        return rows_of(await self.run_(statement, access, **args))

    async def refused(self, statement: str, kind: type[E], **args: Value) -> E:
        """Run a statement that must fail, and return its error."""
        try:
            await self.run_(statement, **args)
        except kind as error:
            return error
        raise AssertionError(f"{statement} did not fail")

    async def insert(self, collection: str, *documents: Mapping[str, Value]) -> Result:
        return await self.run_(
            f"INSERT INTO {collection} DOCUMENTS (:d)", d=[dict(each) for each in documents]
        )


def rows_of(result: Result) -> list[Any]:
    """Return the rows of a result, decoded."""
    if result.texts is not None:
        return [from_text(text) for text in result.texts]
    return list(result.items or ())
