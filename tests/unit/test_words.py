# SPDX-License-Identifier: Apache-2.0
"""One word per thing: a class name means one thing in the whole package and its test support."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import edge_twisted

PACKAGE = Path(edge_twisted.__file__).parent
SUPPORT = Path(__file__).parents[1] / "support"

_SEAM = "api/ declares what it needs of another room; the class there satisfies it"
_WIRE = "two protocols, documents and attachments, have messages of one published name"
#: Names that stand twice on purpose, and why.
ALLOWED = {
    "Access": "database/ declares what it asks of permissions; the class in security/ satisfies it",
    "BlobInfo": _SEAM,
    "BlobReader": _SEAM,
    "BlobWriter": _SEAM,
    "Database": _SEAM,
    "Gone": _WIRE,
    "Want": _WIRE,
}


def classes() -> dict[str, list[str]]:
    """Return where each public class at the top of a module is defined."""
    found: dict[str, list[str]] = {}
    for root in (PACKAGE, SUPPORT):
        for path in sorted(root.rglob("*.py")):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found.setdefault(node.name, []).append(str(path.relative_to(root.parent)))
    return found


#: Rooms in which the rules for names of functions and classes are enforced.
ROOMS = ("dql", "database", "records")
#: A name of one word that is a participle: of a class, or of a function.
PARTICIPLE = re.compile(
    r"_?[A-Za-z][a-z]*?(ed|ing)|_?(shown|found|kept|made|taken|seen|written|hidden)"
)
#: Names that look like participles and are nouns, or verbs.
NO_PARTICIPLES = {
    "Binding": "a variable of a comprehension and its source",
    "binding": "a rule of the grammar",
    "ceiling": "a function of the language",
    "grouping": "GROUP BY, with its aggregates",
    "having": "the clause HAVING",
    "mapping": "the value of a parameter that is an object",
    "missing": "the literal MISSING",
    "ordering": "an order of values",
    "damaged": "declared by the store under this name",
    "ifmissing": "a function of the language",
    "ismissing": "a function of the language",
    "nothing": "a provider of no documents",
    "reached": "declared by api/ under this name",
    "returning": "the clause RETURNING",
    "string": "a rule of the grammar",
    "filling": "the characters that a padding adds",
}


def test_classes_are_nouns_and_functions_verbs() -> None:
    """A participle says what was done to a thing, and not what the thing is or does."""
    found = [
        f"{room}: {node.name}"
        for room in ROOMS
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and PARTICIPLE.fullmatch(node.name)
        and node.name.lstrip("_") not in NO_PARTICIPLES
        and not any(ast.unparse(each) == "property" for each in node.decorator_list)
    ]
    assert found == []


def test_no_class_name_has_two_meanings() -> None:
    twice = {name: places for name, places in classes().items() if len(places) > 1}
    surprising = {name: places for name, places in twice.items() if name not in ALLOWED}
    assert not surprising, "rename one of each: the field's standard word wins"
    assert {name for name, places in twice.items() if len(places) > 2} == set()


def test_every_exception_is_one() -> None:
    found = classes()
    assert {name for name in ALLOWED if len(found.get(name, ())) < 2} == set()
