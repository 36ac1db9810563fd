# SPDX-License-Identifier: Apache-2.0
"""
What the store and an index keep, against the evaluator, which has the last word.

Never too little; and exactly what the condition wants wherever exactness is claimed.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.database.prefilters import translate
from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment, RowScope, compile_expression
from edge_twisted.dql.errors import EvaluationError
from edge_twisted.dql.plan.access_choice import TermRequest, choose
from edge_twisted.dql.plan.catalog import Index, KeyPart
from edge_twisted.dql.plan.directives import Directives
from edge_twisted.dql.plan.nodes import IndexScan, UnionScan
from edge_twisted.dql.plan.outline import outline
from edge_twisted.dql.plan.query import field_of_term
from edge_twisted.store.keys import entry
from edge_twisted.store.prefilter import holds
from edge_twisted.store.rows import IndexDefinition, IndexKey

TERM = syntax.Term(syntax.CollectionRef(None, "c"))
FIELD_OF = field_of_term("c")
SCOPE = RowScope(("c",))
NAMES = ("a", "b")

scalars: st.SearchStrategy[Value] = st.sampled_from(
    [
        None,
        True,
        False,
        -1,
        0,
        1,
        2,
        1.0,
        0.5,
        2**53,
        2**53 + 1,
        "",
        "a",
        "ab",
        "b",
        "é",
        "\U0010ffff",
    ]
)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.just("x"), scalars)
documents = st.fixed_dictionaries({"_id": st.just(1)}, optional={"a": values, "b": values})

paths = st.sampled_from([syntax.Path((name,)) for name in NAMES])
arguments: dict[str, Value] = {
    "p0": 1, "p1": "a", "p2": [1, "a"], "p3": None, "p4": {"x": 1}, "p5": [2, [1]],
}  # fmt: skip


def literal(value: Value) -> syntax.Expression:
    assert value is None or isinstance(value, bool | int | float | str)
    return syntax.Literal(value)


constants: st.SearchStrategy[syntax.Expression] = scalars.map(literal) | st.sampled_from(
    [syntax.Parameter(name) for name in arguments]
)
comparing = st.sampled_from(
    [
        syntax.BinaryOperator.EQUAL,
        syntax.BinaryOperator.NOT_EQUAL,
        syntax.BinaryOperator.LESS,
        syntax.BinaryOperator.LESS_OR_EQUAL,
        syntax.BinaryOperator.GREATER,
        syntax.BinaryOperator.GREATER_OR_EQUAL,
    ]
)
simple: st.SearchStrategy[syntax.Expression] = st.one_of(
    st.builds(syntax.Binary, comparing, paths, constants),
    st.builds(syntax.Binary, comparing, constants, paths),
    st.builds(
        syntax.Binary,
        st.just(syntax.BinaryOperator.IN),
        paths,
        st.builds(syntax.ArrayLiteral, st.lists(constants, max_size=3).map(tuple))
        | st.just(syntax.Parameter("p2")),
    ),
    st.builds(syntax.Between, paths, constants, constants),
    st.builds(
        syntax.Like,
        st.just(syntax.PatternKind.LIKE),
        paths,
        st.sampled_from(["a%", "%", "ab", "a_", "", "é%", "\U0010ffff%"]).map(syntax.Literal),
    ),
    st.builds(syntax.Is, paths, st.sampled_from(syntax.Absence)),
)
negated = simple | st.builds(syntax.Unary, st.just(syntax.UnaryOperator.NOT), simple)
conditions: st.SearchStrategy[syntax.Expression] = st.recursive(
    negated,
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3).map(lambda each: syntax.And(tuple(each)))
        | st.lists(inner, min_size=2, max_size=3).map(lambda each: syntax.Or(tuple(each)))
    ),
    max_leaves=5,
)
directions = st.booleans()


class Context:
    now_ms = 0
    app_id = request_id = start_time = ""


def evaluate(node: syntax.Expression) -> Operand:
    return compile_expression(node, RowScope(()))(None, Environment(arguments, Context()))


def wants(condition: syntax.Expression, document: dict[str, Value]) -> bool:
    test = compile_expression(condition, SCOPE)
    return test(document, Environment(arguments, Context())) is True


@settings(max_examples=600, deadline=None)
@given(conditions, st.lists(documents, min_size=1, max_size=6))
def test_the_prefilter_keeps_what_the_condition_wants(
    condition: syntax.Expression, found: list[dict[str, Value]]
) -> None:
    translation = translate(outline(condition, FIELD_OF), evaluate)
    for document in found:
        kept = translation.prefilter is None or holds(translation.prefilter, document)
        wanted = wants(condition, document)
        assert kept or not wanted
        if translation.exact:
            assert kept == wanted


@settings(max_examples=600, deadline=None)
@given(
    conditions,
    st.lists(documents, min_size=1, max_size=6),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True),
    st.lists(directions, min_size=2, max_size=2),
)
def test_an_index_finds_what_the_condition_wants(
    condition: syntax.Expression,
    found: list[dict[str, Value]],
    names: list[str],
    descending: list[bool],
) -> None:
    index = Index(
        name="i",
        collection="c",
        keys=tuple(KeyPart((n,), d) for n, d in zip(names, descending, strict=False)),
    )
    request = TermRequest(term=TERM, field_of=FIELD_OF, where=condition)
    choice = choose(request, [index], Directives())
    access = choice.access
    scans = access.children if isinstance(access, UnionScan) else (access,)
    left = translate(outline(choice.residual, FIELD_OF), evaluate)
    for document in found:
        wanted = wants(condition, document)
        inside = False
        for scan in scans:
            if not isinstance(scan, IndexScan):
                return
            inside = inside or finds(scan, index, document)
        assert inside or not wanted
        if inside and choice.residual is None:
            assert wanted
        if inside and choice.residual is not None and isinstance(access, IndexScan):
            assert wants(choice.residual, document) == wanted
            kept = left.prefilter is None or holds(left.prefilter, document)
            assert kept == wanted if left.exact else kept or not wanted


def finds(scan: IndexScan, index: Index, document: dict[str, Value]) -> bool:
    definition = IndexDefinition(
        collection="c",
        name="i",
        keys=tuple(
            IndexKey(path=key.path, direction="desc" if key.descending else "asc")
            for key in index.keys
        ),
    )
    key = entry(definition, document)
    assert key is not None
    intervals = scan.ranges.resolve(evaluate)
    assert list(intervals) == sorted(intervals, key=lambda each: each[0])
    return any(low <= key and (high is None or key < high) for low, high in intervals)


def test_errors_of_patterns_are_errors_either_way() -> None:
    bad = syntax.Like(syntax.PatternKind.SIMILAR_TO, syntax.Path(("a",)), syntax.Literal("("))
    try:
        wants(bad, {"_id": 1, "a": "x"})
    except EvaluationError:
        assert translate(outline(bad, FIELD_OF), evaluate).prefilter is None
    else:
        raise AssertionError("the pattern was taken")
    assert evaluate(syntax.MissingLiteral()) is MISSING
