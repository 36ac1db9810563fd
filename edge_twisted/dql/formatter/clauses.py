# SPDX-License-Identifier: Apache-2.0
"""Formatting of the clauses that statements share."""

from __future__ import annotations

from collections.abc import Iterable

from edge_twisted.dql.formatter import tokens
from edge_twisted.dql.formatter.expressions import expression, expressions
from edge_twisted.dql.syntax import (
    CollectionRef,
    FieldDeclaration,
    Join,
    JoinKind,
    Omission,
    Projection,
    Selection,
    SortKey,
    Term,
    Use,
    UseDirectives,
    UseIdList,
    UseIds,
    UseIndex,
    Wildcard,
)


def collection(node: CollectionRef) -> str:
    """Return the text of a collection with its namespace and declarations."""
    name = tokens.name(node.name)
    if node.namespace is not None:
        name = f"{tokens.name(node.namespace)}:{name}"
    if not node.declarations:
        return name
    return f"COLLECTION {name} {_declarations(node.declarations)}"


def _declarations(nodes: tuple[FieldDeclaration, ...]) -> str:
    texts: list[str] = []
    for node in nodes:
        nested = f" {_declarations(node.fields)}" if node.fields else ""
        texts.append(f"{tokens.path(node.path.names)} {node.type.value}{nested}")
    return "(" + ", ".join(texts) + ")"


def term(node: Term) -> str:
    """Return the text of a term: its collection with its alias and USE clauses."""
    parts = [collection(node.collection)]
    if node.alias is not None:
        parts.append(f"AS {tokens.name(node.alias)}")
    parts.extend(map(_use, node.uses))
    return " ".join(parts)


def _use(node: Use) -> str:
    if isinstance(node, UseIds):
        return f"USE IDS {expressions(node.ids)}"
    if isinstance(node, UseIdList):
        return f"USE IDS LIST {expression(node.ids)}"
    if isinstance(node, UseIndex):
        return f"USE INDEX {tokens.string(node.name)}"
    return f"USE DIRECTIVES {tokens.string(node.json)}"


def join(node: Join) -> str:
    """Return the text of a join with its condition."""
    kind = "" if node.kind is JoinKind.INNER else f"{node.kind.value} "
    return f"{kind}JOIN {term(node.term)} ON {expression(node.condition)}"


def directives(nodes: Iterable[UseDirectives]) -> list[str]:
    """Return the directives of a whole statement, each as the text of a comment."""
    return [tokens.directive_comment(node.json) for node in nodes]


def projections(nodes: Iterable[Projection]) -> str:
    """Return the text of the list after SELECT or RETURNING."""
    return ", ".join(map(_projection, nodes))


def _projection(node: Projection) -> str:
    if isinstance(node, Wildcard):
        return "*" if node.qualifier is None else f"{tokens.name(node.qualifier)}.*"
    if isinstance(node, Omission):
        return f"MISSING {tokens.path(node.path.names)}"
    alias = "" if node.alias is None else f" AS {tokens.name(node.alias)}"
    return expression(node.expression) + alias


def where(node: Selection) -> list[str]:
    """Return the text of the WHERE clause in a list; empty if there is no such clause."""
    return [] if node.where is None else [f"WHERE {expression(node.where)}"]


def bounds(node: Selection) -> list[str]:
    """Return the texts of ORDER BY, LIMIT and OFFSET, of those that are present."""
    parts: list[str] = []
    if node.order_by:
        parts.append("ORDER BY " + ", ".join(map(_sort_key, node.order_by)))
    if node.limit is not None:
        parts.append(f"LIMIT {expression(node.limit)}")
    if node.offset is not None:
        parts.append(f"OFFSET {expression(node.offset)}")
    return parts


def _sort_key(node: SortKey) -> str:
    return expression(node.expression) + (" DESC" if node.descending else "")
