# SPDX-License-Identifier: Apache-2.0
"""
The plan of a SELECT: compiled, frozen, and valid for any arguments.

`plan_query` finds every error in the statement itself, before a row is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from attrs import evolve, field, frozen

from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import CompiledExpression, NameScope, RowScope, compile_expression
from edge_twisted.dql.errors import SemanticError
from edge_twisted.dql.formatter import format_expression
from edge_twisted.dql.name_resolution import qualify, resolve_names
from edge_twisted.dql.plan.access_choice import Choice, Fidelity, TermRequest, choose
from edge_twisted.dql.plan.catalog import Catalog, Index
from edge_twisted.dql.plan.conditions import FieldOf, FieldPath
from edge_twisted.dql.plan.covering import Covers, count_name, cover, covers
from edge_twisted.dql.plan.directives import Directives, directives_of
from edge_twisted.dql.plan.grouping import GroupPlan, plan_grouping
from edge_twisted.dql.plan.joins import JoinPlan, plan_joins
from edge_twisted.dql.plan.nodes import (
    CollectionScan,
    CountScan,
    Description,
    IdScan,
    IndexScan,
    NoSource,
    sequence,
)
from edge_twisted.dql.plan.outline import Outline, outline
from edge_twisted.dql.plan.projection import Projection, aliases, compile_projection, fields_of
from edge_twisted.dql.rewriter import simplify


@frozen(kw_only=True)
class SortColumn:
    """One key of ORDER BY, compiled."""

    value: CompiledExpression
    descending: bool
    node: syntax.SortKey


@frozen
class Guard:
    """
    A test that a row must pass before any part of the statement is evaluated on it.

    The statement's condition contains it too, for the choice of an access path; `asked` is the
    condition without it.
    """

    test: CompiledExpression
    asked: syntax.Expression | None


@frozen(kw_only=True, eq=False)
class QueryPlan:
    """The plan of a SELECT, shared by all its executions on any thread."""

    statement: syntax.Select
    terms: tuple[str, ...]
    #: None if there is no FROM, and so one row.
    choice: Choice | None
    field_of: FieldOf
    #: The whole condition; `asked` outlines what the access leaves, for the store to test.
    where: CompiledExpression | None
    asked: Outline
    joins: tuple[JoinPlan, ...]
    grouping: GroupPlan | None
    having: CompiledExpression | None
    projection: Projection
    #: The sort to be done: empty if there is no ORDER BY, or if the access keeps its order.
    order: tuple[SortColumn, ...]
    limit: CompiledExpression | None
    offset: CompiledExpression | None
    fidelity: Fidelity = Fidelity.WHOLE
    #: What the index provides, if the statement needs no more.
    covers: Covers | None = None
    #: Whether the rows are documents of one collection, as they come.
    is_plain: bool = field(init=False)
    #: Name and path of each output, if a store can extract all of them from a document.
    fields: tuple[tuple[str, FieldPath], ...] | None = field(init=False)
    #: The output name, if the statement only counts all documents of a collection.
    counts_all: str | None = field(init=False)
    #: The output name, if the statement only counts documents, where the store may count them.
    counts: str | None = field(init=False)
    #: Collection and id, if the statement only reads one document, or `fields` of it, by its id.
    one_id: tuple[str, syntax.Expression] | None = field(init=False)
    #: The index scan, if the statement only reads documents or `fields` in the order of an index.
    one_index: IndexScan | None = field(init=False)

    @is_plain.default
    def _is_plain(self) -> bool:
        return self._is_single and self.projection.is_document

    @fields.default
    def _fields(self) -> tuple[tuple[str, FieldPath], ...] | None:
        # An index that gives the ids needs no documents.
        if not self._is_single or self.is_plain or self.covers is not None:
            return None
        access = self.choice.access if self.choice else None
        if isinstance(access, CollectionScan | IndexScan) or self._only_id is not None:
            return fields_of(self.statement.projections, self.field_of)
        return None

    @counts_all.default
    def _counts_all(self) -> str | None:
        bare = self.where is None and not self.joins and self.choice is not None
        return count_name(self.statement) if bare else None

    @counts.default
    def _counts(self) -> str | None:
        if self.joins or self.choice is None or self.fidelity is not Fidelity.WHOLE:
            return None
        return count_name(self.statement)

    @one_id.default
    def _one_id(self) -> tuple[str, syntax.Expression] | None:
        return self._only_id if self.splices else None

    @one_index.default
    def _one_index(self) -> IndexScan | None:
        access = self.choice.access if self.choice else None
        return access if isinstance(access, IndexScan) and self.splices else None

    @property
    def _is_single(self) -> bool:
        """Whether each row is made of one stored document, whose body is all there is to it."""
        return (
            self.fidelity is Fidelity.WHOLE
            and not self.joins
            and self.grouping is None
            and not self.statement.distinct
        )

    @property
    def _only_id(self) -> tuple[str, syntax.Expression] | None:
        """The collection and the id, if the access is one id and nothing else is asked."""
        choice = self.choice
        if choice is None or choice.residual is not None:
            return None
        if self.order or self.limit is not None or self.offset is not None:
            return None
        match choice.access:
            case IdScan(collection=collection, ids=(only,), lists=()):
                return collection, only
        return None

    @property
    def splices(self) -> bool:
        """Whether JSON texts of the store may be the rows, undecoded."""
        return (self.is_plain or self.fields is not None) and not self.order

    def describe(self, stats: Mapping[str, object] = MappingProxyType({})) -> Description:
        """Return the plan as EXPLAIN shows it, or, with `stats` by step, as PROFILE does."""
        shown: list[Description] = []
        for name, step in self.steps():
            shown.append({**step, "#stats": stats[name]} if name in stats else step)
        return sequence(shown)

    def steps(self) -> Iterator[tuple[str, Description]]:
        """Yield the name, as meters have it, and the description of each step, the lowest first."""
        statement = self.statement
        source = statement.source
        if self.counts_all is not None and source is not None:
            yield "access", CountScan(collection=source.collection.name).describe()
        else:
            yield "access", self.choice.access.describe() if self.choice else NoSource().describe()
        for number, each in enumerate(self.joins, 1):
            yield f"join {number}", each.describe()
        where = statement.selection.where
        residual = where if self.joins else self.choice.residual if self.choice else where
        if residual is not None:
            yield "filter", {"#operator": "filter", "condition": format_expression(residual)}
        yield from self._upper_steps()

    def _upper_steps(self) -> Iterator[tuple[str, Description]]:
        statement = self.statement
        if self.grouping is not None:
            shown = [format_expression(each) for each in self.grouping.expressions]
            count = len(self.grouping.keys)
            yield (
                "group",
                {"#operator": "group", "keys": shown[:count], "aggregates": shown[count:]},
            )
        if statement.having is not None:
            having = format_expression(statement.having)
            yield "having", {"#operator": "filter", "condition": having}
        if statement.distinct:
            yield "distinct", {"#operator": "distinct"}
        if self.order:
            keys = [format_expression(each.node.expression) for each in self.order]
            yield "sort", {"#operator": "sort", "keys": keys}
        selection = statement.selection
        if selection.limit is not None or selection.offset is not None:
            limit = {"#operator": "limit"}
            for name, node in (("limit", selection.limit), ("offset", selection.offset)):
                if node is not None:
                    limit[name] = format_expression(node)
            yield "limit", {**limit}
        projections = [_describe_projection(each) for each in statement.projections]
        yield "projection", {"#operator": "projection", "projections": projections}


def plan_query(
    statement: syntax.Select,
    catalog: Catalog,
    defaults: Mapping[str, Value],
    fidelity: Fidelity = Fidelity.WHOLE,
    guard: Guard | None = None,
) -> QueryPlan:
    """
    Return the plan of a SELECT over the indexes that exist now.

    :param defaults: the directives of the server, such as ``#prefer_order`` -> true.
    :param fidelity: how far the stored bodies of the first term are what the statement sees.
    :param guard: a test that rows must pass before the statement sees them.
    :raises SemanticError: the statement has no meaning; the error has the position.
    """
    terms = _terms(statement)
    statement = resolve_names(statement, terms)
    _refuse_positions(statement)
    rows = RowScope(tuple(term.name for term in terms))
    return _Planner(
        _simplify_where(statement, rows), terms, rows, catalog, defaults, fidelity
    ).plan(guard)


@frozen
class _Planner:
    """Makes the parts of a plan; the statement has resolved names and a simplified WHERE."""

    statement: syntax.Select
    terms: Sequence[syntax.Term]
    rows: RowScope
    catalog: Catalog
    defaults: Mapping[str, Value]
    fidelity: Fidelity

    def plan(self, guard: Guard | None) -> QueryPlan:
        """Return the plan; :raises SemanticError: a part of the statement has no meaning."""
        statement, terms, rows = self.statement, self.terms, self.rows
        selection = statement.selection
        grouping = _grouping(statement, rows)
        field_of = _field_of(rows.terms)
        choice = self._choice(() if grouping else _order_paths(statement), field_of)
        covered = covers(statement, choice, self.fidelity, field_of)
        if covered is not None and choice is not None:
            choice = cover(choice)
        joins = self._joins()
        return QueryPlan(
            statement=statement,
            terms=rows.terms,
            choice=choice,
            field_of=field_of,
            where=_compile_guarded(guard, terms) if guard else _compile(selection.where, rows),
            asked=outline(choice.residual if choice else None, field_of),
            joins=joins,
            grouping=grouping,
            having=_having(statement, grouping),
            projection=compile_projection(
                statement.projections, rows.terms, _projection_scope(statement, grouping, rows)
            ),
            order=() if choice and choice.ordered else _sort_columns(statement, grouping, rows),
            limit=_compile(selection.limit, RowScope(())),
            offset=_compile(selection.offset, RowScope(())),
            fidelity=self.fidelity,
            covers=covered,
        )

    def _choice(self, order: tuple[syntax.SortKey, ...], field_of: FieldOf) -> Choice | None:
        """Choose the access path of the first term; None without FROM."""
        if not self.terms:
            return None
        term, selection = self.terms[0], self.statement.selection
        is_stored = term.collection.namespace != "system"
        # A RIGHT join keeps rows without a document of the first term, so nothing may narrow it.
        narrows = is_stored and not _is_right(self.statement)
        request = TermRequest(
            term=term,
            field_of=field_of,
            where=selection.where if narrows else None,
            order_by=order if is_stored and len(self.terms) == 1 else (),
            limited=selection.limit is not None,
            fidelity=self.fidelity,
        )
        indexes = self.catalog.indexes(term.collection.name) if narrows else ()
        return choose(request, indexes, self._directives(term))

    def _directives(self, term: syntax.Term) -> Directives:
        return directives_of(self.defaults, self.statement.directives, term)

    def _indexes_of(self, term: syntax.Term) -> tuple[Sequence[Index], Directives]:
        """Return the indexes and the directives for a joined term."""
        found = self._directives(term)
        if self.fidelity is not Fidelity.WHOLE or term.collection.namespace == "system":
            return (), found
        return self.catalog.indexes(term.collection.name), found

    def _joins(self) -> tuple[JoinPlan, ...]:
        if not self.statement.joins:
            return ()
        most = self._directives(self.terms[0]).max_joins
        return plan_joins(self.statement, self.terms, most, self._indexes_of)


def _refuse_positions(statement: syntax.Select) -> None:
    """
    Refuse ``ORDER BY 2``, which looks like the second column and would order by nothing.

    :raises SemanticError: a key is an integer.
    """
    keys = [("ORDER BY", key.expression) for key in statement.selection.order_by]
    for clause, node in [*keys, *[("GROUP BY", each) for each in statement.group_by]]:
        sign = node.operand if isinstance(node, syntax.Unary) else node
        if isinstance(sign, syntax.Literal) and type(sign.value) is int:
            raise SemanticError(
                f"{clause} {format_expression(node)} is a number and no column: "
                "write the expression of the column" + (", or its alias" * (clause[0] == "O")),
                node.span,
            )


def _simplify_where(statement: syntax.Select, rows: RowScope) -> syntax.Select:
    """Return the statement with a simplified WHERE, compiled before so that no error is lost."""
    where = statement.selection.where
    if where is not None:
        _compile(where, rows)
        simpler = simplify(where)
        if simpler is not where:
            selection = evolve(statement.selection, where=simpler)
            statement = evolve(statement, selection=selection)
    return statement


def field_of_term(name: str) -> FieldOf:
    """Return the function from a path to its field, if `name` is the statement's only term."""

    def field_of(path: syntax.Path) -> tuple[str, ...] | None:
        if path.names[0] != name:
            return path.names
        return path.names[1:] or None

    return field_of


