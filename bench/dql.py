# SPDX-License-Identifier: Apache-2.0
"""
Statements against hand-written SQL over JSONB, in one run: ``python -m bench.dql``.

Both sides read the same documents from files on the same disk.  Figures are medians of several
rounds, the sides taking turns; ratios are what counts, for machines differ and are noisy.  What
runs on one thread alone is given in its processor time, beside that of a loop of a million steps.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import apsw
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import react

from bench.report import Figure, publish
from bench.store import opened
from edge_twisted.database.database import Database, TimeAndChance
from edge_twisted.database.history import StatementRecord
from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Dot, Replica, SiteId
from edge_twisted.dql.parser import parse
from edge_twisted.dql.result import Result
from edge_twisted.store.interface import Store
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from edge_twisted.store.rows import UnitResult
from tests.support.callers import Everything

DOCUMENTS = 10_000
WANTED = 10
FILTER = "SELECT * FROM orders WHERE total >= :least"
BY_ID = "SELECT * FROM orders WHERE _id = :id"
INSERT = "INSERT INTO fresh DOCUMENTS (:document)"
#: Statements of 200 characters: one of names and conditions, one of nothing but short tokens.
TYPICAL = (
    "SELECT * FROM orders WHERE status = :status AND customer.name LIKE 'A%' AND total BETWEEN"
    " :low AND :high AND created > '2026-01-01T00:00:00Z' ORDER BY created DESC, _id LIMIT 9"
    " OFFSET :first /* page */"
)
DENSE = (
    "SELECT o._id, o.customer.name AS customer, COUNT(*) AS n FROM orders AS o"
    " WHERE o.status IN ('open', 'paid') AND o.total BETWEEN :low AND :high"
    " GROUP BY o._id, o.customer.name ORDER BY n DESC LIMIT 10"
)


class WriteNothing:
    """A store over a memory store that runs writes at once and stores nothing: what is above."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.lsn = 0
        self._unit = _NoUnit()

    @contextmanager
    def snapshot(self) -> Any:
        with self._store.snapshot() as snapshot:
            yield snapshot

    def write(self, name: str, work: Callable[[Any], Any]) -> Deferred[UnitResult[Any]]:
        return succeed(UnitResult(work(self._unit), 1))


class _NoUnit:
    """A unit of work in which nothing is there and nothing is kept."""

    lsn = 1
    catalog_version = 1

    def __init__(self) -> None:
        self._dot = Dot(Replica(SiteId(b"s" * 16), 1), 1)
        self._stamp = Timestamp(1 << 20)

    def next_dot(self) -> Any:
        return self._dot

    def tick(self) -> Any:
        return self._stamp

    def _nothing(self, *_: object, **__: object) -> None:
        """Whatever is asked about documents or facts, or to keep."""

    # Named one by one: an attribute made for each call would cost more than what is measured.
    get = fact = damaged = collection = put = put_fact = admit_collection = _nothing


def document(number: int) -> dict[str, Value]:
    """A document of about 500 bytes, its total unlike that of any other."""
    return {
        "_id": f"order-{number:09d}",
        "customer": {"name": f"customer {number % 977}", "city": "Utrecht"},
        "status": ("open", "paid", "shipped")[number % 3],
        "total": number * 7919 % DOCUMENTS,
        "lines": [{"sku": f"sku-{number % 89}", "count": 2, "note": "n" * 40} for _ in range(4)],
        "text": "x" * 120,
    }


class Bare:
    """The same documents in a table of JSONB, and a statement as somebody would write it."""

    _SQL = "SELECT json(body) FROM d WHERE body ->> '$.total' >= ?"

    def __init__(self, folder: Path) -> None:
        self._connection = apsw.Connection(str(folder / "bare.db"))
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("CREATE TABLE d (id TEXT PRIMARY KEY, body BLOB)")
        rows = [(each["_id"], json.dumps(each)) for each in map(document, range(DOCUMENTS))]
        with self._connection:
            self._connection.executemany("INSERT INTO d VALUES (?, jsonb(?))", rows)

    def index(self) -> None:
        """Index what is asked for."""
        self._connection.execute("CREATE INDEX by_total ON d (body ->> '$.total')")

    def rows(self) -> list[Any]:
        """Return the documents wanted."""
        return self._connection.execute(self._SQL, (DOCUMENTS - WANTED,)).fetchall()


class Figures:
    """Collects figures of several rounds by name."""

    def __init__(self) -> None:
        self._found: dict[str, list[float]] = {}

    def note(self, name: str, value: float) -> None:
        """Take one more."""
        self._found.setdefault(name, []).append(value)

    def medians(self) -> dict[str, float]:
        """Return the figure of each name."""
        return {name: round(statistics.median(each), 3) for name, each in self._found.items()}


def run_one(database: Database, statement: str, args: Mapping[str, Value]) -> Deferred[Result]:
    """Run a statement as the API does."""
    return database.execute(
        statement, args, access=Everything(), request_id="bench", timeout_seconds=60
    )


