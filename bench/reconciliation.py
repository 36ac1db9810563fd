# SPDX-License-Identifier: Apache-2.0
"""
Bytes and CPU of set reconciliation, both sides in one process: ``python -m bench.reconciliation``.

Each row: digests per side, documents damaged (each makes two differing digests), bytes of cells
and of requests, requests, and CPU seconds for building a sketch, for the source, for the peeler.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path

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


def main(arguments: list[str]) -> None:
    """Print a row for each size; write them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the target's size only")
    parser.add_argument("--json", type=Path, help="write the figures there")
    chosen = parser.parse_args(arguments)
    sizes = [(100_000, 1000)] if chosen.quick else [
        (1000, 0), (1000, 1), (1000, 10), (1000, 400), (100_000, 0), (100_000, 1), (100_000, 10),
        (100_000, 100), (100_000, 1000), (100_000, 5000), (100_000, 15_000), (100_000, 50_000),
        (1_000_000, 1000),
    ]  # fmt: skip
    rows = []
    for count, damaged in sizes:
        row = measured(count, damaged, seed=count + damaged)
        rows.append({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
        print(" ".join(f"{key}={value}" for key, value in rows[-1].items()))
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
