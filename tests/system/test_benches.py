# SPDX-License-Identifier: Apache-2.0
"""Every benchmark starts, and those that need nothing from outside run a short round."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
#: What makes each benchmark run for about a second, and what it prints then.
SHORT = {
    "dql": (["--rounds", "1"], "INSERT above the store"),
    "dql_functions": (["lower"], "lower"),
    "logs": (["--rounds", "1"], "audit line"),
    "reconciliation": (["--quick"], "CPU of both sides"),
    "replication": (["--documents", "300"], "changes: 3 documents"),
    "store": (["--rounds", "1", "--documents", "1"], "point read / bare"),
}
#: These need wrk and PostgreSQL, or daemons and floods for half a minute and more.
STARTED_ONLY = frozenset({"floods", "http", "mesh", "mesh_floods", "soak"})


def run(*words: str) -> str:
    """Run a benchmark and return what it printed; it must not fail."""
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", sorted(SHORT))
def test_a_short_round(name: str) -> None:
    words, printed = SHORT[name]
    assert printed in run(f"bench.{name}", *words)


@pytest.mark.parametrize("name", sorted(STARTED_ONLY))
def test_it_starts(name: str) -> None:
    assert "usage" in run(f"bench.{name}", "--help")


def test_no_benchmark_is_forgotten() -> None:
    found = {
        path.stem
        for path in (ROOT / "bench").glob("*.py")
        if path.stem not in ("__main__", "report")
        and re.search(r"def main\(|run_parts\(", path.read_text())
    }
    assert found == {*SHORT, *STARTED_ONLY}
