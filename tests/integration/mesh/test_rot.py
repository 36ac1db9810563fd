# SPDX-License-Identifier: Apache-2.0
"""Two sessions over real files, of which one rots: it is healed over the link, and goes quiet."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import apsw
import pytest
from twisted.internet.defer import Deferred

from edge_twisted.documents.ids import DocumentId
from edge_twisted.mesh.ports.requests import Answer, DocumentRequest
from edge_twisted.mesh.session.handshake import LocalServer
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.session import Session
from edge_twisted.store.errors import DocumentDamaged
from edge_twisted.store.rows import Commit, DamageReport
from tests.support.mesh_pair import LinkEnd, LinkPair
from tests.support.replica import ReplicaServer
from tests.support.simulation.storage import SqliteStorage

QUERY = "SELECT * FROM tasks"


class Site:
    """A server without network, on a file."""

    def __init__(self, number: int, folder: Path) -> None:
        self.now_ms = 1_790_000_000_000
        self.folder = folder
        self.storage = SqliteStorage(cast(Any, SimpleNamespace(entropy=os.urandom)), folder)
        self.key = f"pk{number}"
        store = self.storage.open(self.tick)
        self.replica = ReplicaServer(f"s{number}", store, self.tick)
        self.changed: set[str] = set()
        store.on_commit(self._committed)

    def tick(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def rows(self, statement: str) -> list[Any]:
        asked = Deferred.fromCoroutine(self.replica.rows(statement))
        return self.storage.wait(asked)

    def meet(self, id_: str) -> None:
        """Read a damaged document, and let what follows from that be done."""
        with pytest.raises(DocumentDamaged):
            self.rows(f"SELECT * FROM tasks WHERE _id = '{id_}'")
        while not self.damage.documents:
            self.rows("SELECT 1 + 1 FROM tasks LIMIT 1")

    @property
    def damage(self) -> DamageReport:
        return self.replica.store.damage

    def spoil(self, id_: str) -> None:
        """Change a letter of a document in the file."""
        (path,) = self.folder.rglob("*.db")
        connection = apsw.Connection(str(path))
        connection.execute(
            "UPDATE documents SET body = jsonb(json_set(body, '$.title', 'rot')) WHERE id = ?",
            (DocumentId.of(id_).key,),
        )
        assert connection.changes() == 1
        connection.close()

    def _committed(self, commit: Commit) -> None:
        self.changed |= commit.collections


class FileEnd(LinkEnd):
    """An end whose questions a file answers."""

    site: Site

    @classmethod
    def of(cls, site: Site, peer: Site) -> FileEnd:
        documents = site.replica.documents
        us = LocalServer(
            home=documents,
            database=b"d" * 32,
            peer_key=site.key,
            device_name=site.key,
            now_ms=lambda: site.now_ms,
            entropy=lambda size: b"s" * size,
        )
        scopes = [documents.scope(QUERY, {})]
        documents.subscribe(scopes)
        end = cls(cast(Any, documents), Session(us, peer.key, scopes, pulls=Pulls()))
        end.site = site
        documents.watch(cast(Any, end))
        return end

    def perform(self, request: DocumentRequest) -> Answer:
        documents = self.site.replica.documents
        return self.site.storage.wait(documents.perform(request))

    def tell_commits(self, now: float) -> None:
        changed, self.site.changed = frozenset(self.site.changed), set()
        if changed:
            lsn = self.site.replica.documents.lsn
            self.take(self.session.committed(lsn, changed, now))

    # -- what the documents tell

    def cursors_dropped(self, collections: frozenset[str]) -> None:
        self.take(self.session.cursors_dropped(collections, 0.0))

    def scopes_opened(self, collections: frozenset[str]) -> None:
        raise AssertionError("none was closed")


@pytest.fixture
def sites(tmp_path: Path) -> Any:
    made = [Site(number, tmp_path / str(number)) for number in (1, 2)]
    yield made
    for each in made:
        each.storage.close()


def linked(a: Site, b: Site) -> LinkPair:
    return LinkPair(FileEnd.of(a, b), FileEnd.of(b, a)).start()


def filled(a: Site) -> list[Any]:
    for number in range(20):
        a.rows(f"INSERT INTO tasks DOCUMENTS ({{'_id': 't{number:02}', 'title': 'pump {number}'}})")
    return a.rows(f"{QUERY} ORDER BY _id")


def test_what_a_reader_meets_comes_back_over_the_link(sites: list[Site]) -> None:
    a, b = sites
    good = filled(a)
    pair = linked(a, b).wait(3)
    b.spoil("t07")
    b.meet("t07")
    pair.wait(5)
    assert a.rows(f"{QUERY} ORDER BY _id") == b.rows(f"{QUERY} ORDER BY _id") == good
    assert (a.damage, b.damage) == (DamageReport(), DamageReport())
    assert pair.left.closed is pair.right.closed is None
    pair.wait(30)
    quiet = pair.total_bytes
    pair.wait(30)
    assert pair.total_bytes - quiet < 40 * 20, "keep-alives, and no repair"


def test_a_sender_leaves_out_what_is_damaged_and_goes_on(sites: list[Site]) -> None:
    a, b = sites
    good = filled(a)
    a.spoil("t07")
    pair = linked(a, b).wait(3)
    rest = [each for each in good if each["_id"] != "t07"]
    assert b.rows(f"{QUERY} ORDER BY _id") == rest
    assert (a.damage, b.damage) == (DamageReport(documents=1), DamageReport())
    a.rows("UPDATE tasks SET done = TRUE WHERE _id = 't08'")
    pair.wait(3)
    assert b.rows("SELECT done FROM tasks WHERE _id = 't08'") == [{"done": True}]
    assert pair.left.closed is pair.right.closed is None
    pair.wait(30)
    quiet = pair.total_bytes
    pair.wait(30)
    assert pair.total_bytes - quiet < 40 * 20, "nothing is tried for ever"


def test_a_peer_that_has_it_is_not_told_that_it_is_gone(sites: list[Site]) -> None:
    """Also by a server that does not subscribe, and so gets nothing back."""
    a, b = sites
    good = filled(a)
    linked(a, b).wait(3)
    a.spoil("t07")
    a.meet("t07")
    pair = linked(a, b).wait(5)
    assert b.rows(f"{QUERY} ORDER BY _id") == good
    assert pair.left.closed is pair.right.closed is None
