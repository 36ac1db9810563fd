# SPDX-License-Identifier: Apache-2.0
"""A byte of a real daemon's files is changed, while it stands and while it runs."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.system.daemon import PATIENCE_SECONDS, Client, connect, edge_server, running
from tests.system.fixtures import configuration, write_configuration
from tests.system.test_mesh import eventually, folder, known, mesh_configuration

pytestmark = pytest.mark.system


def flip(path: Path, text: bytes) -> None:
    """Change one letter of a text, wherever the file has it."""
    data = bytearray(path.read_bytes())
    at, count = data.find(text), 0
    with path.open("r+b") as file:
        while at >= 0:
            file.seek(at + len(text) // 2)
            file.write(bytes([data[at + len(text) // 2] ^ 1]))
            count += 1
            at = data.find(text, at + 1)
    assert count, "nothing was changed"


def health(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.request("GET", "/health").json()
    return found


def wait_for_health(client: Client, words: str) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_SECONDS
    while words not in json.dumps(found := health(client)):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def test_a_changed_byte_is_served_to_nobody(tmp_path: Path) -> None:
    data = configuration(tls_config="dev_mode", enable_healthcheck=True, enable_metrics=True)
    path = str(write_configuration(tmp_path, data))
    with running(["--config", path], tmp_path) as daemon:
        client = connect(daemon.port)
        documents = [
            {"_id": f"id-{n}", "text": f"text number {n} of the test", "x": "x" * 900}
            for n in range(50)
        ]
        assert client.execute("INSERT INTO t DOCUMENTS (:d)", {"d": documents}).status == 200
        assert health(client) == {"status": "ok"}
        assert daemon.stop() == 0
    (database,) = tmp_path.rglob("*.db")
    flip(database, b"text number 7 of the test")
    with running(["--config", path], tmp_path) as daemon:
        client = connect(daemon.port)
        answer = client.execute("SELECT * FROM t WHERE _id = 'id-7'")
        assert (answer.status, answer.json()["error"]["code"]) == (500, "store_corrupt")
        daemon.wait_for("'id-7' of collection t is damaged")
        found = wait_for_health(client, "1 damaged documents")
        assert found["status"] == "degraded"
        assert found["detail"][0]["code"] == "store_corrupt"
        assert "id-7" not in json.dumps(found)
        assert len(client.execute("SELECT * FROM t").json()["items"]) == 49
        assert client.execute("SELECT * FROM t WHERE _id = 'id-7'").status == 500
        metrics = client.request("GET", "/metrics").body
        assert b'edge_store_damaged{kind="document"} 1.0' in metrics
        assert b"edge_store_scrub_age_seconds" in metrics
        status = edge_server("status", "-c", path, folder=tmp_path)
        assert "1 damaged documents" in status.stdout, status.stdout + status.stderr
        # And while it runs: what is in the file is read from it again.
        flip(database, b"text number 40 of the test")
        checked = edge_server("check", "-c", path, folder=tmp_path)
        assert checked.returncode == 1
        assert "document 'id-7': it was found damaged" in checked.stdout
        assert 'document "id-40": its bytes are not what was written' in checked.stdout
        assert daemon.stop() == 0
    with running(["--config", path], tmp_path) as daemon:
        # The scrubber finds this one by itself, some seconds after the start.
        daemon.wait_for("'id-40' of collection t is damaged")
        assert daemon.stop() == 0
    given_up = edge_server("check", "-c", path, "--discard-damaged", folder=tmp_path)
    assert "2 damaged documents and attachments were given up" in given_up.stdout
    assert given_up.returncode == 0, given_up.stdout


def test_a_damaged_attachment_is_never_whole(tmp_path: Path) -> None:
    data = configuration(tls_config="dev_mode", enable_healthcheck=True)
    path = str(write_configuration(tmp_path, data))
    small, large = b"s" * 5_000 + b"a small one", b"l" * 3_000_000 + b"a large one" + b"l" * 500_000
    with running(["--config", path], tmp_path) as daemon:
        port = daemon.port
        client = connect(port)
        ids = [upload(client, content) for content in (small, large)]
        for number, (id_, content) in enumerate(zip(ids, (small, large), strict=True)):
            token = {"id": id_, "len": len(content), "metadata": {}}
            client.execute("INSERT INTO t DOCUMENTS (:d)", {"d": {"_id": number, "f": token}})
            assert client.request("GET", f"/attachments/{id_}").body == content
        for file in tmp_path.rglob("*.attachments/??/*"):
            flip(file, b"a small one" if file.stat().st_size < 10_000 else b"a large one")
        answer = client.request("GET", f"/attachments/{ids[0]}")
        assert (answer.status, answer.json()["error"]["code"]) == (404, "attachment_unavailable")
        with pytest.raises((http.client.IncompleteRead, OSError)):
            client.request("GET", f"/attachments/{ids[1]}")
        daemon.wait_for("Attachment .* is damaged")
        client = connect(port)
        wait_for_health(client, "2 damaged attachments")
        answer = client.request("GET", f"/attachments/{ids[1]}", Range="bytes=0-10")
        assert answer.status == 404


def test_what_a_peer_has_comes_back(tmp_path: Path) -> None:
    """A document and an attachment, damaged while the server was stopped."""
    first, second = folder(tmp_path, "first"), folder(tmp_path, "second")
    path = str(write_configuration(first, mesh_configuration("first")))
    small = b"s" * 5_000 + b"a small one"
    with running(["--config", path], first) as one:
        mesh_port = int(one.wait_for(r'Mesh listening on [^"]*:(\d+)').group(1))
        client = connect(one.port, first / "cert.pem")
        id_ = upload(client, small)
        token = {"id": id_, "len": len(small), "metadata": {}}
        good = {"_id": "x", "text": "text to be changed", "file": token}
        client.execute("INSERT INTO tasks DOCUMENTS (:d)", {"d": good})
        data = mesh_configuration("second", connect_config=known(mesh_port))
        path = str(write_configuration(second, data))
        with running(["--config", path], second) as two:
            client = connect(two.port, second / "cert.pem")
            eventually(lambda: rows(client) == [good])
            assert client.request("GET", f"/attachments/{id_}").body == small
            assert two.stop() == 0
        (database,) = second.rglob("*.db")
        flip(database, b"text to be changed")
        (blob,) = second.rglob("*.attachments/??/*")
        flip(blob, b"a small one")
        with running(["--config", path], second) as two:
            client = connect(two.port, second / "cert.pem")
            eventually(lambda: rows(client) == [good])
            eventually(lambda: client.request("GET", f"/attachments/{id_}").body == small)
            eventually(lambda: health(client) == {"status": "ok"})


def rows(client: Client) -> Any:
    """Return the documents of a read by id, which verifies; None if it fails."""
    return client.execute("SELECT * FROM tasks WHERE _id = 'x'").json().get("items")


def upload(client: Client, content: bytes) -> str:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        + content
        + b"\r\n--x--\r\n"
    )
    answer = client.request(
        "POST",
        "/attachments/upload",
        body,
        **{"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status == 201, answer.body
    id_: str = answer.json()["id"]
    return id_
