# SPDX-License-Identifier: Apache-2.0
"""The form of the documents: lines of 100 characters, decisions under the same five headings."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
DECISIONS = sorted((TOP / "docs" / "decisions").glob("*.md"))
HEADINGS = ["Context", "Decision", "Why", "Costs", "How we would notice that it was wrong"]
#: Made from the schema, by code.
GENERATED = {"configuration.md"}
PAGES = [
    path
    for path in (*sorted(TOP.glob("*.md")), *sorted((TOP / "docs").rglob("*.md")))
    if path.name not in GENERATED
]
wrapped = runpy.run_path(str(TOP / ".ci" / "wrap.py"))["wrapped"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_prose_is_wrapped_at_100_characters(path: Path) -> None:
    """``python .ci/wrap.py FILE`` mends it; tables, code and headings may be longer."""
    text = path.read_text("utf-8")
    assert wrapped(text) == text, f"python .ci/wrap.py {path.relative_to(TOP)}"


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_decisions_have_the_same_five_headings(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    number = int(path.name[:4])
    assert text.startswith(f"# {number}. ")


def test_wrapping_breaks_prose_alone() -> None:
    long = "word " * 30
    table, code, item = f"| {long}|", f"    {long.strip()}", f"- {long.strip()} `a {long}b`"
    text = "\n".join([table, "", code, "", item, ""])
    lines = wrapped(text).splitlines()
    assert lines[:4] == [table, "", code, ""]
    assert lines[4].startswith("- word")
    assert all(line.startswith(("  word", "  `a word")) for line in lines[5:])
    assert all(len(line) <= 100 for line in lines[4:] if "`" not in line)
    assert wrapped(wrapped(text)) == wrapped(text)
