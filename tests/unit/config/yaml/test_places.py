# SPDX-License-Identifier: Apache-2.0
"""Where a place inside a text stands in the file, however the text is written."""

from __future__ import annotations

import pytest

from edge_twisted.config.problems import FilePosition
from edge_twisted.config.reporter import Reporter
from edge_twisted.config.yaml.compose import compose
from edge_twisted.config.yaml.nodes import Scalar
from edge_twisted.config.yaml.places import locate
from edge_twisted.config.yaml.text import lines_of


@pytest.mark.parametrize(
    ("text", "line", "column", "expected"),
    [
        ("q: SELECT x", 1, 8, FilePosition(1, 11)),
        ("q: 'SELECT x'", 1, 8, FilePosition(1, 12)),
        ('q: "SELECT x"  # why', 1, 8, FilePosition(1, 12)),
        ("q: 'it''s'", 1, 5, None),  # the file has a quote more than the text
        ('q: "a\\tb"', 1, 3, None),
        ("q: SELECT\n  x", 1, 8, None),  # folded
        ("q: |\n  SELECT *\n    FROM x\n", 2, 3, FilePosition(3, 5)),
        ("q: |\n  SELECT *\n    FROM x\n", 1, 1, FilePosition(2, 3)),
        ("q: |-\n  SELECT\n\n  x\n", 3, 1, FilePosition(4, 3)),
        ("q: |\n  SELECT\n", 9, 1, None),
        ("q: >\n  SELECT\n  x\n", 1, 8, None),
        ("q: 1", 1, 1, None),
    ],
)
def test_inside(text: str, line: int, column: int, expected: FilePosition | None) -> None:
    document = compose(text, Reporter("f"))
    assert document is not None
    scalar = document.node(("q",))
    assert isinstance(scalar, Scalar)
    assert locate(scalar, lines_of(text), line, column) == expected
