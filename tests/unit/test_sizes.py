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
MOST_LINES_OF_A_FUNCTION = 40
MOST_PARAMETERS = 6
#: Functions that may be longer or have more parameters; nothing joins this list without a reason.
TOO_LARGE = {
    "api/metrics.py __init__": "declares every metric",
    "api/wire/context.py __init__": "a record of a connection",
    "mesh/session/session.py __init__": "everything that a session consists of",
    "store/interface.py put": "all columns of a row, without an object for each write",
    "store/memory/unit.py put": "all columns of a row",
    "store/sqlite/store.py __init__": "everything that a store is handed in",
    "store/sqlite/unit.py put": "all columns of a row",
}
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


def _is_large(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    parameters = [each for each in given if each.arg not in {"self", "cls"}]
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    return lines > MOST_LINES_OF_A_FUNCTION or len(parameters) > MOST_PARAMETERS


def test_functions_are_small() -> None:
    large = {
        f"{name} {node.name}"
        for name, node in definitions()
        if not isinstance(node, ast.ClassDef) and _is_large(node)
    }
    assert large - TOO_LARGE.keys() == set(), "divide it, or hand in an object"
    assert TOO_LARGE.keys() - large == set(), "take it off the list"


def test_names_say_something() -> None:
    named = [(name, node.name) for name, node in definitions()]
    named += [(name, Path(name).stem) for name in modules()]
    assert [each for each in named if EMPTY_WORDS.search(each[1])] == []
