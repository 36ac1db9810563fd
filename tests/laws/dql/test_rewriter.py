# SPDX-License-Identifier: Apache-2.0
"""A simplify condition keeps the rows that the original keeps: each rule, and all together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment, RowScope, compile_expression
from edge_twisted.dql.errors import DqlError
from edge_twisted.dql.rewriter import RULES, simplify
from edge_twisted.dql.rewriter.polarity import Rule
from edge_twisted.dql.syntax import BinaryOperator as Operator

scalars: st.SearchStrategy[Value] = st.sampled_from([None, True, False, 0, 1, 1.0, 2, "", "a"])
values = scalars | st.lists(scalars, max_size=2)
documents = st.fixed_dictionaries({}, optional={"a": values, "b": values, "c": values})
ARGUMENTS: dict[str, Value] = {"p": 1, "q": "a", "r": [1, "a"], "s": None}

literals: st.SearchStrategy[syntax.Expression] = scalars.map(syntax.Literal) | st.just(  # type: ignore[arg-type]
    syntax.MissingLiteral()
)
paths = st.sampled_from(["a", "b", "c"]).map(lambda name: syntax.Path((name,)))
operands = literals | paths | st.sampled_from([*ARGUMENTS]).map(syntax.Parameter)
comparing = st.sampled_from(
    [
        Operator.EQUAL,
        Operator.NOT_EQUAL,
        Operator.LESS,
        Operator.LESS_OR_EQUAL,
        Operator.GREATER,
        Operator.GREATER_OR_EQUAL,
    ]
)
arrays = st.builds(syntax.ArrayLiteral, st.lists(operands, max_size=3).map(tuple))
simple: st.SearchStrategy[syntax.Expression] = st.one_of(
    st.builds(syntax.Binary, comparing, operands, operands),
    st.builds(syntax.Binary, st.just(Operator.EQUAL), paths, literals),
    st.builds(syntax.Binary, st.just(Operator.IN), operands, arrays | operands),
    st.builds(syntax.Between, operands, operands, operands),
    st.builds(syntax.Is, operands, st.sampled_from(syntax.Absence)),
    st.builds(syntax.Like, st.just(syntax.PatternKind.LIKE), operands, literals),
    operands,
)


def _joined(inner: st.SearchStrategy[syntax.Expression]) -> st.SearchStrategy[syntax.Expression]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(syntax.And, several),
        st.builds(syntax.Or, several),
        st.builds(syntax.Unary, st.just(syntax.UnaryOperator.NOT), inner),
        st.builds(syntax.Binary, st.just(Operator.XOR), inner, inner),
        st.builds(syntax.Is, inner, st.sampled_from(syntax.Absence)),
    )


conditions = st.recursive(simple, _joined, max_leaves=6)


class Context:
    now_ms = 0
    app_id = request_id = start_time = ""


def keeps(condition: syntax.Expression | None, document: dict[str, Value]) -> bool:
    if condition is None:
        return True
    test = compile_expression(condition, RowScope(("t",)))
    return test(document, Environment(ARGUMENTS, Context())) is True


@pytest.mark.parametrize(
    "rules", [*[(rule,) for rule in RULES], RULES], ids=[*[r.__name__ for r in RULES], "all"]
)
def test_the_same_rows_are_kept(rules: tuple[Rule, ...]) -> None:
    @settings(max_examples=150 if len(rules) == 1 else 600, deadline=None)
    @given(conditions, st.lists(documents, min_size=1, max_size=5))
    def test(condition: syntax.Expression, found: list[dict[str, Value]]) -> None:
        made = simplify(condition, rules)
        for document in found:
            try:
                expected = keeps(condition, document)
            except DqlError:
                continue  # of what fails nothing is promised but that it does not get worse
            assert keeps(made, document) == expected

    test()
