# SPDX-License-Identifier: Apache-2.0
"""
Checksums of the writes in a document's slots: which writes stand where.

A receiver of a delta compares checksums to find out whether it holds the same entries as the
sender (`edge_twisted.documents.deltas`).  A checksum is the sum, modulo the prime `PRIME`, of one
term for each entry, each share of a counter and each restart of a counter.  As it is a sum, the
checksums of two parts of a document can be added and subtracted.  A term is the product of three
factors:

- the kind: ``KIND ** n`` modulo `PRIME`, where n is the number of the variant (`nodes.Variant`) for
  an entry, that number plus 5 for a restart, plus 10 for a share;
- the path: 1 for the document itself; ``(p + crc32(name) + 1) ** 3`` modulo `PRIME` for a child,
  where p is the factor of the parent and the name is in UTF-8;
- the dot: ``(crc32(replica) + sequence) ** 3`` modulo `PRIME`, where the replica is the bytes of
  its site followed by its epoch, 8 bytes, big-endian.

Example: entry 7 of replica r in the register ``a`` adds ``(1 + crc32("a") + 1) ** 3 *
(crc32(r) + 7) ** 3``, as ``KIND ** 0`` is 1.

Values have no part in it, because a dot determines what it wrote.  A prime modulus excludes that a
product of two non-zero differences is 0, as when two writes are exchanged between two paths.  Cubes
exclude that sequences, or the names on a path, add up to the same sum in another way.  The checksum
detects accidental differences; it is no protection against forgery.
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

#: The greatest prime below 2 ** 32; every residue has exactly one cube root.
PRIME: Final = 2**32 - 5
#: The base of the kinds; no small combination of its powers adds up to 0.
KIND: Final = 2_654_435_769
_EPOCH_BYTES: Final = 8
_SHORT: Final = 64
#: The kind factors of entries, restarts and shares, by variant.
_ENTRY_KIND, _RESTART_KIND, _SHARE_KIND = (
    tuple(pow(KIND, part * len(Variant) + variant, PRIME) for variant in Variant)
    for part in range(3)
)


def checksum(root: PathNode) -> int:
    """
    Return the checksum of the writes in a tree, at least 0 and below `PRIME`.

    The module's docstring has the algorithm.
    """
    total = base = dot_term = 0
    last_stamp: Stamp | None = None
    last_replica: Replica | None = None
    # An empty name below 0 gives 1, the factor of the document itself.
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
                    # Most entries share the stamp or replica object of the entry before them.
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


#: Documents of a collection mostly have the same names; the cache stays below 2 MB.
_cached_path_factor = lru_cache(maxsize=4096)(_path_factor)
