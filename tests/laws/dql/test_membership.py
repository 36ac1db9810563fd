# SPDX-License-Identifier: Apache-2.0
"""A list that is hashed once says what its elements, compared one by one, say."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.dql.compiler import Environment, RowScope, compile_expression
from edge_twisted.dql.functions.arrays import array_contains
from edge_twisted.dql.functions.context import NO_CONTEXT
from edge_twisted.dql.logic import logical_not
from edge_twisted.dql.operators.comparison import equal
from edge_twisted.dql.operators.membership import contains_equal, member
from edge_twisted.dql.parser import parse_expression
from edge_twisted.store.prefilter import OneOf, holds

scalars: st.SearchStrategy[Value] = st.sampled_from(
    [None, True, False, 0, 1, 2, -0.0, 1.0, 0.5, 2**53, 2**53 + 1, float(2**53), "", "a", "1", b"a"]
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("kl"), inner, max_size=2)
    ),
    max_leaves=4,
)
rows = st.lists(st.fixed_dictionaries({}, optional={"n": values}), min_size=1, max_size=4)
sources = st.lists(values, max_size=6) | values


def evaluated(text: str, found: list[dict[str, Value]], source: Value) -> list[Operand]:
    """Return what an expression gives for each row, all in one execution."""
    compiled = compile_expression(parse_expression(text), RowScope(("t",)))
    env = Environment({"list": source}, NO_CONTEXT)
    return [compiled(row, env) for row in found]


def same(left: list[Operand], right: list[Operand]) -> bool:
    return repr(left) == repr(right)


@given(rows, sources)
@example([{"n": [1, True]}, {"n": [1, 1]}], [[1.0, 1]])
@settings(max_examples=400)
def test_in_and_its_relatives(found: list[dict[str, Value]], source: Value) -> None:
    one_by_one = [member(row.get("n", MISSING), source) for row in found]
    assert same(evaluated("n IN :list", found, source), one_by_one)
    assert same(evaluated("n NOT IN :list", found, source), [*map(logical_not, one_by_one)])
    contained = [array_contains(source, row.get("n", MISSING)) for row in found]
    assert same(evaluated("array_contains(:list, n)", found, source), contained)
    # With a path in it, the list is compared anew for each row.
    again = evaluated("n IN coalesce(nothing, :list)", found, source)
    if source is not None:
        assert same(again, one_by_one)


def any_equal(source: Value, wanted: Operand) -> Operand:
    if not isinstance(source, list | dict):
        return None
    elements = list(source.values()) if isinstance(source, dict) else source
    return any(equal(each, wanted) is True for each in elements)


@given(rows, sources)
@settings(max_examples=300)
def test_any(found: list[dict[str, Value]], source: Value) -> None:
    expected = [any_equal(source, row.get("n", MISSING)) for row in found]
    for text in (
        "ANY v IN :list SATISFIES v = n END",
        "ANY i:v IN :list SATISFIES n = v END",
        # Not of the form that is hashed.
        "ANY v IN :list SATISFIES v = n AND TRUE END",
    ):
        assert same(evaluated(text, found, source), expected), text


@given(st.lists(scalars, max_size=4), values)
def test_one_of(operands: list[Value], value: Value) -> None:
    chosen = tuple(each for each in operands if isinstance(each, bool | int | float | str))
    expected = any(equal(value, each) is True for each in chosen)
    assert holds(OneOf(("n",), chosen), {"n": value}) == expected


@given(st.lists(values, max_size=4), values, st.integers(0, 1000))
def test_long_lists_are_looked_at_in_pieces(few: list[Value], value: Value, before: int) -> None:
    filler: list[Value] = ["filler"] * before
    assert contains_equal([*filler, *few], value) == contains_equal(few, value)