def _field_of(names: tuple[str, ...]) -> FieldOf:
    """Return the function from a path to its field of the first term."""
    if len(names) == 1:
        return field_of_term(names[0])
    first = names[0] if names else None

    def field_of(path: syntax.Path) -> tuple[str, ...] | None:
        # A path without a term's name may be a field of any term.
        return path.names[1:] or None if path.names[0] == first else None

    return field_of


def _terms(statement: syntax.Select) -> tuple[syntax.Term, ...]:
    if statement.source is None:
        return ()
    terms = (statement.source, *(join.term for join in statement.joins))
    seen: set[str] = set()
    for term in terms:
        if term.name in seen:
            raise SemanticError(f"the name {term.name} is used twice: give it an alias", term.span)
        seen.add(term.name)
    return terms


def _is_right(statement: syntax.Select) -> bool:
    return bool(statement.joins) and statement.joins[0].kind is syntax.JoinKind.RIGHT


def _compile_guarded(guard: Guard, terms: Sequence[syntax.Term]) -> CompiledExpression:
    """Return the whole condition, which evaluates nothing on rows that fail the guard."""
    test, node = guard.test, guard.asked
    if node is not None:
        node = simplify(resolve_names(node, terms))
    if node is None:
        return test
    asked = compile_expression(node, RowScope(tuple(term.name for term in terms)))
    return lambda row, env: test(row, env) is True and asked(row, env) is True


