# SPDX-License-Identifier: Apache-2.0
"""
The mesh between real daemons over loopback TLS: ``python -m bench.mesh [part ...] [--save]``.

Servers run with keys, TLS and audit on, each in a process of its own, and so do the clients that
write and read.  Bytes of changes are counted by a relay between two servers, TLS included
(`bench.mesh_bytes`); those of a reconnect by the link's own counter (`edge_mesh_bytes_total`), that
is frames before TLS.
The part ``in-process`` measures the same without daemons.
"""

from __future__ import annotations

import re
import signal
import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.mesh_bytes import absence, overlap
from bench.mesh_clients import visible_ms
from bench.mesh_in_process import in_process
from bench.report import Figure, Part, run_parts
from tests.system.mesh_site import Site, eventually, site, started
from tests.system.relay import Relay

DOCUMENTS = 100_000
CHUNK = 1000
SAMPLES = 200
ALL_TASKS = ("SELECT * FROM tasks",)


def document(number: int) -> dict[str, object]:
    """A document of about 500 bytes with an id of 12 characters."""
    return {
        "_id": f"task{number:08d}",
        "title": f"Inspect pump {number % 977}",
        "done": number % 3 == 0,
        "priority": number % 5,
        "notes": f"{number * 2654435761 % 2**32:08x}" * 25,
        "site": {"dock": number % 40, "crew": f"crew-{number % 89}"},
        "tags": ["pump", "inspection", f"week-{number % 52}"],
    }


def fill(where: Site, count: int) -> None:
    """Insert so many documents."""
    for start in range(0, count, CHUNK):
        documents = [document(n) for n in range(start, min(start + CHUNK, count))]
        where.run("INSERT INTO tasks DOCUMENTS (:docs)", {"docs": documents})


def count(where: Site) -> int:
    """Return how many documents a server has."""
    found: int = where.items("SELECT COUNT(*) AS n FROM tasks")[0]["n"]
    return found


def mesh_bytes(where: Site) -> float:
    """Return the bytes that a server has sent and received over all links."""
    text = where.client.request("GET", "/metrics").body.decode()
    return sum(
        float(value) for value in re.findall(r"^edge_mesh_bytes_total\{[^}]*\} (\S+)", text, re.M)
    )


