# SPDX-License-Identifier: Apache-2.0
"""Asks many statements, on several processes, and says which scenes told what they should not."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from twisted.internet.defer import Deferred

from tests.support.dql_examples import outcome
from tests.support.noninterference.comparison import STATEMENTS, interference


def attempt(seed: int) -> tuple[int, str | None]:
    """Run a seed; return how many statements it asked, and what is wrong, if anything is."""
    try:
        count, difference = outcome(Deferred.fromCoroutine(interference(seed)))
    except Exception as error:  # the boundary between a seed and the next one
        return 0, f"seed {seed}: {type(error).__name__}: {error}"
    return count, None if difference is None else str(difference)


def main() -> int:
    """Return 0 if nothing was told."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.noninterference")
    parser.add_argument("--statements", type=int, default=20_000, help="at least so many")
    parser.add_argument("--seed", type=int, default=0, help="the first scene")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    scenes = -(-arguments.statements // STATEMENTS)
    seeds = range(arguments.seed, arguments.seed + scenes)
    started = time.monotonic()
    asked = failed = 0
    with ProcessPoolExecutor(arguments.jobs) as pool:
        outcomes = map(attempt, seeds) if arguments.jobs == 1 else pool.map(attempt, seeds)
        for count, wrong in outcomes:
            asked += count
            if wrong is not None:
                failed += 1
                sys.stdout.write(f"{wrong}\n")
                sys.stdout.flush()
    seconds = time.monotonic() - started
    sys.stdout.write(f"{asked} statements, {failed} of {scenes} scenes told, {seconds:.0f} s\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
