# SPDX-License-Identifier: Apache-2.0
"""
Bytes and CPU of set reconciliation, both sides in one process: ``python -m bench.reconciliation``.

Each row: digests per side, documents damaged (each makes two differing digests), bytes of cells
and of requests, requests, and CPU seconds for building a sketch, for the source, for the peeler.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Mapping

from bench.report import Figure, publish
from edge_twisted.mesh.reconciliation.peeler import Decoded, NeedMore, Peeler, TooDifferent
from edge_twisted.mesh.reconciliation.sketch import Sketch
from edge_twisted.mesh.reconciliation.source import CellSource
from edge_twisted.mesh.reconciliation.wire import FINGERPRINT_BYTES, SUMMARY_BYTES

SALT = bytes(range(16))


def measured(count: int, damaged: int, seed: int) -> dict[str, float | str]:
    """Reconcile two sets of `count` digests, `damaged` of which differ."""
    dice = random.Random(seed)
    common = [dice.getrandbits(64) for _ in range(count - damaged)]
    here = common + [dice.getrandbits(64) for _ in range(damaged)]
    there = common + [dice.getrandbits(64) for _ in range(damaged)]
    dice.shuffle(there)
    begin = time.process_time()
    theirs = Sketch.of(there, SALT)
    built = time.process_time() - begin
    ours = Sketch.of(here, SALT)
    source = CellSource(theirs)
    row: dict[str, float | str] = {"digests": count, "damaged": damaged, "sketch_s": built}
    cells, requests, sent, peeling = SUMMARY_BYTES, 0, 0, 0.0
    begin = time.process_time()
    peeler = Peeler(ours, theirs.summary)
    peeling += time.process_time() - begin
    sourcing = 0.0
    while isinstance(verdict := peeler.verdict, NeedMore):
        begin = time.process_time()
        request = verdict.request.encoded()
        answer = source.answer(request)
        sourcing += time.process_time() - begin
        requests, sent, cells = requests + 1, sent + len(request), cells + len(answer)
        begin = time.process_time()
        peeler.feed(answer)
        peeling += time.process_time() - begin
    outcome = "too different"
    if isinstance(verdict, Decoded):
        signed = {d - (d >> 63 << 64) for d in there}, {d - (d >> 63 << 64) for d in here}
        assert set(verdict.only_there) == signed[0] - signed[1]
        assert set(verdict.only_here) == signed[1] - signed[0]
        outcome = "decoded"
    assert outcome == "decoded" or isinstance(verdict, TooDifferent)
    return row | {
        "cell_bytes": cells, "request_bytes": sent + FINGERPRINT_BYTES, "requests": requests,
        "source_s": sourcing, "peeler_s": peeling, "outcome": outcome,
    }  # fmt: skip


def figures(row: Mapping[str, float | str]) -> Iterator[Figure]:
    """Yield what one size cost; the targets are for one of a hundred damaged of 100,000."""
    count, damaged = row["digests"], row["damaged"]
    is_goal = (count, damaged) == (100_000, 1000)
    size = f"{count:,} digests, {damaged:,} differ"
    yield Figure(
        name=f"{size}: bytes",
        value=(float(row["cell_bytes"]) + float(row["request_bytes"])) / 1000,
        unit="kB",
        target=80 if is_goal else None,
        sense="most",
    )
    seconds = sum(float(row[part]) for part in ("sketch_s", "source_s", "peeler_s"))
    yield Figure(
        name=f"{size}: CPU of both sides",
        value=seconds + float(row["sketch_s"]),
        unit="s",
        target=1 if is_goal else None,
        sense="most",
    )


SIZES = (
    (1000, 0), (1000, 10), (1000, 400), (100_000, 0), (100_000, 10), (100_000, 100),
    (100_000, 1000), (100_000, 5000), (100_000, 50_000), (1_000_000, 1000),
)  # fmt: skip


def main() -> None:
    """Print the figures of each size, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the target's size only")
    parser.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    chosen = parser.parse_args()
    found: list[Figure] = []
    for count, damaged in ((100_000, 1000),) if chosen.quick else SIZES:
        found.extend(figures(measured(count, damaged, seed=count + damaged)))
    publish("reconciliation", found, save=chosen.save)


if __name__ == "__main__":
    main()
