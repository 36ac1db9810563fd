# SPDX-License-Identifier: Apache-2.0
"""
A day of three servers, compressed: nothing that was acknowledged is lost, and all agree.

``shop -- hub -- ship``; the link between shop and hub can be cut.  Each scene leaves the mesh
running for the next one.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from tests.system.daemon import Client, connect
from tests.system.fixtures import write_certificate
from tests.system.mesh_site import Site, eventually, new_key, site, started
from tests.system.relay import Relay

pytestmark = [pytest.mark.system, pytest.mark.slow]

EVERYTHING = ("SELECT * FROM tasks", "SELECT * FROM orders", "SELECT * FROM stock")
SMALL_DISK_BYTES = 48 << 20


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Put a small file system on a folder if this user may; else say that it could not be."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(folder)]
    mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@define
class Story:
    """The three servers, the link that can be cut, and what was promised to clients."""

    shop: Site
    hub: Site
    ship: Site
    link: Relay
    has_small_disk: bool
    #: Ids of tasks whose INSERT was answered with 200.
    acknowledged: set[str] = field(factory=set)

    @property
    def all(self) -> tuple[Site, Site, Site]:
        return (self.shop, self.hub, self.ship)

    def add_task(self, where: Site, id_: str, **fields: Any) -> None:
        where.run("INSERT INTO tasks DOCUMENTS (:doc)", {"doc": {"_id": id_, **fields}})
        self.acknowledged.add(id_)

    def agree(self, collection: str) -> list[Any]:
        """Wait until all show the same documents of a collection; return them."""

        def look() -> Any:
            seen = [
                json.dumps(each.items(f"SELECT * FROM {collection} ORDER BY _id"), sort_keys=True)
                for each in self.all
            ]
            return seen[0] if len(set(seen)) == 1 else None

        found: list[Any] = json.loads(eventually(f"all agree on {collection}", look))
        return found

    def meet(self) -> None:
        """Wait until everybody sees everybody."""
        for each in self.all:
            others = {other.name for other in self.all} - {each.name}
            eventually(f"{each.name} sees {others}", partial(each.sees, others))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("story")
    hub = site("hub", folder / "hub", [], EVERYTHING)
    link = Relay(hub.mesh_port)
    shop = site("shop", folder / "shop", [link.port], EVERYTHING)
    ship = site("ship", folder / "ship", [hub.mesh_port], EVERYTHING)
    with small_disk(ship.folder / "data") as has_small_disk, started(hub, shop, ship):
        yield Story(shop=shop, hub=hub, ship=ship, link=link, has_small_disk=has_small_disk)
        link.close()


def test_01_they_find_each_other(story: Story) -> None:
    story.meet()


def test_02_what_one_writes_all_read(story: Story) -> None:
    for number in range(60):
        where = story.all[number % 3]
        story.add_task(where, f"t{number:03d}", title=f"Task {number}", done=False)
    story.shop.run(
        "INSERT INTO orders DOCUMENTS (:a), (:b)",
        {
            "a": {"_id": "o1", "customer": {"name": "Ada", "city": "Kiel"}, "total": 12.5},
            "b": {"_id": "o2", "customer": {"name": "Bo", "city": "Oslo"}, "total": 40},
        },
    )
    story.hub.run("INSERT INTO COLLECTION stock (n COUNTER) DOCUMENTS ({'_id': 'bolt', 'n': 0})")
    assert {each["_id"] for each in story.agree("tasks")} == story.acknowledged
    assert len(story.agree("orders")) == 2
    assert story.agree("stock") == [{"_id": "bolt", "n": 0}]


def test_03_queries_with_an_index_and_a_join(story: Story) -> None:
    story.ship.run("CREATE INDEX by_city ON orders (customer.city)")
    plan = story.ship.items("EXPLAIN SELECT * FROM orders WHERE customer.city = 'Kiel'")
    assert "by_city" in json.dumps(plan)
    found = story.ship.items("SELECT * FROM orders WHERE customer.city = 'Kiel'")
    assert [each["_id"] for each in found] == ["o1"]
    story.shop.run("UPDATE tasks SET order_id = 'o2' WHERE _id = 't000'")
    joined = "SELECT t._id, o.total FROM tasks t JOIN orders o ON t.order_id = o._id"
    row = eventually("the join finds its row", lambda: story.ship.items(joined))
    assert row[0]["total"] == 40


def test_04_an_attachment_crosses_two_hops(story: Story) -> None:
    content = os.urandom(3_000_000)
    path = story.shop.folder / "photo.bin"
    path.write_bytes(content)
    uploaded = story.shop.curl(
        "-F", f"file=@{path}", "-F", "name=photo", story.shop.url("/attachments/upload")
    )
    token = json.loads(uploaded)
    story.shop.run(
        "INSERT INTO COLLECTION tasks (photo ATTACHMENT) DOCUMENTS (:doc)",
        {"doc": {"_id": "with-photo", "photo": token}},
    )
    story.acknowledged.add("with-photo")
    where = "SELECT * FROM tasks WHERE _id = 'with-photo'"
    eventually("the document is on the ship", lambda: story.ship.items(where))
    fetched = story.ship.curl(story.ship.url(f"/attachments/{token['id']}"))
    assert hashlib.sha256(fetched).digest() == hashlib.sha256(content).digest()


def test_05_a_key_is_rotated(story: Story) -> None:
    hub = story.hub
    old, (new, hashed) = hub.key, new_key(hub.folder)
    identities = hub.settings["auth"]["identities"]
    identities["operator_2"] = {"credential": {"api_key": hashed}, "permissions": ["all"]}
    hub.write()
    hub.reload()
    fresh = connect(hub.port, hub.folder / "cert.pem", new)
    eventually("the new key opens", lambda: fresh.execute("SELECT 1 AS n").status == 200)
    del identities["operator"]
    hub.write()
    hub.reload()
    stale = connect(hub.port, hub.folder / "cert.pem", old)
    eventually("the old key is refused", lambda: stale.execute("SELECT 1 AS n").status == 401)
    hub.key = new
    hub.reconnect()
    story.add_task(hub, "after-rotation")


def test_06_a_certificate_is_renewed_under_open_connections(story: Story) -> None:
    shop = story.shop
    before = shop.client
    assert before.execute("SELECT 1 AS n").status == 200

    def served() -> str:
        return ssl.get_server_certificate(("127.0.0.1", shop.port))

    old = served()
    write_certificate(shop.folder / "cert.pem", shop.folder / "key.pem")
    eventually("the new certificate is served", lambda: served() != old, 15)
    assert before.execute("SELECT 1 AS n").status == 200, "the open connection lives on"
    shop.reconnect()
    story.add_task(shop, "after-renewal")


def test_07_a_cut_link_and_a_killed_server(story: Story) -> None:
    story.link.cut()
    eventually("the hub notices", lambda: "shop" not in story.hub.peers(), 15)
    story.shop.run("UPDATE tasks SET title = 'from the shop', a = 1 WHERE _id = 't001'")
    story.hub.run("UPDATE tasks SET title = 'from the hub', b = 2 WHERE _id = 't001'")
    story.shop.run("UPDATE COLLECTION stock (n COUNTER) APPLY n INCREMENT BY 5")
    story.ship.run("UPDATE COLLECTION stock (n COUNTER) APPLY n INCREMENT BY 7")
    story.shop.run("DELETE FROM tasks WHERE _id = 't002'")
    story.hub.run("UPDATE tasks SET color = 'blue' WHERE _id = 't002'")
    story.hub.run("DELETE FROM tasks WHERE _id = 't003'")
    story.acknowledged.discard("t003")
    _write_until_killed(story)
    story.shop.start()
    story.link.mend()
    story.meet()
    tasks = {each["_id"]: each for each in story.agree("tasks")}
    assert set(tasks) == story.acknowledged
    assert tasks["t001"]["title"] == "from the hub", "the later write wins"
    assert (tasks["t001"]["a"], tasks["t001"]["b"]) == (1, 2)
    assert tasks["t002"]["color"] == "blue" and tasks["t002"]["title"], "the edit revives it all"
    assert story.agree("stock") == [{"_id": "bolt", "n": 12}]


def _write_until_killed(story: Story) -> None:
    """Insert at the shop from two clients until it is killed; note what it acknowledged."""
    shop = story.shop
    stopped = threading.Event()

    def write(client: Client, prefix: str) -> None:
        for number in range(100_000):
            id_ = f"{prefix}{number:05d}"
            try:
                answer = client.execute(
                    "INSERT INTO tasks DOCUMENTS (:doc)", {"doc": {"_id": id_, "n": number}}
                )
            except (OSError, ValueError):
                break
            if answer.status == 200:
                story.acknowledged.add(id_)
        stopped.set()

    # Connected beforehand: on a busy machine a handshake may take as long as the writing does.
    clients = {each: connect(shop.port, shop.folder / "cert.pem", shop.key) for each in ("x", "y")}
    writers = [
        threading.Thread(target=write, args=(client, each)) for each, client in clients.items()
    ]
    for each in writers:
        each.start()
    time.sleep(0.7)
    shop.kill()
    for each in writers:
        each.join(30)
    assert stopped.is_set()
    # What was on its way when the power went may be there or not: ask for what is.
    shop.start()
    unknown = {each["_id"] for each in shop.items("SELECT _id FROM tasks")} - story.acknowledged
    unknown.discard("t003")
    assert len(unknown) <= len(writers), "at most one statement of each writer was in flight"
    story.acknowledged |= unknown
    shop.stop()


def test_08_a_full_disk(story: Story) -> None:
    if not story.has_small_disk:
        pytest.skip("this user may not mount a small file system")
    ship = story.ship
    filler = ship.folder / "data" / "filler"
    # Unbuffered: what is left in a buffer would be written, and fail, once more on closing.
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 65536)
    big = {"_id": "big", "text": "x" * 200_000}

    def refused() -> Any:
        answer = ship.client.execute("INSERT INTO orders DOCUMENTS (:doc)", {"doc": big})
        big["_id"] += "g"
        return answer.json()["error"]["code"] if answer.status != 200 else None

    assert eventually("the disk is full", refused) == "store_full"
    assert ship.items("SELECT * FROM orders WHERE _id = 'o1'"), "reads go on"
    story.add_task(story.hub, "while-full", text="y" * 1000)
    filler.unlink()
    eventually(
        "writes go on",
        lambda: (
            ship.client.execute("INSERT INTO tasks DOCUMENTS ({'_id': 'after-full'})").status
            in (200, 409)
        ),
    )
    story.acknowledged.add("after-full")
    assert {each["_id"] for each in story.agree("tasks")} == story.acknowledged
    story.agree("orders")


def test_09_a_broken_file_changes_nothing_a_good_one_does(story: Story) -> None:
    hub = story.hub
    (hub.folder / "config.yaml").write_text("database: [")
    hub.reload()
    eventually("it is refused", lambda: _reloads(hub)[-1:] == ["refused"])
    story.add_task(hub, "after-broken-file")
    limit = {"strategy": "api_key", "max_requests": 40, "window_secs": 60}
    hub.settings["http_server"]["throttling"] = {"strategies": [limit]}
    hub.write()
    hub.reload()
    eventually("it is applied", lambda: _reloads(hub)[-1:] == ["applied"])
    answers = [hub.client.execute("SELECT 1 AS n") for _ in range(60)]
    refused = [each for each in answers if each.status == 429]
    assert refused and int(refused[0].headers["Retry-After"]) >= 1
    assert connect(hub.port, hub.folder / "cert.pem").request("GET", "/health").status == 200
    del hub.settings["http_server"]["throttling"]
    hub.write()
    hub.reload()
    eventually("the limit is gone", lambda: hub.client.execute("SELECT 1 AS n").status == 200)


def _reloads(where: Site) -> list[str]:
    return [line["status"] for line in where.audit() if line["event"] == "config_reloaded"]


def test_10_all_agree_and_nothing_is_lost(story: Story) -> None:
    assert {each["_id"] for each in story.agree("tasks")} == story.acknowledged
    story.agree("orders")
    story.agree("stock")


def test_11_the_audit_log_tells_the_story(story: Story) -> None:
    assert [each.stop() for each in story.all] == [0, 0, 0]
    events = {each.name: [line["event"] for line in each.audit()] for each in story.all}
    for name, lines in events.items():
        assert lines[0] == "server_started" and lines[-1] == "server_stopped", name
        assert "peer_connected" in lines and "peer_disconnected" in lines, name
    assert events["shop"].count("server_started") == 3, "once, after the kill, and once more"
    assert "certificate_reloaded" in events["shop"]
    hub = list(story.hub.audit())
    statuses = {line["status"] for line in hub if line["event"] == "refusal"}
    assert {401, 429} <= statuses
    assert {line["identity"] for line in hub if line["event"] == "request"} == {
        "operator",
        "operator_2",
    }
    inserts = [line for line in hub if line["verb"] == "insert"]
    assert all(line["collections"] and line["duration_ms"] is not None for line in inserts)
    written = "".join(path.read_text() for path in (story.hub.folder / "audit").iterdir())
    assert story.hub.key not in written and "Task 1" not in written, "no keys, no values"
