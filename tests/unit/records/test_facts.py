# SPDX-License-Identifier: Apache-2.0
"""The table of all spaces of facts."""

from __future__ import annotations

import re
from pathlib import Path

import edge_twisted
from edge_twisted.records.facts import SPACES

ROOT = Path(edge_twisted.__file__).parent


def test_a_name_means_one_space() -> None:
    names = [space.name for space in SPACES]
    assert sorted(set(names)) == sorted(names)


def test_the_writers_are_modules_that_write_facts() -> None:
    named = {each for space in SPACES for each in space.writer.split(", ")}
    for module in named:
        text = (ROOT / f"{module}.py").read_text("utf-8")
        assert "put_fact(" in text or module == "store/epochs", module


def test_no_room_above_the_store_names_a_space_elsewhere() -> None:
    literal = re.compile(r'\b(?:put_)?facts?\(\s*"')
    for path in ROOT.rglob("*.py"):
        assert not literal.search(path.read_text("utf-8")), path
