# SPDX-License-Identifier: Apache-2.0
"""The house's rule of sizes and names: small modules, small functions, no empty words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

import edge_twisted

ROOT = Path(edge_twisted.__file__).parent
MOST_LINES_OF_A_MODULE = 500
#: The rule is 40; what is a table of contents, or a loop that calls would slow down, may be longer.
MOST_LINES_OF_A_FUNCTION = 60
EMPTY_WORDS = re.compile(r"Manager|Helper|Processor|Handler$|_utils?$|^utils?$|^common$")


@cache
def modules() -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in ROOT.rglob("*.py")
    }


def definitions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    for name, text in modules().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield name, node


def test_modules_are_small() -> None:
    lines = {name: text.count("\n") for name, text in modules().items()}
    assert {name: n for name, n in lines.items() if n > MOST_LINES_OF_A_MODULE} == {}
    assert median(lines.values()) <= 150


def test_functions_are_small() -> None:
    lines = {
        f"{name}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for name, node in definitions()
        if not isinstance(node, ast.ClassDef)
    }
    assert {name: n for name, n in lines.items() if n > MOST_LINES_OF_A_FUNCTION} == {}
    over_40 = sum(n > 40 for n in lines.values())
    assert over_40 <= len(lines) // 500


def test_names_say_something() -> None:
    named = [(name, node.name) for name, node in definitions()]
    named += [(name, Path(name).stem) for name in modules()]
    assert [each for each in named if EMPTY_WORDS.search(each[1])] == []
