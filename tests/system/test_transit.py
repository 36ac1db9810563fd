# SPDX-License-Identifier: Apache-2.0
"""Three real daemons in a line, the one in the middle in transit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.system.daemon import edge_server
from tests.system.mesh_site import Site, eventually, new_key, site, started

pytestmark = [pytest.mark.system, pytest.mark.slow]

ALL = "SELECT * FROM tasks"
CONTENT = b"what an attachment holds"
PASSING = b"passes through"


def shows_nothing(middle: Site) -> None:
    """Nothing that users ask the server in the middle tells of what passes."""
    assert middle.items(ALL) == []
    assert middle.items("SELECT count(*) AS n FROM tasks") == [{"n": 0}]
    assert middle.items("SELECT * FROM system:collections") == []
    assert middle.items("SELECT documents FROM system:vitals") == [{"documents": 0}]


def test_a_line_behaves_as_if_the_middle_subscribed_and_the_middle_shows_nothing(
    tmp_path: Path,
) -> None:
    key = new_key(tmp_path)
    middle = site("middle", tmp_path / "middle", [], [], key)
    middle.settings["database"]["transit"] = {"max_mb": 8}
    left = site("left", tmp_path / "left", [middle.mesh_port], [ALL], key)
    right = site("right", tmp_path / "right", [middle.mesh_port], [ALL], key)
    with started(middle, left, right):
        eventually("they meet", lambda: middle.sees({"left", "right"}))
        (left.folder / "blob").write_bytes(CONTENT)
        upload = left.url("/attachments/upload")
        token = json.loads(left.curl("-F", f"file=@{left.folder}/blob", "-F", "name=blob", upload))
        id_ = token["id"]
        document = {"_id": "a", "text": PASSING.decode(), "file": token}
        left.run("INSERT INTO tasks DOCUMENTS (:d)", {"d": document})
        eventually("it is right", lambda: right.items(ALL) == [document])
        right.run("UPDATE tasks SET text = 'passes through back' WHERE _id = 'a'")
        eventually("it is back", lambda: left.items(ALL) == right.items(ALL))
        assert right.curl(right.url(f"/attachments/{id_}")) == CONTENT
        shows_nothing(middle)

        told = edge_server("status", "-c", "config.yaml", "--json", folder=middle.folder).stdout
        transit = json.loads(told)["transit"]
        assert (transit["documents"], transit["scopes"], transit["paused"]) == (1, 1, False)
        page = middle.client.request("GET", "/metrics").body.decode()
        assert "edge_mesh_transit_documents 1.0" in page

        copy = tmp_path / "copy"
        edge_server("backup", "-c", "config.yaml", str(copy), folder=middle.folder)
        for path in copy.rglob("*"):
            assert not (path.is_file() and PASSING in path.read_bytes()), path
        assert not list(copy.rglob(f"*{id_}*"))

        left.run("DELETE FROM tasks")
        eventually("it is gone", lambda: right.items(ALL) == [])
