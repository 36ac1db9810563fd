# SPDX-License-Identifier: Apache-2.0
"""Formatting of statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge_twisted.dql.formatter import clauses, tokens
from edge_twisted.dql.formatter.expressions import expression, expressions
from edge_twisted.dql.syntax import (
    Advise,
    Apply,
    Assignment,
    ConflictPolicy,
    CreateIndex,
    Delete,
    DropIndex,
    Evict,
    Explain,
    IndexKeyClause,
    Insert,
    Profile,
    Projection,
    ResetParameter,
    Select,
    SetParameter,
    ShowAll,
    ShowParameter,
    Statement,
    Update,
)


def statement(node: Statement) -> str:
    """Return the text of a statement, on one line and without a semicolon."""
    return " ".join(_RULES[type(node)](node))


def _select(node: Select) -> list[str]:
    parts = ["SELECT", *clauses.directives(node.directives)]
    if node.distinct:
        parts.append("DISTINCT")
    parts.append(clauses.projections(node.projections))
    if node.source is not None:
        parts.append(f"FROM {clauses.term(node.source)}")
    parts.extend(map(clauses.join, node.joins))
    parts.extend(clauses.where(node.selection))
    if node.group_by:
        parts.append(f"GROUP BY {expressions(node.group_by)}")
    if node.having is not None:
        parts.append(f"HAVING {expression(node.having)}")
    return parts + clauses.bounds(node.selection)


def _insert(node: Insert) -> list[str]:
    parts = ["INSERT INTO", clauses.collection(node.collection)]
    if isinstance(node.documents, Select):
        parts.extend(_select(node.documents))
    else:
        word = "INITIAL DOCUMENTS" if node.initial else "DOCUMENTS"
        items = ", ".join(f"({expression(item)})" for item in node.documents.items)
        parts.append(f"{word} {items}")
    if node.policy is not ConflictPolicy.FAIL:
        parts.append(f"ON ID CONFLICT {node.policy.value}")
    return parts + _returning(node.returning)


def _returning(projections: tuple[Projection, ...]) -> list[str]:
    return [f"RETURNING {clauses.projections(projections)}"] if projections else []


def _update(node: Update) -> list[str]:
    parts = ["UPDATE", *clauses.directives(node.directives), clauses.term(node.term)]
    if node.applies:
        parts.append("APPLY " + ", ".join(map(_apply, node.applies)))
    if node.assignments:
        parts.append("SET " + ", ".join(map(_assignment, node.assignments)))
    if node.removals:
        parts.append("UNSET " + ", ".join(tokens.path(each.names) for each in node.removals))
    return parts + _selection_and_returning(node)


def _apply(node: Apply) -> str:
    target = tokens.path(node.path.names)
    if node.operand is None:
        return f"{target} RESTART"
    return f"{target} {node.operation.value} {expression(node.operand)}"


def _assignment(node: Assignment) -> str:
    target = tokens.path(node.path.names)
    if node.value is None:
        return f"{target} -> default()"
    return f"{target} = {expression(node.value)}"


def _selection_and_returning(node: Update | Delete | Evict) -> list[str]:
    parts = clauses.where(node.selection) + clauses.bounds(node.selection)
    return parts + _returning(node.returning)


def _delete(node: Delete) -> list[str]:
    return _removal("DELETE", node)


def _evict(node: Evict) -> list[str]:
    return _removal("EVICT", node)


def _removal(word: str, node: Delete | Evict) -> list[str]:
    parts = [word, *clauses.directives(node.directives), "FROM", clauses.term(node.term)]
    return parts + _selection_and_returning(node)


def _create_index(node: CreateIndex) -> list[str]:
    keys = ", ".join(map(_index_key, node.keys))
    return [
        "CREATE INDEX",
        *(["IF NOT EXISTS"] if node.if_not_exists else []),
        f"{tokens.name(node.name)} ON {clauses.collection(node.collection)} ({keys})",
    ]


def _index_key(node: IndexKeyClause) -> str:
    return tokens.path(node.path.names) + (" DESC" if node.descending else "")


def _drop_index(node: DropIndex) -> list[str]:
    return [
        "DROP INDEX",
        *(["IF EXISTS"] if node.if_exists else []),
        f"{tokens.name(node.name)} ON {clauses.collection(node.collection)}",
    ]


def _explain(node: Explain) -> list[str]:
    return ["EXPLAIN", statement(node.statement)]


def _profile(node: Profile) -> list[str]:
    return ["PROFILE", statement(node.statement)]


def _advise(node: Advise) -> list[str]:
    word = "ADVISE AND PROVISION" if node.provision else "ADVISE"
    return [word, statement(node.statement)]


def _set_parameter(node: SetParameter) -> list[str]:
    value = "DEFAULT" if node.value is None else expression(node.value)
    return [f"ALTER SYSTEM SET {tokens.name(node.name)} = {value}"]


def _reset_parameter(node: ResetParameter) -> list[str]:
    return ["ALTER SYSTEM RESET", "ALL" if node.name is None else tokens.name(node.name)]


def _show_parameter(node: ShowParameter) -> list[str]:
    return ["SHOW", tokens.name(node.name)]


def _show_all(node: ShowAll) -> list[str]:
    if node.pattern is None:
        return ["SHOW ALL"]
    parts = ["SHOW ALL", "ILIKE" if node.ignore_case else "LIKE", tokens.string(node.pattern)]
    if node.escape is not None:
        parts.append(f"ESCAPE {tokens.string(node.escape)}")
    return parts


# Each rule takes its own kind of statement, which the type of the table cannot say.
_RULES: Final[dict[type[Statement], Callable[..., list[str]]]] = {
    Advise: _advise,
    CreateIndex: _create_index,
    Delete: _delete,
    DropIndex: _drop_index,
    Evict: _evict,
    Explain: _explain,
    Insert: _insert,
    Profile: _profile,
    ResetParameter: _reset_parameter,
    Select: _select,
    SetParameter: _set_parameter,
    ShowAll: _show_all,
    ShowParameter: _show_parameter,
    Update: _update,
}