async def microseconds(
    database: Database,
    statement: str,
    args: Callable[[int], Mapping[str, Value]],
    count: int,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return what one execution takes."""
    started = clock()
    for number in range(count):
        await run_one(database, statement, args(number))
    return (clock() - started) / count * 1e6


def timed(
    work: Callable[[], object], count: int, clock: Callable[[], float] = time.thread_time
) -> float:
    """Return what one call takes, in microseconds; by default of this thread's processor time."""
    started = clock()
    for _ in range(count):
        work()
    return (clock() - started) / count * 1e6


def _million() -> None:
    total = 0
    for number in range(1_000_000):
        total += number


def _least(_: int) -> Mapping[str, Value]:
    return {"least": DOCUMENTS - WANTED}


async def compare(
    figures: Figures,
    name: str,
    most: float,
    database: Database,
    bare: Bare,
    count: int,
    clock: Callable[[], float],
) -> None:
    """Note what the filter takes on both sides, and their ratio."""
    result = await run_one(database, FILTER, _least(0))
    assert len(result.texts or ()) == len(bare.rows()) == WANTED
    theirs = timed(bare.rows, count, clock)
    ours = await microseconds(database, FILTER, _least, count, clock)
    figures.note(f"{name}: bare SQL us", theirs)
    figures.note(f"{name}: us", ours)
    figures.note(f"{name}: ratio (target <= {most:g})", ours / theirs)


async def above_the_store(figures: Figures, store: MemoryStore) -> None:
    """Note what INSERT takes without the store's part in it."""
    database = new_database(cast(Store, WriteNothing(store)))

    def fresh(number: int) -> Mapping[str, Value]:
        return {"document": document(number)}

    making = timed(lambda: fresh(7), 2000)
    took = await microseconds(database, INSERT, fresh, 2000, time.thread_time)
    figures.note("INSERT above the store us (target < 60)", took - making)


def planning(figures: Figures, database: Database, store: Store) -> None:
    """Note what a plan takes that was made before, arguments checked and permissions looked at."""
    with store.snapshot() as snapshot:
        assert snapshot.catalog_version

        record = StatementRecord("bench", FILTER, "execute", 0, 0.0)

        def again() -> None:
            prepared = database.vitals.statements.prepare(FILTER)
            run = database.execution(prepared, _least(0), Everything(), record, 60)
            run.open(run.select, snapshot)

        again()
        figures.note("reuse of a cached plan us (target < 20)", timed(again, 2000))


def new_database(store: Store) -> Database:
    """Return a database as the server has one."""
    surroundings = TimeAndChance(
        now_ms=lambda: time.time_ns() // 1_000_000, monotonic=time.monotonic, new_id=str
    )
    database = Database(store, "bench", surroundings, {})
    database.start()
    return database


async def run(rounds: int) -> dict[str, float]:
    """Return all figures."""
    figures = Figures()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = await opened(folder)
        database = new_database(cast(Store, store))
        documents: list[Value] = [document(number) for number in range(DOCUMENTS)]
        await run_one(database, "INSERT INTO orders DOCUMENTS (:d)", {"d": documents})
        bare = Bare(folder)
        for _ in range(rounds):
            await compare(
                figures, "10 of 10,000 unindexed", 4, database, bare, 30, time.perf_counter
            )
        await run_one(database, "CREATE INDEX by_total ON orders (total)", {})
        bare.index()
        for _ in range(rounds):
            await compare(
                figures, "10 of 10,000 by index", 3, database, bare, 300, time.thread_time
            )

        def id_of(number: int) -> Mapping[str, Value]:
            return {"id": f"order-{number * 31 % DOCUMENTS:09d}"}

        memory = MemoryStore(Data(Replica(SiteId(os.urandom(16)), 1)), now_ms=lambda: 0)
        await memory.open()
        for _ in range(rounds):
            figures.note("a million steps of a loop us", timed(_million, 1))
            took = await microseconds(database, BY_ID, id_of, 2000, time.thread_time)
            figures.note("SELECT by id us (target < 40)", took)
            await above_the_store(figures, memory)
            planning(figures, database, cast(Store, store))
            typical, dense = timed(lambda: parse(TYPICAL), 500), timed(lambda: parse(DENSE), 500)
            figures.note("parse of 200 characters us (target < 100)", typical)
            figures.note("parse of 200 characters, 60 tokens, us", dense)
        await store.close()
    return figures.medians()


#: A target within a figure's name, as "(target <= 4)".
_TARGET = re.compile(r" \(target (<=|<) ([\d.]+)\)")


def as_figures(found: Mapping[str, float]) -> Iterator[Figure]:
    """Yield the figures in the common form; names end with their unit or are ratios."""
    for name, value in found.items():
        target = _TARGET.search(name)
        plain = _TARGET.sub("", name).replace(" us,", ",")
        unit = "us" if re.search(r"\bus\b", name) else "x"
        yield Figure(
            name=plain.removesuffix(" us").removesuffix(":"),
            value=value,
            unit=unit,
            target=float(target[2]) if target else None,
            sense="most",
        )


def main() -> None:
    """Print the figures, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args()

    async def body(_: object) -> None:
        publish("dql", as_figures(await run(options.rounds)), save=options.save)

    react(lambda each: Deferred.fromCoroutine(body(each)))


if __name__ == "__main__":
    main()
