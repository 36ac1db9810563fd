# SPDX-License-Identifier: Apache-2.0
"""
Databases that older servers wrote, in ``fixtures/schema-NNNN.db.gz``.

With a new schema version, make its fixture before the release and never touch it again:
``python -m tests.integration.store.schema_fixtures``.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from edge_twisted.documents.ids import DocumentId
from edge_twisted.records.documents import DocumentWriter
from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.rows import IndexDefinition, IndexKey
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.migrations import shipped_migrations
from edge_twisted.store.sqlite.store import SqliteStore
from tests.integration.reactor import reactor
from tests.integration.store.base import delete

FOLDER = Path(__file__).parent / "fixtures"
DELETED = 3
DOCUMENTS: dict[int, dict[str, Any]] = {
    number: {"_id": number, "n": number % 7, "text": "ä" * number, "list": [1, None, 2.5]}
    for number in range(20)
}


def fixture(version: int) -> Path:
    """Return the path of a version's fixture."""
    return FOLDER / f"schema-{version:04d}.db.gz"


def unpack(path: Path, layout: Layout) -> None:
    """Put a fixture where a store will look for its database."""
    layout.folder.mkdir(parents=True, exist_ok=True)
    layout.database.write_bytes(gzip.decompress(path.read_bytes()))


def _insert(number: int) -> Callable[[UnitOfWork], int]:
    return lambda unit: DocumentWriter(unit).save_fresh(
        "c", DocumentId.of(number), DOCUMENTS[number]
    )


async def _make(path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        layout = Layout(Path(name), "fixture")
        store = SqliteStore(
            layout,
            threads=reactor,
            clock=reactor,
            now_ms=lambda: time.time_ns() // 1_000_000,
            entropy=os.urandom,
        )
        await store.open()
        definition = IndexDefinition(collection="c", name="by_n", keys=(IndexKey(path=("n",)),))
        for number in DOCUMENTS:
            await store.write("insert", _insert(number))
        await store.write("index", lambda unit: unit.create_index(definition))
        await store.index_ready("c", "by_n")
        await store.write("delete", delete(DELETED))
        await store.write("fact", lambda unit: unit.put_fact("s", b"k", b"v"))
        await store.close()
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(layout.database.read_bytes(), mtime=0))


def main() -> None:
    """Make the fixture of the newest version; one that is there already stays."""
    path = fixture(shipped_migrations()[-1].version)
    if path.exists():
        raise SystemExit(f"{path} is there already, and must stay as it is")
    react(lambda _: Deferred.fromCoroutine(_make(path)))


if __name__ == "__main__":
    main()
