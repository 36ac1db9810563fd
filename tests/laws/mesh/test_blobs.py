# SPDX-License-Identifier: Apache-2.0
"""Laws of attachments across hops: any mesh, any order, any cuts."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.mesh.blobs.messages import CHUNK_BYTES, WINDOW_BYTES
from tests.integration.mesh.blob_network import Network, blob_id

CONTENT = random.Random(3).randbytes(9 * CHUNK_BYTES + 1)
ID = blob_id(CONTENT)
cables = st.sets(
    st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda ends: ends[0] < ends[1])
)


def reachable(network: Network, start: str) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        for cable in network.cables:
            if here in cable:
                (there,) = cable - {here}
                if there not in found:
                    found.add(there)
                    waiting.append(there)
    return found


def mesh_of(ends: set[tuple[int, int]], holders: set[int]) -> Network:
    network = Network()
    for number in range(6):
        server = network.server(str(number))
        server.name_blob(ID)
        if number in holders:
            server.add(CONTENT)
    for one, other in sorted(ends):
        network.plug(str(one), str(other))
    return network


@settings(max_examples=40, deadline=None)
@given(cables, st.sets(st.integers(1, 5)))
def test_whoever_can_reach_it_gets_it_and_others_know_at_once(
    ends: set[tuple[int, int]], holders: set[int]
) -> None:
    network = mesh_of(ends, holders)
    outcome: list[bool] = []
    network.servers["0"].transfer.fetch(ID, None).addCallback(outcome.append)
    network.deliver()
    expected = bool(reachable(network, "0") & {str(holder) for holder in holders})
    assert outcome == [expected]
    assert all(size < WINDOW_BYTES + 4096 for size in network.most.values())


@settings(max_examples=25, deadline=None)
@given(cables, st.sets(st.integers(0, 5), min_size=1, max_size=2), st.integers(0, 2**32))
def test_after_cuts_everybody_who_wants_it_gets_it(
    ends: set[tuple[int, int]], holders: set[int], seed: int
) -> None:
    """Many want it at once, links are cut and mended meanwhile; in the end all is well."""
    dice = random.Random(seed)
    network = mesh_of(ends, holders)
    for server in network.servers.values():
        server.transfer.fetch(ID, None)
    for _ in range(12):
        network.deliver(dice.randrange(30))
        if network.cables and dice.random() < 0.5:
            one, other = sorted(dice.choice(sorted(map(sorted, network.cables))))
            network.cut(one, other)
            network.deliver(dice.randrange(10))
            network.plug(one, other)
        network.clock.advance(dice.random() * 3)
    reached = set[str]().union(*(reachable(network, str(holder)) for holder in holders))
    for _ in range(20):
        network.pass_time(50)
        if all(network.servers[name].has(ID) for name in reached):
            break
    for name in reached:
        assert network.servers[name].data.blobs.complete.get(ID) == CONTENT, name
    for name in network.servers.keys() - reached:
        assert not network.servers[name].has(ID)
