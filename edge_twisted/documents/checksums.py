# SPDX-License-Identifier: Apache-2.0
"""
Checksums of which writes stand where in a document.

A checksum is the sum, modulo the prime `PRIME`, of one term for each write that stands in a slot:
each entry, each share of a counter, and the restart of a counter.  So what two parts of a document
come to can be added and subtracted.  A term is the product of what was written, where, and by whom:

- what: ``KIND ** n`` modulo `PRIME`, where n is the number of the variant (`nodes.Variant`) for an
  entry, 5 more for a restart, 10 more for a share;
- where: 1 for the document itself, and of a path ``(p + crc32(name) + 1) ** 3`` modulo `PRIME`,
  where p is that of the path above it and the name is in UTF-8;
- by whom: ``(crc32(replica) + sequence) ** 3`` modulo `PRIME`, where the replica is the bytes of
  its site with its epoch after them, 8 bytes, the highest first.

A write says what it wrote, so values do not counter.  Modulo a prime no product of two differences is
0, as it would be if writes were exchanged between two paths; and cubes let sequences, or the names
on a path, not add up in another way to the same: sums of them alone would.  All of it tells apart
what differs by accident, not what somebody made up to be alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from zlib import crc32

from edge_twisted.documents.counters import CounterState
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.nodes import PathNode, Variant
from edge_twisted.documents.versions import Replica

#: The greatest below 2 ** 32; every number below it is the cube of one.
PRIME: Final = 2**32 - 5
#: No few of its powers that are used add up to 0, each some times.
KIND: Final = 2_654_435_769
_EPOCH_BYTES: Final = 8
_SHORT: Final = 64
#: What an entry of a variant counters, a restart, a share.
_ENTRY_KIND, _RESTART_KIND, _SHARE_KIND = (
    tuple(pow(KIND, part * len(Variant) + variant, PRIME) for variant in Variant)
    for part in range(3)
)


def checksum(root: PathNode) -> int:
    """Return the checksum of a tree, from 0 to below `PRIME`."""
    total = base = dot_term = 0
    last_stamp: Stamp | None = None
    last_replica: Replica | None = None
    # The document itself is what an empty name makes of 0.
    waiting: list[tuple[int, Mapping[str, PathNode]]] = [(0, {"": root})]
    while waiting:
        above, nodes = waiting.pop()
        for name, node in nodes.items():
            place = (
                _cached_path_factor(above, name)
                if len(name) <= _SHORT
                else _path_factor(above, name)
            )
            for variant, entries in node.slots.items():
                weight = place * _ENTRY_KIND[variant] if variant else place
                for stamp, _ in entries:
                    # Most have the stamp of the one before, or its replica, the very object.
                    if stamp is not last_stamp:
                        last_stamp = stamp
                        if stamp.replica is not last_replica:
                            last_replica = stamp.replica
                            base = _replica_term(last_replica)
                        number = base + stamp.sequence
                        dot_term = number * number * number
                    total += weight * dot_term
            if node.counters:
                for variant, counter in node.counters.items():
                    total += place * _counter_terms(variant, counter)
            if node.children:
                waiting.append((place, node.children))
    return total % PRIME


def _counter_terms(variant: Variant, counter: CounterState) -> int:
    total = sum(_dot_term(key.replica, share.sequence) for key, share in counter.shares.items())
    total *= _SHARE_KIND[variant]
    if counter.restart is not None:
        total += _RESTART_KIND[variant] * _dot_term(
            counter.restart.replica, counter.restart.sequence
        )
    return total


def _dot_term(replica: Replica, sequence: int) -> int:
    at: int = _replica_term(replica) + sequence
    return at * at * at


@lru_cache(maxsize=4096)
def _replica_term(replica: Replica) -> int:
    return crc32(replica.epoch.to_bytes(_EPOCH_BYTES, "big"), crc32(replica.site))


def _path_factor(place: int, name: str) -> int:
    at = place + crc32(name.encode()) + 1
    return at * at * at % PRIME


#: Documents of a collection have the same names, mostly; what is kept of others stays below 2 MB.
_cached_path_factor = lru_cache(maxsize=4096)(_path_factor)