def _compile(node: syntax.Expression | None, scope: NameScope) -> CompiledExpression | None:
    return None if node is None else compile_expression(node, scope)


def _grouping(statement: syntax.Select, rows: RowScope) -> GroupPlan | None:
    having = [statement.having] if statement.having else []
    above = [*statement.projections, *having, *statement.selection.order_by]
    found = plan_grouping(statement.group_by, above, rows)
    if found is None and statement.having is not None:
        # HAVING works on the single group of all rows.
        return GroupPlan(keys=(), aggregates=(), expressions=())
    return found


def _projection_scope(
    statement: syntax.Select, grouping: GroupPlan | None, rows: RowScope
) -> NameScope:
    if grouping is None:
        return rows
    for each in statement.projections:
        if isinstance(each, syntax.Wildcard):
            raise _depends(each, "*")
    return grouping.scope(lambda path: _depends(path, ".".join(path.names)))


def _depends(node: syntax.Node, name: str) -> SemanticError:
    return SemanticError(
        f'Projection "{name}" must depend only on group keys or aggregates', node.span
    )


def _having(statement: syntax.Select, grouping: GroupPlan | None) -> CompiledExpression | None:
    if statement.having is None or grouping is None:
        return None
    message = "HAVING clause terms must depend only on group keys or aggregates"
    scope = grouping.scope(lambda path: SemanticError(message, path.span))
    return compile_expression(statement.having, scope)


