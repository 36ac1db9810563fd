# SPDX-License-Identifier: Apache-2.0
"""
A mesh under attack, between real daemons: ``python -m bench.mesh_floods [part ...] [--save]``.

Strangers hold connections to the mesh's port while a member dials; members flood a server while its
honest neighbour writes.  Ratios are to the same measurement in peace, in the same run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.report import Figure, Part, run_parts
from edge_twisted.mesh.wire import messages as m
from tests.system.mesh_flooder import FLOODED, FLOODS, flooder
from tests.system.mesh_member import PREY, Member
from tests.system.mesh_site import MESH_TOKEN, Site, eventually, site, started
from tests.system.mesh_strangers import KINDS, strangers

STRANGERS = 1000
ADDRESSES = 50
#: Where the honest member dials from: none of the strangers'.
HONEST = "127.1.0.1"
SAMPLES = 10
#: Dialling for so long is being locked out.
PATIENCE_SECONDS = 20.0
#: The replication is measured over so long.
SECONDS = 8.0
#: Documents of the server before a flood: what a repair has to read.
HELD = 20_000


def link_seconds(where: Site, folder: Path) -> float:
    """Return how long an honest member dials until the server has said hello."""
    began = time.perf_counter()
    while time.perf_counter() - began < PATIENCE_SECONDS:
        try:
            member = Member(where.mesh_port, MESH_TOKEN, folder, HONEST)
            member.hello()
            member.wait_for(m.Hello)
            member.close()
        except (OSError, AssertionError):
            time.sleep(0.25)
        else:
            break
    return time.perf_counter() - began


def door(folder: Path) -> Iterator[Figure]:
    """The time to link under strangers of three kinds."""
    server = site("door", folder / "door", [], [PREY])
    with started(server):
        peace = [link_seconds(server, folder) for _ in range(SAMPLES)]
        yield Figure(name="link in peace, median", value=statistics.median(peace), unit="s")
        for kind in KINDS:
            with strangers(server.mesh_port, STRANGERS, ADDRESSES, kind):
                found = [link_seconds(server, folder) for _ in range(SAMPLES)]
            name = f"link under {STRANGERS:,} strangers that are {kind}"
            if kind != "silent":
                name = f"link under {STRANGERS:,} strangers, each {kind} TLS"
            yield Figure(name=f"{name}, worst", value=max(found), unit="s", target=5, sense="most")


def replicated(victim: Site, witness: Site, name: str) -> float:
    """Write at the witness and read at the victim, one after the other; return documents/s."""
    began, number = time.perf_counter(), 0
    query = "SELECT _id FROM rows WHERE _id = :id"
    while time.perf_counter() - began < SECONDS:
        id_ = {"id": f"{name} {number}"}
        witness.run("INSERT INTO rows DOCUMENTS ({'_id': :id})", id_)
        while not victim.items(query, id_):
            pass
        number += 1
    return number / (time.perf_counter() - began)


def floods(folder: Path) -> Iterator[Figure]:
    """How fast an honest pair replicates while a member floods one of the two."""
    victim = site("victim", folder / "victim", [], [PREY, FLOODED])
    witness = site("witness", folder / "witness", [victim.mesh_port], [FLOODED])
    with started(victim, witness):
        eventually("they meet", lambda: victim.peers() == {"witness"})
        for start in range(0, HELD, 1000):
            rows = [{"_id": f"held {n}", "n": n} for n in range(start, start + 1000)]
            witness.run("INSERT INTO rows DOCUMENTS (:rows)", {"rows": rows})
        peace = replicated(victim, witness, "peace")
        yield Figure(name="replicated in peace", value=peace, unit="docs/s")
        for kind in FLOODS:
            with ExitStack() as stack:
                place = folder / "member"
                stack.enter_context(flooder(victim.mesh_port, MESH_TOKEN, place, kind))
                rate = replicated(victim, witness, kind)
            yield Figure(
                name=f"replicated in peace / under a flood of {kind}",
                value=peace / rate, unit="x", target=3, sense="most",
            )  # fmt: skip


PARTS: dict[str, Part] = {"door": door, "floods": floods}


if __name__ == "__main__":
    run_parts("mesh_floods", PARTS, __doc__)
