# SPDX-License-Identifier: Apache-2.0
"""Runs many seeds, on several processes, and says which ones failed and how."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.support.simulation.absences import AbsenceCost
from tests.support.simulation.node import SimulationFailed
from tests.support.simulation.scenario import simulate


def attempt(
    seed: int,
    *,
    sqlite: bool = False,
    forgetful: bool = False,
    crowded: bool = False,
    verbose: bool = False,
) -> str | AbsenceCost | None:
    """Run a seed; return what is wrong with it, or else what its absence has cost."""
    try:
        heard = _say if verbose else None
        return simulate(
            seed, sqlite=sqlite, forgetful=forgetful, crowded=crowded, heard=heard
        ).absence
    except SimulationFailed as error:
        return str(error)
    except Exception as error:  # the boundary between a seed and the next one
        return f"seed {seed}: {type(error).__name__}: {error}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Return 0 if all seeds are well."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.simulation")
    parser.add_argument("--seeds", default="0-200", help="one, or first-last (exclusive)")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--sqlite", action="store_true", help="real files instead of memory")
    parser.add_argument(
        "--forgetful", action="store_true", help="few reaped deletes are remembered"
    )
    parser.add_argument(
        "--crowded", action="store_true", help="servers in transit may have hardly any room"
    )
    parser.add_argument("--verbose", action="store_true", help="print the trace")
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition("-")
    seeds = range(int(first), int(last) if last else int(first) + 1)
    started = time.monotonic()
    failed = 0
    costs: defaultdict[str, Counter[str]] = defaultdict(Counter)
    run = partial(
        attempt,
        sqlite=arguments.sqlite,
        forgetful=arguments.forgetful,
        crowded=arguments.crowded,
        verbose=arguments.verbose,
    )
    with ProcessPoolExecutor(arguments.jobs) as pool:
        outcomes = map(run, seeds) if arguments.jobs == 1 else pool.map(run, seeds, chunksize=4)
        for outcome in outcomes:
            if isinstance(outcome, str):
                failed += 1
                _say(outcome)
            elif outcome is not None:
                costs[outcome.kind] += Counter(deltas=outcome.deltas, wholes=outcome.wholes)
    for kind, cost in sorted(costs.items()):
        _say(f"after {kind}: {cost['deltas']} deltas, {cost['wholes']} whole documents")
    seconds = time.monotonic() - started
    _say(f"{len(seeds)} seeds, {failed} failed, {seconds:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
