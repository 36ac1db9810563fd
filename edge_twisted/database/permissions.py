# SPDX-License-Identifier: Apache-2.0
"""
Permissions inside statements.

A read condition becomes part of the plan, so a hidden document is not there for anything that the
statement does: filters, counts, joins, RETURNING, errors.  Whatever a client asks of a document is
evaluated only where the read condition holds, for an error or a count would tell of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from edge_twisted.database.errors import StatementForbidden
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import CompiledExpression, Environment, RowScope, compile_expression
from edge_twisted.dql.errors import EvaluationError
from edge_twisted.dql.name_resolution import below
from edge_twisted.dql.parser import parse_expression

#: Yes, no, or where one of these conditions holds.
Rule = bool | tuple[str, ...]
#: The parameter of conditions that stands for who asks; no argument of a client overrides it.
IDENTITY = "identity"


class Access(Protocol):
    """What a caller may do; see `edge_twisted.security.permissions`."""

    @property
    def identity(self) -> str | None:
        """Who asks."""

    @property
    def is_full(self) -> bool:
        """Whether everything is permitted."""

    @property
    def reads_all(self) -> bool:
        """Whether every document of every collection may be seen."""

    def may_verb(self, verb: str) -> bool:
        """Whether statements of this kind may run."""

    def read(self, collection: str) -> Rule:
        """Which documents of a collection may be seen."""

    def write(self, collection: str) -> Rule:
        """Which documents of a collection may be changed."""


def rule_name_of(collection: syntax.CollectionRef) -> str:
    """Return a collection's name as rules name it."""
    is_system = collection.namespace == "system"
    return f"system:{collection.name}" if is_system else collection.name


def check_verb(access: Access, verb: str) -> None:
    """:raises StatementForbidden: the caller may not run such statements."""
    if not access.is_full and not access.may_verb(verb):
        raise StatementForbidden(f"{verb.replace('_', ' ').upper()} statements")


def read_rule(access: Access, collection: syntax.CollectionRef) -> tuple[str, ...]:
    """
    Return the conditions of which one must hold for a document to be seen; empty: none.

    :raises StatementForbidden: nothing of the collection may be seen.
    """
    return _conditions(access, access.read, collection, "read")


def write_rule(access: Access, collection: syntax.CollectionRef) -> tuple[str, ...]:
    """As `read_rule`, for changing."""
    return _conditions(access, access.write, collection, "changed")


def _conditions(
    access: Access, rules: Callable[[str], Rule], collection: syntax.CollectionRef, word: str
) -> tuple[str, ...]:
    if access.is_full:
        return ()
    name = rule_name_of(collection)
    rule = rules(name)
    if rule is False:
        raise StatementForbidden(f"collection {name} may not be {word}")
    return rule if isinstance(rule, tuple) else ()


def add_rules(
    where: syntax.Expression | None,
    term: str,
    rules: tuple[tuple[str, ...], ...],
    identity: str | None,
) -> syntax.Expression | None:
    """Return the condition of a statement with rules, all of them, added to it."""
    parts: list[syntax.Expression] = []
    for texts in rules:
        conditions = [_condition(text, term, identity) for text in texts]
        if conditions:
            parts.append(conditions[0] if len(conditions) == 1 else syntax.Or(tuple(conditions)))
    if where is not None:
        parts.extend(where.operands if isinstance(where, syntax.And) else [where])
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else syntax.And(tuple(parts))


def compile_rule(
    texts: tuple[str, ...], identity: str | None, env: Environment
) -> Callable[[dict[str, Value]], bool] | None:
    """Return the test whether one of the conditions holds for a document; None: no conditions."""
    if not texts:
        return None
    compiled = [_compile(text, identity) for text in texts]
    return lambda document: any(_holds(each, document, env) for each in compiled)


def compile_guard(rules: tuple[tuple[str, ...], ...], identity: str | None) -> CompiledExpression:
    """Return the test whether of each rule one of the conditions holds for a document."""
    compiled = [[_compile(text, identity) for text in texts] for texts in rules if texts]

    def test(document: dict[str, Value], env: Environment) -> bool:
        return all(any(_holds(each, document, env) for each in rule) for rule in compiled)

    return test


def _holds(condition: CompiledExpression, document: dict[str, Value], env: Environment) -> bool:
    """Return whether a condition holds; one that fails on a document does not."""
    try:
        return condition(document, env) is True
    except EvaluationError:
        # It would tell that the document is there, and where in no text of the caller's.
        return False


@lru_cache(maxsize=1024)
def _compile(text: str, identity: str | None) -> CompiledExpression:
    return compile_expression(_condition(text, "", identity), RowScope(("",)))


@lru_cache(maxsize=1024)
def _condition(text: str, term: str, identity: str | None) -> syntax.Expression:
    return _Qualifier(term, identity).expression(parse_expression(text))


class _Qualifier:
    """Names the term in every path of a condition, and puts the identity in its place."""

    def __init__(self, term: str, identity: str | None) -> None:
        self._term = term
        self._identity = identity

    def expression(self, node: syntax.Expression) -> syntax.Expression:
        """Return the expression for use in a statement."""
        found = syntax.map_tree(below(node, self._term), self._leaf)
        assert isinstance(found, syntax.Expression)
        return found

    def _leaf(self, node: syntax.Node) -> syntax.Node:
        if isinstance(node, syntax.Parameter) and node.name == IDENTITY:
            return syntax.Literal(self._identity)
        return node
