# SPDX-License-Identifier: Apache-2.0
"""
The store against a bare SQLite loop with the same pragmas, in one run: ``python -m bench.store``.

Figures are medians of several rounds; the ratio is what counts, for machines differ and are noisy.

What is compared.  The bare loop inserts texts that were made before the watch started, in
transactions of as many rows as there are writers here, into a table with one unique index on the
id; the second one has an index on a commit number as well, without which no store can say what
changed since.  Ours has both indexes.  Making its documents costs next to nothing; turning them
into text, merge state and digest is the store's work, and each of the writers waits for its own
answer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from bench.report import Figure, median, publish
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.values import Value
from edge_twisted.records.documents import DocumentWriter
from edge_twisted.services.reactor import reactor
from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.sqlite.connection import WRITER_PRAGMAS
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore
from edge_twisted.store.sqlite.writer import CHECKPOINT_FRAMES

WRITERS = 64
#: The store's size in a full run.
MANY = 1_000_000


#: Made once, so that making documents costs next to nothing while the watch runs.
_LINES: list[Value] = [
    [{"sku": f"sku-{number}", "count": 2, "note": "n" * 40} for _ in range(4)]
    for number in range(89)
]


def document(number: int) -> dict[str, Value]:
    """A document of about 500 bytes."""
    return {
        "_id": f"order-{number:09d}",
        "customer": number % 977,
        "status": ("open", "paid", "shipped")[number % 3],
        "total": number * 0.25,
        "lines": _LINES[number % 89],
        "text": "x" * 120,
    }


def bare_inserts(folder: Path, first: int, count: int, *, by_lsn: bool = False) -> float:
    """Documents per second of a bare loop: one table, one or two indexes, the same pragmas."""
    path = folder / ("bare-lsn.db" if by_lsn else "bare.db")
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute(WRITER_PRAGMAS).fetchall()
    connection.pragma("wal_autocheckpoint", CHECKPOINT_FRAMES)
    connection.execute("CREATE TABLE IF NOT EXISTS d (key TEXT UNIQUE, lsn, body TEXT, state BLOB)")
    if by_lsn:
        connection.execute("CREATE INDEX IF NOT EXISTS d_by_lsn ON d (lsn)")
    texts = [
        (f"{n:09d}", n, json.dumps(document(n)), b"s" * 35) for n in range(first, first + count)
    ]
    started = time.perf_counter()
    for start in range(0, count, WRITERS):
        with connection:
            rows = texts[start : start + WRITERS]
            connection.executemany("INSERT INTO d VALUES (?, ?, ?, ?)", rows)
    elapsed = time.perf_counter() - started
    connection.close()
    return count / elapsed


async def inserts(store: SqliteStore, first: int, count: int) -> float:
    """Durable documents per second by concurrent writers, each waiting for its answer."""

    def insert(number: int) -> Callable[[UnitOfWork], int]:
        made = document(number)
        id_ = DocumentId.of(made["_id"])
        return lambda unit: DocumentWriter(unit).save_fresh("orders", id_, made)

    return await writes(store, insert, first, count)


async def writes(
    store: SqliteStore,
    work: Callable[[int], Callable[[UnitOfWork], Any]],
    first: int,
    count: int,
) -> float:
    """Units of work per second by concurrent writers; `work` makes the one of a number."""
    numbers = iter(range(first, first + count))

    async def writer() -> None:
        for number in numbers:
            await store.write("bench", work(number))

    started = time.perf_counter()
    await gatherResults([Deferred.fromCoroutine(writer()) for _ in range(WRITERS)])
    return count / (time.perf_counter() - started)


async def nothing(store: SqliteStore, count: int) -> float:
    """Microseconds per unit of work that stores nothing: hand-over and answer alone."""
    return 1e6 / await writes(store, lambda number: lambda unit: None, 0, count)


def bare_reads(folder: Path, count: int) -> float:
    """Microseconds per point read of a bare loop."""
    connection = apsw.Connection(str(folder / "bare.db"))
    started = time.perf_counter()
    for number in range(count):
        connection.execute(
            "SELECT body FROM d WHERE key = ?", (f"{number % 1000 + 1000:09d}",)
        ).fetchone()
    return (time.perf_counter() - started) / count * 1e6


def reads(store: SqliteStore, count: int) -> float:
    """Microseconds per point read on the reactor thread."""
    keys = [DocumentId.of(f"order-{n:09d}").key for n in range(1000)]
    started = time.perf_counter()
    for number in range(count):
        with store.snapshot() as snapshot:
            assert snapshot.body("orders", keys[number % 1000])
    return (time.perf_counter() - started) / count * 1e6


async def opened(folder: Path) -> SqliteStore:
    """Return an open store."""
    store = SqliteStore(
        Layout(folder, "bench"),
        threads=reactor,
        clock=reactor,
        now_ms=lambda: time.time_ns() // 1_000_000,
        entropy=os.urandom,
    )
    await store.open()
    return store


def resident_mib() -> float:
    """Return how much memory this process holds."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


