# SPDX-License-Identifier: Apache-2.0
"""
All figures of ``docs/performance.md``: ``python -m bench [store|dql|http|mesh ...] [--save]``.

Each bench measures its own yardstick in the same run; run it on a machine that does nothing else.
``python -m bench.soak`` takes an hour, and is run by itself.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from bench import table
from bench.plot import draw

BENCHES = ("store", "dql", "http", "mesh", "mesh_floods", "reconciliation", "floods")


def main() -> int:
    """Run the benches one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args()
    unknown = set(options.benches) - set(BENCHES)
    if unknown:
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    status = 0
    for name in options.benches or BENCHES:
        words = [sys.executable, "-m", f"bench.{name}", *(["--save"] if options.save else [])]
        status |= subprocess.run(words, check=False).returncode
    if options.save:
        print(f"drawn: {draw().name}")
        table.write()
    return status


if __name__ == "__main__":
    sys.exit(main())
