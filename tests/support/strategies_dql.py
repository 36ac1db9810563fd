# SPDX-License-Identifier: Apache-2.0
"""
Hypothesis strategies for syntax trees of DQL: everything that the grammar can say.

Trees are as the parser builds them, so that ``parse(format(tree)) == tree`` must hold; whether they
mean anything is another matter.
"""

from __future__ import annotations

from typing import TypeVar

import orjson
from hypothesis import strategies as st

from edge_twisted.dql import syntax

T = TypeVar("T")

_WORDS = ["a", "b", "c", "status", "_id", "count", "value", "date", "collection", "list", "default"]
_KEYWORDS = ["select", "all", "order", "FROM", "missing", "end", "any", "set", "limit", "xor"]

#: Text that a statement can hold: anything but halves of surrogate pairs.
texts = st.text(st.characters(codec="utf-8"), max_size=8)

names = st.one_of(st.sampled_from(_WORDS), st.sampled_from(_KEYWORDS), texts)
full_names = names.filter(bool)
parameter_names = st.sampled_from(["p", "q", "from", "limit", "_1"])

integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
literals = st.builds(
    syntax.Literal, st.none() | st.booleans() | integers | floats | texts | st.integers(0, 9)
)
paths = st.builds(syntax.Path, st.lists(names, min_size=1, max_size=3).map(tuple))
parameters = st.builds(syntax.Parameter, parameter_names)
leaves = st.one_of(paths, literals, parameters, st.just(syntax.MissingLiteral()))


def _tuples(
    elements: st.SearchStrategy[T], least: int = 0, most: int = 3
) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(elements, min_size=least, max_size=most).map(tuple)


