# SPDX-License-Identifier: Apache-2.0
"""
Permission rules inside statements.

A read rule becomes part of the plan, so filters, counts, joins, RETURNING and errors behave as if
hidden documents did not exist.  The client's own expressions are evaluated only for documents for
which the read rule holds: an error or a count would reveal the other ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from edge_twisted.database.errors import StatementForbidden
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import CompiledExpression, Environment, RowScope, compile_expression
from edge_twisted.dql.compiler.environment import of_document
from edge_twisted.dql.errors import EvaluationError
from edge_twisted.dql.name_resolution import below
from edge_twisted.dql.parser import parse_expression

#: All documents, none, or those for which one of these conditions holds.
Rule = bool | tuple[str, ...]
#: The parameter of a rule's conditions that is the caller's identity; clients cannot set it.
IDENTITY = "identity"


class Access(Protocol):
    """What a caller may do; implemented in `edge_twisted.security.permissions`."""

    @property
    def identity(self) -> str | None:
        """The caller's identity, None without one."""

    @property
    def is_full(self) -> bool:
        """Whether everything is permitted."""

    @property
    def reads_all(self) -> bool:
        """Whether every document of every collection may be seen."""

    def may_verb(self, verb: str) -> bool:
        """Return whether statements of the kind `verb`, such as ``select``, may run."""

    def read(self, collection: str) -> Rule:
        """Return which documents of a collection may be seen: all, none, or by conditions."""

    def write(self, collection: str) -> Rule:
        """Return which documents of a collection may be changed: all, none, or by conditions."""


def rule_name_of(collection: syntax.CollectionRef) -> str:
    """Return a collection's name in permission rules: virtual ones have a ``system:`` before."""
    is_system = collection.namespace == "system"
    return f"system:{collection.name}" if is_system else collection.name


def check_verb(access: Access, verb: str) -> None:
    """
    Check that a caller may run statements of the kind `verb`, such as ``select``.

    :raises StatementForbidden: the caller may not.
    """
    if not access.is_full and not access.may_verb(verb):
        raise StatementForbidden(f"{verb.replace('_', ' ').upper()} statements")


def read_rule(access: Access, collection: syntax.CollectionRef) -> tuple[str, ...]:
    """
    Return the conditions of which one must hold for a document to be seen; empty: all may.

    :raises StatementForbidden: the caller may see no document of the collection.
    """
    return _conditions(access, access.read, collection, "read")


def write_rule(access: Access, collection: syntax.CollectionRef) -> tuple[str, ...]:
    """
    Return the conditions of which one must hold for a change of a document; empty: all may.

    :raises StatementForbidden: the caller may change no document of the collection.
    """
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
    """
    Return a condition that holds where `where` and each of the rules hold; None: everywhere.

    :param term: the name of the statement's term to whose documents the rules apply.
    :param rules: of each rule the conditions in DQL of which one must hold; empty: it always holds.
    :param identity: the value of the parameter ``identity`` in the conditions.
    """
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
    """
    Return a test whether one of these conditions holds for a document; None without any.

    :param texts: conditions in DQL, as `read_rule` returns them.
    :param identity: the value of the parameter ``identity`` in them.
    """
    if not texts:
        return None
    compiled = [_compile(text, identity) for text in texts]
    return lambda document: any(_holds(each, document, env) for each in compiled)


def compile_guard(rules: tuple[tuple[str, ...], ...], identity: str | None) -> CompiledExpression:
    """
    Return a test whether each of the rules has a condition that holds for a document.

    :param rules: as `add_rules` takes them.
    """
    compiled = [[_compile(text, identity) for text in texts] for texts in rules if texts]

    def test(document: dict[str, Value], env: Environment) -> bool:
        return all(any(_holds(each, document, env) for each in rule) for rule in compiled)

    return of_document(test)


def _holds(condition: CompiledExpression, document: dict[str, Value], env: Environment) -> bool:
    """Return whether a condition holds; a condition that raises does not hold."""
    try:
        return condition(document, env) is True
    except EvaluationError:
        # Raised, it would reveal the document, and point into a text that is not the caller's.
        return False


@lru_cache(maxsize=1024)
def _compile(text: str, identity: str | None) -> CompiledExpression:
    return compile_expression(_condition(text, "", identity), RowScope(("",)))


@lru_cache(maxsize=1024)
def _condition(text: str, term: str, identity: str | None) -> syntax.Expression:
    return _Qualifier(term, identity).expression(parse_expression(text))


class _Qualifier:
    """Qualifies the paths of a condition with a term's name, and fills in the identity."""

    def __init__(self, term: str, identity: str | None) -> None:
        self._term = term
        self._identity = identity

    def expression(self, node: syntax.Expression) -> syntax.Expression:
        """Return the condition as a part of a statement."""
        found = syntax.map_tree(below(node, self._term), self._leaf)
        assert isinstance(found, syntax.Expression)
        return found

    def _leaf(self, node: syntax.Node) -> syntax.Node:
        if isinstance(node, syntax.Parameter) and node.name == IDENTITY:
            return syntax.Literal(self._identity)
        return node
