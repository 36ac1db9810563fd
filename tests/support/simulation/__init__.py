# SPDX-License-Identifier: Apache-2.0
"""
A mesh in one process, under one seed: real stores, real sessions, one clock and a bad network.

    world.py      time, chance, the trace
    network.py    connections: delays, cuts, stalls, pieces
    storage.py    what survives a crash: stores that are dropped, reopened, restored
    node.py       a server: its database, its links, its subscriptions
    workload.py   statements that are made up
    oracle.py     what must be true of the documents in the end
    scenario.py   one seed, from the first write to the verdict

``python -m tests.support.simulation --seeds 0-2000 --jobs 2`` runs many.
"""
