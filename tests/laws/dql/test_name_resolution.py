# SPDX-License-Identifier: Apache-2.0
"""
One field has one meaning, however its term is named: by the collection, by the alias, or not.

Statements over one collection are written in five ways, which answer the same or fail alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import DqlError
from edge_twisted.dql.formatter import format_expression
from edge_twisted.dql.name_resolution import below
from tests.laws.dql.test_rewriter import ARGUMENTS, conditions, documents
from tests.support.dql_examples import answer, memory_database, rows_of

#: The term of FROM and what stands before each path; the fields are called a, b and c.
WAYS = (("t", None), ("t", "t"), ("t u", "t"), ("t u", "u"), ("t u", None))


def written(node: syntax.Expression, term: str | None) -> str:
    return format_expression(node if term is None else below(node, term))


def outcomes(
    found: Sequence[dict[str, Value]], text: Callable[[str, str | None], str]
) -> list[object]:
    """Return what each way of writing a statement answers."""
    all_: list[object] = []
    for source, term in WAYS:
        database = memory_database()
        rows: list[Value] = [{"_id": number, **each} for number, each in enumerate(found)]
        answer(database, "INSERT INTO t DOCUMENTS (:d)", {"d": rows})
        answer(database, "CREATE INDEX i ON t (a)", {})
        statement = text(source, term)
        arguments = {name: value for name, value in ARGUMENTS.items() if f":{name}" in statement}
        try:
            result = answer(database, statement, arguments)
        except DqlError as error:
            all_.append((error.code, error.message.split(" at line ")[0]))
        else:
            all_.append((rows_of(result), list(result.mutated_ids)))
    return all_


def same(all_: Sequence[object]) -> bool:
    return all(repr(each) == repr(all_[0]) for each in all_)


many = st.lists(documents, min_size=1, max_size=4)


@given(conditions, many)
@settings(max_examples=100, deadline=None)
def test_conditions(condition: syntax.Expression, found: list[dict[str, Value]]) -> None:
    assert same(
        outcomes(
            found,
            lambda source, term: (
                f"DELETE FROM {source} WHERE {written(condition, term)} RETURNING *"
            ),
        )
    )


@given(conditions, st.permutations(range(len(WAYS))), many)
@settings(max_examples=100, deadline=None)
def test_group_keys(
    key: syntax.Expression, others: Sequence[int], found: list[dict[str, Value]]
) -> None:
    """Keys, projections, HAVING and ORDER BY may each write it in a way of its own."""
    terms = {"t": [None, "t"], "t u": [None, "t", "u"]}

    def text(source: str, term: str | None) -> str:
        chosen = [terms[source][number % len(terms[source])] for number in others]
        parts = [written(key, each) for each in (term, *chosen[:4])]
        return (
            f"SELECT {parts[1]} AS k, COUNT(*) AS n, COUNT({parts[2]}) AS m FROM {source}"
            f" GROUP BY {parts[0]} HAVING COUNT({parts[3]}) >= 0 ORDER BY {parts[4]}, COUNT(*)"
        )

    assert same(outcomes(found, text))


@given(conditions, many)
@settings(max_examples=50, deadline=None)
def test_distinct(key: syntax.Expression, found: list[dict[str, Value]]) -> None:
    assert same(
        outcomes(
            found,
            lambda source, term: (
                f"SELECT DISTINCT {written(key, None)} AS k FROM {source}"
                f" ORDER BY {written(key, term)}"
            ),
        )
    )