def resident_kib(where: Site) -> int:
    """Return the resident memory of a server in KiB."""
    status = Path(f"/proc/{where.daemon.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found
    return int(found.group(1))


def settled_bytes(where: Site) -> float:
    """Return the byte count once it has stopped moving but for keep-alives."""
    before = mesh_bytes(where)
    while True:
        time.sleep(1.0)
        now = mesh_bytes(where)
        if now - before < 200:
            return now
        before = now


@contextmanager
def line(folder: Path, names: Iterable[str]) -> Iterator[list[Site]]:
    """Start servers in a line, each dialling the one before."""
    sites: list[Site] = []
    for name in names:
        dials = [sites[-1].mesh_port] if sites else []
        sites.append(site(name, folder / name, dials, ALL_TASKS))
    with started(*sites):
        yield sites


def first_sync(folder: Path) -> Iterator[Figure]:
    """Sync many documents to an empty server, change some, reconnect."""
    hub = site("hub", folder / "hub", [], ALL_TASKS)
    link = Relay(hub.mesh_port)
    spoke = site("spoke", folder / "spoke", [link.port], ALL_TASKS)
    with started(hub):
        fill(hub, DOCUMENTS)
        spoke.start()
        began = time.perf_counter()
        eventually("all is there", lambda: count(spoke) == DOCUMENTS, 120)
        rate = DOCUMENTS / (time.perf_counter() - began)
        yield Figure(name="first sync", value=rate, unit="docs/s", target=10_000)
        try:
            yield from _changes(hub, spoke)
            yield from _reconnect(hub, spoke, link)
            yield from _death(hub, spoke)
        finally:
            spoke.end()
            link.close()


def _changes(hub: Site, spoke: Site) -> Iterator[Figure]:
    idle = settled_bytes(hub)
    hub.run(f"UPDATE tasks SET priority = 9 WHERE _id < 'task{CHUNK:08d}'")
    done = "SELECT COUNT(*) AS n FROM tasks WHERE priority = 9"
    eventually("one statement is there", lambda: spoke.items(done)[0]["n"] == CHUNK)
    together = settled_bytes(hub) - idle
    yield Figure(
        name="1,000 one-field changes, one statement", value=together / 1000, unit="kB",
        target=60, sense="most",
    )  # fmt: skip
    idle = settled_bytes(hub)
    for number in range(CHUNK):
        id_ = {"id": f"task{number:08d}"}
        hub.run("UPDATE tasks SET priority = 8 WHERE _id = :id", id_)
    done = "SELECT COUNT(*) AS n FROM tasks WHERE priority = 8"
    eventually("all statements are there", lambda: spoke.items(done)[0]["n"] == CHUNK)
    alone = settled_bytes(hub) - idle
    yield Figure(
        name="1,000 one-field changes, a statement each", value=alone / 1000, unit="kB",
        target=60, sense="most",
    )  # fmt: skip


def _reconnect(hub: Site, spoke: Site, link: Relay) -> Iterator[Figure]:
    settled_bytes(hub)
    link.cut()
    eventually("the link is gone", lambda: not hub.peers())
    before = mesh_bytes(hub)
    link.mend()
    eventually("the link is back", lambda: hub.peers() == {"spoke"})
    time.sleep(1.0)
    total = mesh_bytes(hub) - before
    yield Figure(
        name=f"in-sync reconnect, {DOCUMENTS:,} documents, HELLO included", value=total, unit="B"
    )


def _death(hub: Site, spoke: Site) -> Iterator[Figure]:
    time.sleep(2)
    spoke.daemon.process.send_signal(signal.SIGSTOP)
    began = time.perf_counter()
    eventually("the dead peer is noticed", lambda: not hub.peers(), 30)
    seconds = time.perf_counter() - began
    spoke.daemon.process.send_signal(signal.SIGCONT)
    yield Figure(name="dead peer noticed", value=seconds, unit="s", target=5, sense="most")


def latency(folder: Path) -> Iterator[Figure]:
    """From an acknowledged INSERT to the first read that shows it, in a line of four servers."""
    with line(folder, ("first", "second", "third", "fourth")) as sites:
        eventually("they meet", lambda: len(sites[0].peers()) == 3)
        for hops, target in ((1, 30.0), (3, 100.0)):
            found = sorted(visible_ms(sites[0], sites[hops], f"hop{hops}", SAMPLES))
            name = f"visible {hops} hop{'s' if hops > 1 else ''} away"
            yield Figure(name=f"{name}, median", value=statistics.median(found), unit="ms")
            p99 = found[int(len(found) * 0.99)]
            yield Figure(name=f"{name}, p99", value=p99, unit="ms", target=target, sense="most")


def ring(folder: Path) -> Iterator[Figure]:
    """Ten servers in a ring, cut into two halves, written on both sides, healed."""
    size, writes = 10, 50
    sites = [site(f"s{n}", folder / f"s{n}", [], ALL_TASKS) for n in range(size)]
    links = [Relay(each.mesh_port) for each in sites]
    for number, each in enumerate(sites):
        dialled = links[(number + 1) % size].port
        transport = each.settings["database"]["transport_config"]
        transport["connect_config"]["known_tcp_servers"] = [f"127.0.0.1:{dialled}"]
    with started(*sites):
        eventually("they meet", lambda: all(len(each.peers()) == size - 1 for each in sites))
        cuts = (links[0], links[size // 2])
        for cut in cuts:
            cut.cut()
        eventually("two halves", lambda: len(sites[0].peers()) == size // 2 - 1, 20)
        for number in range(writes):
            for side in (0, size // 2):
                id_ = f"side{side}-{number}"
                sites[side].run("INSERT INTO tasks DOCUMENTS (:d)", {"d": {"_id": id_}})
        for cut in cuts:
            cut.mend()
        began = time.perf_counter()
        eventually("they agree", lambda: all(count(each) == 2 * writes for each in sites))
        seconds = time.perf_counter() - began
        yield Figure(
            name="ring of 10 healed", value=seconds, unit="s", target=2, sense="most"
        )  # fmt: skip
        for link in links:
            link.close()


def links(folder: Path) -> Iterator[Figure]:
    """What an idle link costs a hub in memory."""
    number = 12
    hub = site("hub", folder / "hub", [], ALL_TASKS)
    spokes = [
        site(f"s{n}", folder / f"s{n}", [hub.mesh_port], ALL_TASKS) for n in range(number + 2)
    ]
    with started(hub, *spokes[:2]):
        eventually("two are there", lambda: len(hub.peers()) == 2)
        time.sleep(3)
        before = resident_kib(hub)
        with started(*spokes[2:]):
            eventually("all are there", lambda: len(hub.peers()) == number + 2)
            time.sleep(3)
            each = (resident_kib(hub) - before) / number
            yield Figure(
                name="memory per idle link", value=each, unit="KiB", target=200, sense="most"
            )


PARTS: dict[str, Part] = {
    "first-sync": first_sync,
    "latency": latency,
    "absence": absence,
    "overlap": overlap,
    "in-process": in_process,
    "ring": ring,
    "links": links,
}


if __name__ == "__main__":
    run_parts("mesh", PARTS, __doc__)
