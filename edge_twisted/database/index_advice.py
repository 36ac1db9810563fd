# SPDX-License-Identifier: Apache-2.0
"""ADVISE: the index that a statement lacks."""

from __future__ import annotations

from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.formatter import format_statement
from edge_twisted.dql.plan.access_choice import ID_PATH
from edge_twisted.dql.plan.catalog import Catalog, KeyPart
from edge_twisted.dql.plan.conditions import conjuncts, constraint
from edge_twisted.dql.plan.nodes import IdScan, IndexScan
from edge_twisted.dql.plan.query import QueryPlan

Row = dict[str, Value]


def advise(statement: syntax.Statement, plan: QueryPlan | None, catalog: Catalog) -> Row:
    """Return the row that ADVISE shows: suggested and existing indexes, and the outcome."""
    advice: Row = {"statement": format_statement(statement), "suggestedIndexes": []}
    source = plan.statement.source if plan is not None else None
    if plan is None or source is None or len(plan.terms) > 1:
        return {"advice": {**advice, "outcome": "no advice available for statement"}}
    collection = source.collection.name
    keys = wanted_keys_of(plan)
    access = plan.choice.access if plan.choice else None
    if isinstance(access, IdScan) or not keys:
        return {"advice": {**advice, "outcome": "no keys to advise on"}}
    existing = [index for index in catalog.indexes(collection) if index.keys[: len(keys)] == keys]
    if isinstance(access, IndexScan) and existing:
        names: list[Value] = [index.name for index in existing]
        advice["existingIndexes"] = names
        return {"advice": {**advice, "outcome": "optimal indexes already exist"}}
    create = create_statement(collection, keys)
    suggestion: Row = {
        "collection": collection,
        "reason": "the condition or the order needs these keys",
        "statement": format_statement(create),
    }
    return {"advice": {**advice, "suggestedIndexes": [suggestion]}}


def wanted_keys_of(plan: QueryPlan) -> tuple[KeyPart, ...]:
    """
    Return the keys of the best index for a plan; empty if no index would help.

    First the keys with single values, then one range or the order of the rows.
    """
    where = plan.statement.selection.where
    found = [constraint(part, plan.field_of) for part in conjuncts(where)]
    useful = [each for each in found if each is not None and each.path != ID_PATH]
    pinned = [KeyPart(each.path) for each in useful if each.range.points]
    ranged = [KeyPart(each.path) for each in useful if not each.range.points][:1]
    keys = dict.fromkeys(pinned + ranged)
    if not ranged:
        for key in plan.statement.selection.order_by:
            path = key.expression
            named = plan.field_of(path) if isinstance(path, syntax.Path) else None
            if named is None:
                break
            keys.setdefault(KeyPart(named, key.descending))
    return tuple(keys)


def create_statement(collection: str, keys: tuple[KeyPart, ...]) -> syntax.CreateIndex:
    """Return CREATE INDEX IF NOT EXISTS with these keys, under a name that tells them."""
    name = "_".join(["idx", collection, *(".".join(key.path) for key in keys)])
    return syntax.CreateIndex(
        name=name,
        collection=syntax.CollectionRef(None, collection),
        keys=tuple(syntax.IndexKeyClause(syntax.Path(key.path), key.descending) for key in keys),
        if_not_exists=True,
    )
