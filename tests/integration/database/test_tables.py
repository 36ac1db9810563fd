# SPDX-License-Identifier: Apache-2.0
"""Runs the tables of statements: the language's reference, chapter by chapter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dql_examples import examples, memory_database, problem_with

TABLES = Path(__file__).parent / "tables"


def sections() -> Iterator[tuple[str, str, int]]:
    """Yield (name, text, first line) of every section; each begins with an empty database."""
    for path in sorted(TABLES.glob("*.txt")):
        text = path.read_text("utf-8")
        starts = [found.start() for found in re.finditer(r"^## ", text, re.MULTILINE)]
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            title = text[start + 3 : text.index("\n", start)]
            yield f"{path.stem}: {title}", text[start:end], text.count("\n", 0, start) + 1


SECTIONS = list(sections())


@pytest.mark.parametrize(
    ("text", "line"), [each[1:] for each in SECTIONS], ids=[each[0] for each in SECTIONS]
)
def test_section(text: str, line: int) -> None:
    database = memory_database()
    found = [problem_with(each, database) for each in examples(text, line)]
    problems = [each for each in found if each is not None]
    assert not problems, "\n" + "\n".join(problems)
