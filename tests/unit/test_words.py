# SPDX-License-Identifier: Apache-2.0
"""One word per thing: a class name means one thing in the whole package and its test support."""

from __future__ import annotations

import ast
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


def test_no_class_name_has_two_meanings() -> None:
    twice = {name: places for name, places in classes().items() if len(places) > 1}
    surprising = {name: places for name, places in twice.items() if name not in ALLOWED}
    assert not surprising, "rename one of each: the field's standard word wins"
    assert {name for name, places in twice.items() if len(places) > 2} == set()


def test_every_exception_is_one() -> None:
    found = classes()
    assert {name for name in ALLOWED if len(found.get(name, ())) < 2} == set()
