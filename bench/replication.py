# SPDX-License-Identifier: Apache-2.0
"""
What replication costs per document, without a wire: ``python -m bench.replication``.

One store is filled, its changes are read in batches, and applied to an empty one; then a hundredth
is changed and travels as deltas.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred

from bench.store import document
from edge_twisted.documents.values import Value
from edge_twisted.mesh.ports.requests import Applied, ApplyBatch, Changes, ReadChanges
from edge_twisted.services.reactor import reactor
from edge_twisted.store.interface import Store
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore
from tests.support.replica import ReplicaServer


def now_ms() -> int:
    """Return the wall clock."""
    return int(time.time() * 1000)


async def opened(folder: Path, name: str) -> ReplicaServer:
    """Return a replica on a new file."""
    store = cast(
        Store,
        SqliteStore(
            Layout(folder / name, "bench"),
            threads=reactor,
            clock=reactor,
            now_ms=now_ms,
            entropy=os.urandom,
        ),
    )
    await store.open()
    return ReplicaServer(name, store, now_ms)


async def transfer(
    sender: ReplicaServer, receiver: ReplicaServer, after: int, base: object
) -> list[float]:
    """Send all after `after`; return seconds of reading, of applying, documents, bytes."""
    scope = receiver.documents.scope("SELECT * FROM c", {})
    reading = applying = 0.0
    count = size = 0
    lsn: int | None = after or None
    while True:
        started = time.perf_counter()
        changes = await sender.documents.perform(
            ReadChanges(scope=scope, after=lsn or 0, base=base)  # type: ignore[arg-type]
        )
        assert isinstance(changes, Changes)
        read = time.perf_counter()
        answer = await receiver.documents.perform(
            ApplyBatch(
                scope=scope,
                sender=sender.documents.replica,
                items=changes.items,
                lsn=changes.lsn,
                after=lsn,
                knowledge=changes.knowledge,
            )
        )
        assert isinstance(answer, Applied), answer
        reading += read - started
        applying += time.perf_counter() - read
        count += len(changes.items)
        size += sum(sum(len(part) for part in i if isinstance(part, bytes)) for i in changes.items)
        lsn = changes.lsn
        if not changes.more:
            return [reading, applying, count, size]


async def run(documents: int) -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder:
        a, b = [await opened(Path(folder), name) for name in "ab"]
        for start in range(0, documents, 500):
            rows: list[Value] = [
                {**document(n), "_id": f"{n:012d}"} for n in range(start, start + 500)
            ]
            await a.run("INSERT INTO c DOCUMENTS (:d)", d=rows)
        first = await transfer(a, b, 0, None)
        with b.store.snapshot() as snapshot:
            base = snapshot.written
        with a.store.snapshot() as snapshot:
            base = snapshot.written
            lsn = snapshot.lsn
        ids: list[Value] = [f"{n:012d}" for n in range(0, documents, 100)]
        for id_ in ids:
            await a.run("UPDATE c SET status = 'x' WHERE _id = :id", id=id_)
        second = await transfer(a, b, lsn, base)
        for name, (reading, applying, count, size) in (("first", first), ("changes", second)):
            print(
                f"{name}: {count:.0f} documents, {size / count:.0f} B each,"
                f" read {reading / count * 1e6:.1f} us, applied {applying / count * 1e6:.1f} us"
            )
        await a.store.close()
        await b.store.close()


def main() -> None:
    """Run in the reactor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    arguments = parser.parse_args()

    def begin() -> None:
        done = Deferred.fromCoroutine(run(arguments.documents))
        done.addErrback(lambda failure: print(failure.getTraceback(), file=sys.stderr))
        done.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()


if __name__ == "__main__":
    main()
