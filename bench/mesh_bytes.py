# SPDX-License-Identifier: Apache-2.0
"""
What changes cost on the wire between real daemons, counted by a relay between the two.

A part of ``python -m bench.mesh``: changes of one field after an absence, of four kinds; and the
same changes on a link whose scopes overlap.  The relay counts what TCP carries, TLS included.
"""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from attrs import frozen

from bench.report import Figure
from tests.system.mesh_site import Site, eventually, site
from tests.system.relay import Relay

CHANGES = 1000
#: Bytes that keep-alives may come to in a second.
QUIET_BYTES_PER_SECOND = 200
WHOLE = ("SELECT * FROM tasks",)
#: Every document of the bench matches all of them.
OVERLAPPING = (
    "SELECT * FROM tasks WHERE priority >= 0",
    "SELECT * FROM tasks WHERE dock < 1000",
    "SELECT * FROM tasks WHERE crew IS NOT MISSING",
)


def document(number: int) -> dict[str, object]:
    """A document of about 370 bytes, most of them incompressible, with an id of 12 characters."""
    chance = random.Random(number)
    return {
        "_id": f"task{number:08d}",
        "title": f"Inspect pump {number % 977}",
        "priority": number % 5,
        "notes": base64.b64encode(chance.randbytes(195)).decode(),
        "dock": number % 40,
        "crew": f"crew-{number % 89}",
    }


@frozen
class CountedPair:
    """A hub and a spoke that dials it, through a relay that counts; another one is a detour."""

    hub: Site
    spoke: Site
    link: Relay
    detour: Relay

    def settled_bytes(self) -> int:
        """Return what has passed, once nothing but keep-alives does."""
        before = self._passed
        while True:
            time.sleep(1.0)
            now = self._passed
            if now - before < QUIET_BYTES_PER_SECOND:
                return now
            before = now

    @property
    def _passed(self) -> int:
        return self.link.passed_bytes + self.detour.passed_bytes

    def part(self) -> None:
        """Cut the link, and wait until both have noticed."""
        self.link.cut()
        eventually("they have parted", lambda: not (self.hub.peers() or self.spoke.peers()))

    def meet(self) -> None:
        """Wait until the two are linked."""
        eventually("they meet", lambda: self.hub.peers() == {"spoke"})


def counted_pair(folder: Path, queries: Sequence[str], stack: ExitStack) -> CountedPair:
    """Start the two, with documents at the hub that the spoke has."""
    hub = site("hub", folder / "hub", [], WHOLE)
    link, detour = Relay(hub.mesh_port), Relay(hub.mesh_port)
    detour.cut()
    spoke = site("spoke", folder / "spoke", [link.port, detour.port], queries)
    pair = CountedPair(hub, spoke, link, detour)
    for relay in (link, detour):
        stack.callback(relay.close)
    for each in (hub, spoke):
        stack.callback(each.end)
        each.start()
    pair.meet()
    documents = [document(n) for n in range(CHANGES)]
    hub.run("INSERT INTO tasks DOCUMENTS (:docs)", {"docs": documents})
    wait_for(spoke, "crew IS NOT MISSING")
    pair.settled_bytes()
    return pair


def wait_for(where: Site, condition: str) -> None:
    """Wait until all documents are as they were changed."""
    query = f"SELECT COUNT(*) AS n FROM tasks WHERE {condition}"
    eventually(condition, lambda: where.items(query)[0]["n"] == CHANGES, 120)


def change(where: Site, value: int, *, together: bool) -> None:
    """Change one field of every document, by one statement or by one for each."""
    if together:
        where.run("UPDATE tasks SET priority = :value", {"value": value})
        return
    for number in range(CHANGES):
        args = {"value": value, "id": f"task{number:08d}"}
        where.run("UPDATE tasks SET priority = :value WHERE _id = :id", args)


def cut_link(pair: CountedPair) -> None:
    """The link was down meanwhile."""


def restart_sender(pair: CountedPair) -> None:
    """The hub has written, then stopped and started."""
    pair.hub.stop()
    pair.hub.start()


def restart_receiver(pair: CountedPair) -> None:
    """The spoke has stopped and started."""
    pair.spoke.stop()
    pair.spoke.start()


def take_detour(pair: CountedPair) -> None:
    """The two meet again over another link."""
    pair.detour.mend()


ABSENCES = {
    "the link cut": cut_link,
    "the sender restarted": restart_sender,
    "the receiver restarted": restart_receiver,
    "another link": take_detour,
}


def absence(folder: Path) -> Iterator[Figure]:
    """Changes while two servers are apart, for each way of being so."""
    with ExitStack() as stack:
        pair = counted_pair(folder, WHOLE, stack)
        value = 100
        before = pair.settled_bytes()
        change(pair.hub, value, together=True)
        wait_for(pair.spoke, f"priority = {value}")
        live = pair.settled_bytes() - before
        yield Figure(
            name="1,000 one-field changes, one statement, on a live link",
            value=live / 1000, unit="kB", target=60, sense="most",
        )  # fmt: skip
        for name in ABSENCES:
            for together in (True, False):
                value += 1
                size = _after_absence(pair, value, name, together=together)
                kind = "one statement" if together else "a statement each"
                yield Figure(
                    name=f"1,000 one-field changes, {kind}, {name} meanwhile",
                    value=size / 1000, unit="kB", target=60, sense="most",
                )  # fmt: skip


def _after_absence(pair: CountedPair, value: int, name: str, *, together: bool) -> int:
    """Return the bytes of a reconnect that brings changes, HELLO and TLS included."""
    pair.part()
    change(pair.hub, value, together=together)
    before = pair.settled_bytes()
    ABSENCES[name](pair)
    if name != "another link":
        pair.link.mend()
    wait_for(pair.spoke, f"priority = {value}")
    size = pair.settled_bytes() - before
    if name == "another link":
        pair.detour.cut()
        eventually("they have parted", lambda: not pair.hub.peers())
        pair.link.mend()
        pair.meet()
    pair.settled_bytes()
    return size


def overlap(folder: Path) -> Iterator[Figure]:
    """First sync and live changes on a link with three overlapping scopes, against one scope."""
    costs: dict[int, tuple[int, int]] = {}
    for queries in (OVERLAPPING[:1], OVERLAPPING):
        with ExitStack() as stack:
            place = folder / f"scopes-{len(queries)}"
            place.mkdir()
            pair = counted_pair(place, queries, stack)
            first = pair.settled_bytes()
            change(pair.hub, 100, together=True)
            wait_for(pair.spoke, "priority = 100")
            costs[len(queries)] = (first, pair.settled_bytes() - first)
    for at, name in enumerate(("first sync", "live changes")):
        ratio = costs[len(OVERLAPPING)][at] / costs[1][at]
        yield Figure(
            name=f"{name}: bytes of three overlapping scopes / of one",
            value=ratio, unit="x", target=1.1, sense="most",
        )  # fmt: skip
