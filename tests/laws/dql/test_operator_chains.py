# SPDX-License-Identifier: Apache-2.0
"""A chain of operators is worth what its operators are worth one after another, however long."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.documents.values import Operand
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment, RowScope, compile_expression
from edge_twisted.dql.formatter import format_expression
from edge_twisted.dql.functions.context import NO_CONTEXT
from edge_twisted.dql.parser import parse_expression
from edge_twisted.dql.rewriter import simplify
from tests.support.dql_examples import answer, memory_database, rows_of

SCOPE = RowScope(("t",))
OPERATORS = [each for each in syntax.BinaryOperator if each is not syntax.BinaryOperator.IN]
leaves = st.sampled_from([None, True, False, 0, 1, 2, 0.5, "", "a", "b"]).map(syntax.Literal)
operands = leaves | st.just(syntax.MissingLiteral())


def value(node: syntax.Expression) -> Operand:
    return compile_expression(node, SCOPE)({}, Environment({}, NO_CONTEXT))


Link = tuple[syntax.BinaryOperator, syntax.Expression]


def one_by_one(first: syntax.Expression, others: list[Link]) -> Operand:
    found = value(first)
    for operator, operand in others:
        # A parameter for what there is so far makes a chain of one operator.
        node = syntax.Binary(operator, syntax.Parameter("so_far"), operand)
        arguments: dict[str, Any] = {"so_far": found}
        found = compile_expression(node, SCOPE)({}, Environment(arguments, NO_CONTEXT))
    return found


links = st.lists(st.tuples(st.sampled_from(OPERATORS), operands), min_size=2, max_size=8)
texts = st.lists(
    st.tuples(st.just(syntax.BinaryOperator.CONCATENATE), operands), min_size=2, max_size=6
)


@given(operands, links | texts)
@settings(max_examples=400)
def test_a_chain_is_its_operators_one_by_one(first: syntax.Expression, others: list[Link]) -> None:
    chain = reduce(lambda left, link: syntax.Binary(link[0], left, link[1]), others, first)
    assert repr(value(chain)) == repr(one_by_one(first, others))
    assert parse_expression(format_expression(chain)) == chain


@pytest.mark.parametrize("operator", ["+", "-", "*", "||", "XOR", "=", "<<"])
def test_a_chain_is_as_long_as_the_text(operator: str) -> None:
    count = 20_000
    right = {"||": "'a'", "XOR": "TRUE", "=": "TRUE"}.get(operator, "1")
    text = f"n {operator} " + f" {operator} ".join([right] * count)
    node = parse_expression(text)
    assert format_expression(node) == text
    assert simplify(node) == node
    compile_expression(node, SCOPE)({"n": 1}, Environment({}, NO_CONTEXT))


def test_long_chains_in_statements() -> None:
    database = memory_database()
    answer(database, "INSERT INTO t DOCUMENTS ({'_id': 1, 'n': 1, 's': 'x'})", {})
    total = "n" + " + 1" * 5_000
    joined = "s" + " || 'ab'" * 5_000
    [row] = rows_of(answer(database, f"SELECT {total} AS n, {joined} AS s FROM t", {}))
    assert row == {"n": 5_001, "s": "x" + "ab" * 5_000}
    for statement in (
        f"SELECT {total} AS k, COUNT(*) AS c FROM t GROUP BY {total} HAVING {total} > 0",
        f"SELECT DISTINCT {total} AS k FROM t ORDER BY {total}",
        f"EXPLAIN SELECT * FROM t WHERE {total} > 1 AND {joined} > ''",
        f"UPDATE t u SET n = {total} WHERE {total.replace('n', 't.n')} > 1 RETURNING *",
    ):
        assert len(rows_of(answer(database, statement, {}))) == 1


def test_the_beginning_of_a_chain_may_be_a_group_key() -> None:
    database = memory_database()
    answer(database, "INSERT INTO t DOCUMENTS ({'_id': 1, 'n': 1})", {})
    statement = "SELECT t.n + 1 + 2 - 3 AS m FROM t GROUP BY n + 1"
    assert rows_of(answer(database, statement, {})) == [{"m": 1}]
