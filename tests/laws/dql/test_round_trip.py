# SPDX-License-Identifier: Apache-2.0
"""What a tree says survives being written down and read again."""

from __future__ import annotations

from hypothesis import example, given, settings

from edge_twisted.dql import syntax
from edge_twisted.dql.formatter import format_expression, format_statement
from edge_twisted.dql.parser import parse, parse_expression
from tests.support.strategies_dql import expressions, statements


@given(expressions)
@settings(max_examples=300)
def test_expressions_survive(tree: syntax.Expression) -> None:
    text = format_expression(tree)
    assert parse_expression(text) == tree, text


@given(statements)
@settings(max_examples=300)
def test_statements_survive(tree: syntax.Statement) -> None:
    text = format_statement(tree)
    assert parse(text).statement == tree, text


@given(statements)
@settings(max_examples=100)
@example(parse("INSERT INTO a SELECT * RETURNING *").statement)
def test_spans_lie_within_their_parents(tree: syntax.Statement) -> None:
    parsed = parse(format_statement(tree))
    for node in parsed.statement.walk():
        start, end = node.span
        assert 0 <= start <= end <= len(parsed.source.text)
        for child in node.children():
            assert start <= child.span[0], (node, child)
            assert child.span[1] <= end, (node, child)