def _order_paths(statement: syntax.Select) -> tuple[syntax.SortKey, ...]:
    """Return the ORDER BY keys with aliases replaced by their expressions."""
    named = aliases(statement.projections)

    def resolve_alias(key: syntax.SortKey) -> syntax.SortKey:
        match key.expression:
            case syntax.Path(names=(name,)) if name in named:
                return syntax.SortKey(named[name], key.descending, span=key.span)
        return key

    return tuple(resolve_alias(key) for key in statement.selection.order_by)


def _sort_columns(
    statement: syntax.Select, grouping: GroupPlan | None, rows: RowScope
) -> tuple[SortColumn, ...]:
    scope: NameScope = rows
    if grouping is not None:
        message = "ORDER BY terms must depend only on group keys or aggregates"
        scope = grouping.scope(lambda path: SemanticError(message, path.span))
    if statement.distinct:
        _check_distinct(statement, rows)
    return tuple(
        SortColumn(
            value=compile_expression(key.expression, scope), descending=key.descending, node=key
        )
        for key in _order_paths(statement)
    )


def _check_distinct(statement: syntax.Select, rows: RowScope) -> None:
    if any(isinstance(each, syntax.Wildcard) for each in statement.projections):
        return
    projected = {
        qualify(each.expression, rows.only)
        for each in statement.projections
        if isinstance(each, syntax.ResultExpression)
    }
    for key in _order_paths(statement):
        if qualify(key.expression, rows.only) not in projected:
            raise SemanticError("DISTINCT can be ordered only by what is projected", key.span)


def _describe_projection(projection: syntax.Projection) -> dict[str, Any]:
    match projection:
        case syntax.Wildcard(qualifier=qualifier):
            return {"expression": f"`{qualifier}`" if qualifier else "*", "wildcard": True}
        case syntax.Omission(path=path):
            return {"expression": format_expression(path), "missing": True}
        case syntax.ResultExpression(expression=expression, alias=alias):
            shown = {"expression": format_expression(expression)}
            return {**shown, "alias": alias} if alias else {**shown}
