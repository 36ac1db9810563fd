# SPDX-License-Identifier: Apache-2.0
"""
Which clock is for what: dates come from one module, and nothing that lasts is measured with dates.

Whoever sets the machine's clock must not stop a time-out, or fire it; so a new reading of the wall
clock, and a new difference of two dates, has to be named here with its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge_twisted

ROOT = Path(edge_twisted.__file__).parent

#: The one module that reads the wall clock.
WALL_CLOCK = "services/wall_clock.py"
#: What reads it in the standard library and in Twisted, by the full name.
READS_WALL_CLOCK = {
    "time.time", "time.time_ns", "time.ctime", "time.localtime", "time.gmtime", "time.asctime",
    "time.CLOCK_REALTIME", "datetime.datetime.now", "datetime.datetime.utcnow",
    "datetime.datetime.today", "datetime.date.today", "twisted.python.runtime.seconds",
    "twisted.python.runtime.platform.seconds",
}  # fmt: skip
#: Where an age is the difference of two dates, because one of them comes from another life of the
#: process or from another machine: module and function -> why a step of the clock does no harm.
AGES = {
    ("replication/epoch_renewal.py", "_count_renewal"): (
        "epochs and their count outlive restarts; dates ahead do not count"
    ),
    (
        "mesh/session/handshake.py",
        "check_wall_clock",
    ): "compares the clocks of two servers: a wrong one is named",
    ("documents/clock.py", "see"): "compares a remote stamp with our clock: a wrong one is named",
    ("documents/clock.py", "ahead_ms"): "compares a stamp with our clock: a wrong one is named",
    ("store/housekeeping.py", "reap"): "tombstones outlive restarts; one that goes early is still "
    "known as a delete (decision 9)",
    ("store/blobs/ledger.py", "_judge"): "idle blobs outlive restarts; dates ahead are noted anew",
    ("store/blobs/folder.py", "tidy"): "files outlive restarts; a download begins anew",
    ("store/scrubber.py", "age_seconds"): "passes outlive restarts; a date ahead is one of now",
    ("replication/transit_relay.py", "load"): "neighbours are remembered over restarts, for a week;"
    " who is forgotten early subscribes anew when it comes",
    ("replication/transit_relay.py", "_forget"): "as `load`",
    ("cli/status.py", "_progress"): "shows a person when the last news came",
}
#: Names that hold dates of now.
DATES = {"now_ms", "now_utc", "now_seconds", "started_ms", "boot_ms"}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def full_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield what a module names of what it imports, as the importing module spells it, resolved."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            bound |= {each.asname or each.name: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                bound[each.asname or each.name] = f"{node.module}.{each.name}"
                yield f"{node.module}.{each.name}", node.lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            yield f"{bound.get(first, first)}.{rest}", node.lineno


def subtractions(tree: ast.AST, function: str = "") -> Iterator[tuple[str, ast.BinOp]]:
    """Yield each ``a - b`` with the name of the function around it."""
    for child in ast.iter_child_nodes(tree):
        inner = (
            child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        )
        if isinstance(child, ast.BinOp) and isinstance(child.op, ast.Sub):
            yield inner, child
        yield from subtractions(child, inner)


def is_date(node: ast.expr) -> bool:
    node = node.func if isinstance(node, ast.Call) else node
    word = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return word.lstrip("_") in DATES


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_one_module_reads_the_wall_clock(path: Path) -> None:
    found = [
        f"{name_of(path)}:{line}: {name}"
        for name, line in full_names(ast.parse(path.read_text("utf-8")))
        if name in READS_WALL_CLOCK
    ]
    assert name_of(path) == WALL_CLOCK or not found, "take the date from services/wall_clock.py"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_nothing_that_lasts_is_measured_with_dates(path: Path) -> None:
    for function, node in subtractions(ast.parse(path.read_text("utf-8"))):
        if is_date(node.left) or is_date(node.right):
            where = f"{name_of(path)}:{node.lineno}: {ast.unparse(node)}"
            assert (name_of(path), function) in AGES, f"{where}: measure with a monotonic clock"


def test_what_is_allowed_is_there() -> None:
    for module, function in AGES:
        assert f"def {function}(" in (ROOT / module).read_text("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.time()",
        "import time as t\nt.time_ns()",
        "from time import time",
        "from datetime import datetime\ndatetime.now(UTC)",
        "import datetime\ndatetime.datetime.utcnow()",
        "import time\ntime.clock_gettime(time.CLOCK_REALTIME)",
    ],
)
def test_each_way_to_read_it_is_seen(text: str) -> None:
    assert READS_WALL_CLOCK & {name for name, _ in full_names(ast.parse(text))}