def _optional(elements: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | elements


def _chain(
    kind: type[syntax.And] | type[syntax.Or], inner: st.SearchStrategy[syntax.Expression]
) -> st.SearchStrategy[syntax.Expression]:
    """Conjunctions or disjunctions, which never hold one of their own kind."""
    operands = inner.filter(lambda node: not isinstance(node, kind))
    return st.builds(kind, _tuples(operands, least=2))


def _calls(inner: st.SearchStrategy[syntax.Expression]) -> st.SearchStrategy[syntax.Expression]:
    function = st.one_of(full_names, st.sampled_from(["count", "trim", "cast", "position"])).map(
        str.lower
    )
    return st.one_of(
        st.builds(syntax.Call, function, _tuples(inner)),
        st.builds(syntax.Call, function, _tuples(inner, least=1), st.just(True)),
        st.builds(syntax.Call, function, st.just(()), st.booleans(), st.just(True)),
    )


def _ranges(inner: st.SearchStrategy[syntax.Expression]) -> st.SearchStrategy[syntax.Expression]:
    bindings = st.builds(syntax.Binding, _optional(names), names, inner, st.booleans())
    return st.one_of(
        st.builds(syntax.QuantifiedExpression, st.sampled_from(syntax.Quantifier), bindings, inner),
        st.builds(syntax.ArrayComprehension, inner, bindings, _optional(inner)),
        st.builds(syntax.ObjectComprehension, inner, inner, bindings, _optional(inner)),
    )


_OPERATORS = [each for each in syntax.BinaryOperator if each is not syntax.BinaryOperator.IN]


def _compound(inner: st.SearchStrategy[syntax.Expression]) -> st.SearchStrategy[syntax.Expression]:
    arrays = st.builds(syntax.ArrayLiteral, _tuples(inner))
    pairs = st.builds(
        syntax.ObjectPair, literals.filter(lambda k: type(k.value) is str) | inner, inner
    )
    branches = st.builds(syntax.When, inner, inner)
    return st.one_of(
        st.builds(syntax.Unary, st.sampled_from(syntax.UnaryOperator), inner),
        st.builds(syntax.Binary, st.sampled_from(_OPERATORS), inner, inner),
        # What stands in parentheses after IN is a list, so only what needs none can be an array.
        st.builds(syntax.Binary, st.just(syntax.BinaryOperator.IN), inner, leaves | arrays),
        _chain(syntax.And, inner),
        _chain(syntax.Or, inner),
        st.builds(syntax.Between, inner, inner, inner),
        st.builds(syntax.Like, st.sampled_from(syntax.PatternKind), inner, inner, _optional(inner)),
        st.builds(syntax.Is, inner, st.sampled_from(syntax.Absence)),
        st.builds(syntax.Case, _optional(inner), _tuples(branches, least=1), _optional(inner)),
        arrays,
        st.builds(syntax.ObjectLiteral, _tuples(pairs)),
        st.builds(syntax.Cast, inner, texts.map(str.lower)),
        _calls(inner),
        _ranges(inner),
    )


#: Any expression.
expressions: st.SearchStrategy[syntax.Expression] = st.recursive(leaves, _compound, max_leaves=8)

_json = st.dictionaries(texts, st.none() | st.booleans() | st.integers(0, 9) | texts, max_size=2)
_directives = _json.map(lambda value: orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())
_use_directives = st.builds(syntax.UseDirectives, _directives)


def _declarations(
    inner: st.SearchStrategy[syntax.FieldDeclaration],
) -> st.SearchStrategy[syntax.FieldDeclaration]:
    return st.builds(
        syntax.FieldDeclaration, paths, st.just(syntax.FieldType.MAP), _tuples(inner, least=1)
    )


declarations = st.recursive(
    st.builds(syntax.FieldDeclaration, paths, st.sampled_from(syntax.FieldType)),
    _declarations,
    max_leaves=4,
)
collections = st.builds(
    syntax.CollectionRef, _optional(full_names), full_names, _tuples(declarations)
)
uses = st.one_of(
    st.builds(syntax.UseIds, _tuples(expressions, least=1)),
    st.builds(syntax.UseIdList, expressions),
    st.builds(syntax.UseIndex, texts),
    _use_directives,
)
terms = st.builds(syntax.Term, collections, _optional(names), _tuples(uses, most=2))
joins = st.builds(syntax.Join, st.sampled_from(syntax.JoinKind), terms, expressions)
projections = st.one_of(
    st.builds(syntax.Wildcard, _optional(names)),
    st.builds(syntax.Omission, paths),
    st.builds(syntax.ResultExpression, expressions, _optional(names)),
)
_bounds = parameters | st.builds(syntax.Literal, st.integers(0, 2**63 - 1))
selections = st.builds(
    syntax.Selection,
    _optional(expressions),
    _tuples(st.builds(syntax.SortKey, expressions, st.booleans())),
    _optional(_bounds),
    _optional(_bounds),
)
selects = st.builds(
    syntax.Select,
    distinct=st.booleans(),
    projections=_tuples(projections, least=1),
    source=st.none(),
    group_by=_tuples(expressions),
    having=_optional(expressions),
    selection=selections,
    directives=_tuples(_use_directives, most=2),
) | st.builds(
    syntax.Select,
    distinct=st.booleans(),
    projections=_tuples(projections, least=1),
    source=terms,
    joins=_tuples(joins, most=2),
    group_by=_tuples(expressions),
    having=_optional(expressions),
    selection=selections,
    directives=_tuples(_use_directives, most=2),
)
_documents = st.builds(syntax.DocumentsClause, _tuples(expressions, least=1))
_returning = _tuples(projections)
inserts = st.builds(
    syntax.Insert,
    collection=collections,
    documents=_documents | selects,
    policy=st.sampled_from(syntax.ConflictPolicy),
    returning=_returning,
) | st.builds(
    syntax.Insert,
    collection=collections,
    documents=_documents,
    initial=st.just(True),
    returning=_returning,
)
_counted = st.sampled_from(syntax.CounterOperation)
applies = st.builds(syntax.Apply, paths, _counted, expressions) | st.builds(
    syntax.Apply, paths, st.just(syntax.CounterOperation.RESTART), st.none()
)
updates = st.builds(
    syntax.Update,
    term=terms,
    applies=_tuples(applies),
    assignments=_tuples(st.builds(syntax.Assignment, paths, _optional(expressions))),
    removals=_tuples(paths),
    selection=selections,
    returning=_returning,
    directives=_tuples(_use_directives, most=2),
).filter(lambda node: bool(node.applies or node.assignments or node.removals))


def _removals(
    kind: type[syntax.Delete] | type[syntax.Evict],
) -> st.SearchStrategy[syntax.Statement]:
    return st.builds(
        kind,
        term=terms,
        selection=selections,
        returning=_returning,
        directives=_tuples(_use_directives, most=2),
    )


_planned: st.SearchStrategy[syntax.Statement] = st.one_of(
    selects, inserts, updates, _removals(syntax.Delete), _removals(syntax.Evict)
)
_bare_collections = st.builds(syntax.CollectionRef, _optional(full_names), full_names)
_system_names = full_names.map(str.lower)
_system: st.SearchStrategy[syntax.Statement] = st.one_of(
    st.builds(
        syntax.CreateIndex,
        name=full_names,
        collection=_bare_collections,
        keys=_tuples(st.builds(syntax.IndexKeyClause, paths, st.booleans()), least=1),
        if_not_exists=st.booleans(),
    ),
    st.builds(
        syntax.DropIndex, name=full_names, collection=_bare_collections, if_exists=st.booleans()
    ),
    st.builds(syntax.SetParameter, _system_names, _optional(expressions)),
    st.builds(syntax.ResetParameter, _optional(_system_names)),
    st.builds(syntax.ShowParameter, _system_names),
    st.builds(syntax.ShowAll),
    st.builds(syntax.ShowAll, texts, _optional(texts), st.booleans()),
)

#: Any statement.
statements: st.SearchStrategy[syntax.Statement] = st.one_of(
    _planned,
    _system,
    st.builds(syntax.Explain, _planned),
    st.builds(syntax.Profile, _planned),
    st.builds(syntax.Advise, _planned, st.booleans()),
)