async def run(documents: int, rounds: int) -> list[Figure]:
    """Return all figures."""
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = await opened(folder)
        await inserts(store, 0, 1000)
        at = 1000
        for _ in range(rounds):
            note("bare", bare_inserts(folder, at, 10_000))
            note("bare lsn", bare_inserts(folder, at, 10_000, by_lsn=True))
            note("ours", await inserts(store, at, 10_000))
            note("nothing", await nothing(store, 10_000))
            note("bare read", bare_reads(folder, 20_000))
            note("read", reads(store, 20_000))
            at += 10_000
        if documents > at:
            await inserts(store, at, documents - at)
            for number in range(rounds):
                first = documents + number * 10_000
                note("bare late", bare_inserts(folder, first, 10_000, by_lsn=True))
                note("late", await inserts(store, first, 10_000))
        await store.close()
        started = time.perf_counter()
        store = await opened(folder)
        note("start", time.perf_counter() - started)
        await inserts(store, max(at, documents + rounds * 10_000), 1000)
        note("resident", resident_mib())
        await store.close()
    note("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return _figures(found, max(documents, at))


def _figures(found: dict[str, list[float]], documents: int) -> list[Figure]:
    def ratio(name: str, over: str, under: str, **kw: object) -> Figure:
        values = [a / b for a, b in zip(found[over], found[under], strict=True)]
        return median(name, values, "x", **kw)

    figures = [
        median("bare inserts", found["bare"], "1/s"),
        median("bare inserts with an lsn index", found["bare lsn"], "1/s"),
        median(f"durable inserts by {WRITERS} writers", found["ours"], "1/s"),
        ratio("inserts / bare with an lsn index", "ours", "bare lsn", target=0.5),
        ratio("inserts / bare", "ours", "bare"),
        median("a unit of work that stores nothing", found["nothing"], "us"),
        median("bare point read", found["bare read"], "us"),
        median("point read", found["read"], "us"),
        ratio("point read / bare", "read", "bare read", target=3, sense="most"),
    ]
    if "late" in found:
        # Over the bare loop of the same minutes: the machine is not the same for minutes.
        late = [a / b for a, b in zip(found["late"], found["bare late"], strict=True)]
        early = [a / b for a, b in zip(found["ours"], found["bare lsn"], strict=True)]
        rate = statistics.median(late) / statistics.median(early)
        figures += [
            median(f"bare inserts after {documents} of ours", found["bare late"], "1/s"),
            median(f"durable inserts at {documents}", found["late"], "1/s"),
            Figure(
                name=f"inserts / bare at {documents} / at first", value=rate, unit="x", target=0.7
            ),
        ]
    at = f"at {documents} documents"
    return [
        *figures,
        median(f"start-up {at}", found["start"], "s", target=1, sense="most"),
        median(f"resident memory {at}", found["resident"], "MiB", target=300, sense="most"),
        median("peak memory of the benchmark", found["peak"], "MiB"),
    ]


def main() -> None:
    """Print the figures, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=MANY, help="fill the store to so many")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args()

    async def body(_: object) -> None:
        figures = await run(options.documents, options.rounds)
        # A short run does not overwrite what was measured at a million documents.
        name = "store" if options.documents >= MANY else "store-short"
        publish(name, figures, save=options.save)

    react(lambda each: Deferred.fromCoroutine(body(each)))


if __name__ == "__main__":
    main()
