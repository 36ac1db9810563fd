# SPDX-License-Identifier: Apache-2.0
"""What users set and ask of the mesh, between real daemons: hub, and two that dial it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from attrs import frozen

from tests.system.daemon import edge_server
from tests.system.mesh_site import Site, eventually, new_key, site, started

pytestmark = [pytest.mark.system, pytest.mark.slow]

OPEN = "SELECT * FROM tasks WHERE done = false"
WANTED = (OPEN, "SELECT * FROM orders", "SELECT * FROM secret")
INFO = "SELECT * FROM system:data_sync_info"
WS_URL = "wss://peer.example/ws"


@frozen(kw_only=True)
class Trio:
    """`keep` and `drop` do that with documents that move out; `drop` fetches attachments."""

    hub: Site
    keep: Site
    drop: Site

    def has_passed(self, commit: int) -> bool:
        """Whether both peers of the hub have its commit, or did not want it."""
        rows = [each["documents"] for each in self.hub.items(INFO)]
        return len(rows) == 2 and all(
            each["synced_up_to_local_commit_id"] >= commit
            and each["sync_session_status"] == "Connected"
            for each in rows
        )

    def commit(self, statement: str) -> None:
        """Run a statement at the hub and wait, as a client would, until both peers have it."""
        number = self.hub.run(statement)["commitId"]
        eventually(f"both have commit {number}", lambda: self.has_passed(number))


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    folder = tmp_path_factory.mktemp("settings")
    key = new_key(folder)
    hub = site("hub", folder / "hub", [], ["SELECT * FROM orders"], key)
    keep = site("keep", folder / "keep", [hub.mesh_port], WANTED, key)
    drop = site("drop", folder / "drop", [hub.mesh_port], WANTED, key)
    drop.settings["database"] |= {"moved_out": "drop", "auto_fetch_attachments": True}
    connect = keep.settings["database"]["transport_config"]["connect_config"]
    connect["known_ws_servers"] = [WS_URL]
    with started(hub, keep, drop):
        eventually("all meet", lambda: hub.sees({"keep", "drop"}))
        yield Trio(hub=hub, keep=keep, drop=drop)


def ids(where: Site, collection: str) -> list[str]:
    return [each["_id"] for each in where.items(f"SELECT _id FROM {collection} ORDER BY _id")]


def test_a_client_waits_until_peers_have_a_commit(trio: Trio) -> None:
    for n in range(5):
        trio.commit(f"INSERT INTO tasks DOCUMENTS ({{'_id': 't{n}', 'done': false}})")
        assert ids(trio.keep, "tasks") == ids(trio.drop, "tasks") == [f"t{i}" for i in range(n + 1)]
    trio.commit("INSERT INTO unwanted DOCUMENTS ({'_id': 'u'})")
    assert ids(trio.keep, "unwanted") == []


def test_what_moves_out_is_listed_or_dropped(trio: Trio) -> None:
    trio.commit("UPDATE tasks SET done = true WHERE _id = 't1'")
    assert trio.keep.items("SELECT * FROM tasks WHERE _id = 't1'") == [{"_id": "t1", "done": True}]
    (row,) = trio.keep.items("SELECT * FROM system:moved_out")
    assert (row["collection"], row["document_id"]) == ("tasks", "t1")
    assert ids(trio.drop, "tasks") == ["t0", "t2", "t3", "t4"]
    assert trio.drop.items("SELECT * FROM system:moved_out") == []
    trio.commit("UPDATE tasks SET done = false WHERE _id = 't1'")
    assert ids(trio.drop, "tasks") == ids(trio.keep, "tasks") == [f"t{n}" for n in range(5)]
    assert trio.keep.items("SELECT * FROM system:moved_out") == []


def test_what_is_evicted_and_wanted_comes_again_at_once(trio: Trio) -> None:
    assert trio.keep.run("EVICT FROM tasks WHERE _id = 't2'")["mutatedDocumentIds"] == ["t2"]
    eventually("it is there again", lambda: "t2" in ids(trio.keep, "tasks"))
    trio.commit("UPDATE tasks SET again = 1 WHERE _id = 't2'")
    row = trio.keep.items("SELECT * FROM tasks WHERE _id = 't2'")
    assert row == [{"_id": "t2", "done": False, "again": 1}]


@pytest.mark.parametrize("scope", ["LocalPeerOnly", "BigPeerOnly"])
def test_a_sync_scope_keeps_a_collection_here_until_it_opens(trio: Trio, scope: str) -> None:
    hub, statement = trio.hub, "ALTER SYSTEM SET USER_COLLECTION_SYNC_SCOPES = "
    hub.run(f"{statement}{{'secret': '{scope}'}}")
    trio.commit(f"INSERT INTO secret DOCUMENTS ({{'_id': '{scope}'}})")
    trio.commit("INSERT INTO orders DOCUMENTS ({'_id': '" + scope + "'})")
    for peer in (trio.keep, trio.drop):
        assert scope in ids(peer, "orders") and scope not in ids(peer, "secret")
    hub.run(f"{statement}{{'secret': 'SmallPeersOnly'}}")
    for peer in (trio.keep, trio.drop):
        eventually("it comes without a commit", lambda p=peer: scope in ids(p, "secret"))  # type: ignore[misc]


def test_attachments_come_unasked_where_that_is_set(trio: Trio) -> None:
    path = trio.hub.folder / "picture.bin"
    path.write_bytes(os.urandom(200_000))
    uploaded = trio.hub.curl(
        "-F", f"file=@{path}", "-F", "name=picture", trio.hub.url("/attachments/upload")
    )
    token = json.loads(uploaded)
    trio.hub.run(
        "INSERT INTO COLLECTION orders (picture ATTACHMENT) DOCUMENTS (:d)",
        {"d": {"_id": "picture", "picture": token}},
    )

    def stored(where: Site) -> int:
        files = [each for each in (where.folder / "data").rglob("*") if each.is_file()]
        return sum(each.stat().st_size == 200_000 for each in files)

    eventually("it was fetched", lambda: stored(trio.drop))
    assert "picture" in ids(trio.drop, "orders")
    eventually("the document is at the other", lambda: "picture" in ids(trio.keep, "orders"))
    assert not stored(trio.keep)


def test_the_status_names_peers_and_addresses(trio: Trio) -> None:
    def told(where: Site) -> str:
        config = str(where.folder / "config.yaml")
        return edge_server("status", "-c", config, folder=where.folder).stdout

    words = eventually(
        "all is up to date", lambda: w if (w := told(trio.hub)).count("up to date") == 2 else ""
    )
    assert "Connected peers: 2" in words and "keep (pk" in words and "drop (pk" in words
    assert "accepted, 127.0.0.1" in words
    words = told(trio.keep)
    assert "hub (pk" in words and "dialled" in words and "Reached through others: drop (pk" in words


def test_addresses_over_websocket_are_said_not_to_be_dialled(trio: Trio) -> None:
    lines = [each for each in trio.keep.daemon.lines if "known_ws_servers" in each]
    assert len(lines) == 1 and "warn" in lines[0].lower()
