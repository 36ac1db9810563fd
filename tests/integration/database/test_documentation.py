# SPDX-License-Identifier: Apache-2.0
"""Runs every example of docs/dql.md, and looks for what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge_twisted
from edge_twisted.api.errors import STATUS_OF
from edge_twisted.database import errors as database_errors
from edge_twisted.database.admission import StatementLimitReached
from edge_twisted.database.system_parameters import SYSTEM_PARAMETERS
from edge_twisted.database.virtual_collections import ALIASES
from edge_twisted.documents.json_text import to_text
from edge_twisted.dql import errors as dql_errors
from edge_twisted.dql import syntax
from edge_twisted.dql.functions.registry import FUNCTIONS
from edge_twisted.dql.parser import parse
from edge_twisted.dql.plan.directives import Directives
from edge_twisted.dql.tokens import RESERVED
from edge_twisted.errors import EdgeError
from tests.support.dql_examples import Example, examples, memory_database, problem_with

DOCS = Path(edge_twisted.__file__).parents[1] / "docs"
TEXT = (DOCS / "dql.md").read_text("utf-8")
_BLOCK = re.compile(r"^```dql\n(.*?)^```", re.MULTILINE | re.DOTALL)


def chapters() -> Iterator[tuple[str, list[Example]]]:
    """Yield the name and the examples of each chapter that has any."""
    starts = [found.start() for found in re.finditer(r"^## ", TEXT, re.MULTILINE)]
    for start, end in zip(starts, [*starts[1:], len(TEXT)], strict=True):
        found: list[Example] = []
        for block in _BLOCK.finditer(TEXT, start, end):
            found.extend(examples(block[1], TEXT.count("\n", 0, block.start(1)) + 1))
        if found:
            yield TEXT[start + 3 : TEXT.index("\n", start)], found


CHAPTERS = dict(chapters())


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_examples(chapter: str) -> None:
    database = memory_database()
    found = [problem_with(each, database) for each in CHAPTERS[chapter]]
    problems = [each for each in found if each is not None]
    assert not problems, "\n" + "\n".join(problems)


def parsed() -> Iterator[syntax.Statement]:
    for each in (each for found in CHAPTERS.values() for each in found):
        try:
            yield parse(each.statement).statement
        except dql_errors.DqlError:
            continue


def leaves(kind: type) -> Iterator[type]:
    below: list[type] = kind.__subclasses__()
    if not below:
        yield kind
    for each in below:
        yield from leaves(each)


def test_every_kind_of_statement_has_an_example() -> None:
    shown = {type(each) for each in parsed()}
    assert [kind.__name__ for kind in leaves(syntax.Statement) if kind not in shown] == []


def test_every_clause_has_an_example() -> None:
    nodes = [node for each in parsed() for node in each.walk()]
    shown = {type(node) for node in nodes}
    for kind in (
        syntax.UseIds, syntax.UseIdList, syntax.UseIndex, syntax.UseDirectives, syntax.Omission,
        syntax.Wildcard, syntax.FieldDeclaration, syntax.Apply, syntax.Join,
    ):  # fmt: skip
        assert kind in shown, kind.__name__
    kinds = {node.kind for node in nodes if isinstance(node, syntax.Join)}
    assert kinds == set(syntax.JoinKind)
    policies = {node.policy for node in nodes if isinstance(node, syntax.Insert)}
    assert policies == set(syntax.ConflictPolicy)
    counted = {node.operation for node in nodes if isinstance(node, syntax.Apply)}
    assert counted | {syntax.CounterOperation.PN_INCREMENT} == set(syntax.CounterOperation)
    assert all(f"`{each.value}`" in TEXT for each in syntax.FieldType)


def test_every_parameter_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", TEXT, re.MULTILINE))
    found = {name: rows.get(name) for name in SYSTEM_PARAMETERS}
    assert found == {
        name: to_text(parameter.default).decode() for name, parameter in SYSTEM_PARAMETERS.items()
    }


def test_every_virtual_collection_is_documented() -> None:
    names = [*memory_database().virtual.names, *ALIASES]
    assert [name for name in names if f"`system:{name}`" not in TEXT] == []


def test_every_directive_is_documented() -> None:
    names = ["index", *(each.name for each in Directives.__attrs_attrs__)]
    names.remove("indexes")
    assert [name for name in names if f"`#{name}`" not in TEXT] == []


def test_every_reserved_word_is_listed() -> None:
    table = TEXT.partition("| reserved words |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == RESERVED


def codes() -> Iterator[str]:
    for module in (dql_errors, database_errors):
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, EdgeError):
                yield each.code
    yield StatementLimitReached.code


def test_every_code_is_documented_and_published() -> None:
    table = TEXT.partition("\n## Errors\n")[2].partition("\n## ")[0]
    found = set(codes()) - {"error"}
    assert len(found) > 10
    assert [code for code in sorted(found) if f"`{code}`" not in table] == []
    listed = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE)))
    assert [code for code in listed if code not in STATUS_OF] == []


def test_every_function_is_on_the_other_page() -> None:
    page = (DOCS / "dql-functions.md").read_text("utf-8").replace("`", "")
    assert [name for name in FUNCTIONS if f"{name}(" not in page] == []
