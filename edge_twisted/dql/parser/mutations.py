# SPDX-License-Identifier: Apache-2.0
"""INSERT, UPDATE, DELETE, EVICT, and their forms of 4.x."""

from __future__ import annotations

from itertools import chain
from typing import Final, TypeVar

from attrs import define, field

from edge_twisted.dql.parser.cursor import Cursor
from edge_twisted.dql.parser.prefix import path
from edge_twisted.dql.parser.queries import projection_list, select, selection
from edge_twisted.dql.parser.terms import collection, directives, term
from edge_twisted.dql.syntax import (
    Apply,
    Assignment,
    ConflictPolicy,
    CounterOperation,
    Delete,
    DocumentsClause,
    Evict,
    Expression,
    Insert,
    Path,
    Projection,
    Select,
    Term,
    Update,
    UseDirectives,
)

_POLICIES: Final = {
    "FAIL": ConflictPolicy.FAIL,
    "NOTHING": ConflictPolicy.NOTHING,
    "UPDATE": ConflictPolicy.UPDATE,
    "MERGE": ConflictPolicy.UPDATE,
    "UPDATE_LOCAL_DIFF": ConflictPolicy.UPDATE_LOCAL_DIFF,
}

_JOINING: Final = frozenset({"JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", ","})

Removal = TypeVar("Removal", Delete, Evict)


def insert(cursor: Cursor, outer: tuple[UseDirectives, ...]) -> Insert:
    """
    Read ``INSERT INTO collection ...``.

    :param outer: the directives that stand before the statement.
    :raises DqlError: the tokens are no such statement.
    """
    start = cursor.start
    cursor.expect_all("INSERT", "INTO")
    target = collection(cursor)
    initial = cursor.accept("INITIAL")
    documents = _documents(cursor, outer, initial)
    policy = ConflictPolicy.FAIL
    if cursor.word == "ON":
        if initial:
            raise cursor.error("INSERT of INITIAL documents takes no ON ID CONFLICT")
        policy = _policy(cursor)
    return Insert(
        collection=target,
        documents=documents,
        initial=initial,
        policy=policy,
        returning=_returning(cursor),
        span=cursor.since(start),
    )


def _documents(
    cursor: Cursor, outer: tuple[UseDirectives, ...], initial: bool
) -> DocumentsClause | Select:
    if cursor.word == "SELECT" and not initial:
        return select(cursor, outer)
    start = cursor.start
    if cursor.word == "(":
        if cursor.peek() == "SELECT":
            raise cursor.unsupported_error("SELECT in parentheses as the source of INSERT is")
        raise cursor.unexpected_error(
            "DOCUMENTS, VALUES or SELECT; a document is written whole, so"
        )
    if not cursor.accept("DOCUMENTS") and not cursor.accept("VALUES"):
        expected = "DOCUMENTS or VALUES" if initial else "DOCUMENTS, VALUES, INITIAL or SELECT"
        raise cursor.unexpected_error(expected)
    items = tuple(chain.from_iterable(cursor.read_list(_document)))
    return DocumentsClause(items, span=cursor.since(start))


def _document(cursor: Cursor) -> list[Expression]:
    """``(a)``; leniently also ``(a, b)``, and without parentheses at all."""
    if not cursor.accept("("):
        return [cursor.climb(cursor, 0)]
    items = cursor.read_expressions()
    cursor.expect(")")
    return items


def _policy(cursor: Cursor) -> ConflictPolicy:
    """``ON ID CONFLICT [DO] ...``; only FAIL stands without DO."""
    cursor.expect_all("ON", "ID", "CONFLICT")
    worded = cursor.accept("DO")
    policy = _POLICIES.get(cursor.word)
    if policy is None or not (worded or policy is ConflictPolicy.FAIL):
        raise cursor.unexpected_error("FAIL, DO NOTHING, DO UPDATE or DO UPDATE_LOCAL_DIFF")
    cursor.advance()
    return policy


def _returning(cursor: Cursor) -> tuple[Projection, ...]:
    return projection_list(cursor) if cursor.accept("RETURNING") else ()


def update(cursor: Cursor, outer: tuple[UseDirectives, ...]) -> Update:
    """
    Read ``UPDATE term [APPLY] [SET] [UNSET] ...``, the three clauses in this order.

    :param outer: the directives that stand before the statement.
    :raises DqlError: the tokens are no such statement.
    """
    start = cursor.start
    cursor.expect("UPDATE")
    given = outer + directives(cursor)
    target = _target(cursor, "UPDATE")
    applies: list[Apply] = []
    changes = _Changes()
    if cursor.accept("APPLY"):
        applies = cursor.read_list(_apply)
    if cursor.accept("SET"):
        changes.read_list(cursor, ())
    if cursor.accept("UNSET"):
        changes.removals += cursor.read_list(path)
    if not (applies or changes.assignments or changes.removals):
        raise cursor.error("Missing SET and/or UNSET clause")
    chosen = selection(cursor)
    return Update(
        term=target,
        applies=tuple(applies),
        assignments=tuple(changes.assignments),
        removals=tuple(changes.removals),
        selection=chosen,
        returning=_returning(cursor),
        directives=given,
        span=cursor.since(start),
    )


def _target(cursor: Cursor, statement: str) -> Term:
    """The one collection that a statement changes."""
    target = term(cursor)
    if cursor.word in _JOINING:
        raise cursor.unsupported_error(f"a join in {statement} is")
    return target


def _apply(cursor: Cursor) -> Apply:
    """``path INCREMENT BY n``, ``path RESTART [WITH n]`` or ``path PN_INCREMENT BY n``."""
    start = cursor.start
    counter = path(cursor)
    operand: Expression | None = None
    if cursor.accept("RESTART"):
        operation = CounterOperation.RESTART
        if cursor.accept("WITH"):
            operand = cursor.climb(cursor, 0)
    else:
        operation = CounterOperation.INCREMENT
        if cursor.word == "PN_INCREMENT":
            operation = CounterOperation.PN_INCREMENT
        elif cursor.word != "INCREMENT":
            raise cursor.unexpected_error("INCREMENT BY, RESTART or PN_INCREMENT BY")
        cursor.advance()
        cursor.expect("BY")
        operand = cursor.climb(cursor, 0)
    return Apply(counter, operation, operand, span=cursor.since(start))


@define
class _Changes:
    """What SET says, with the functional forms of 4.x already turned into the modern ones."""

    assignments: list[Assignment] = field(factory=list)
    removals: list[Path] = field(factory=list)

    def read_list(self, cursor: Cursor, above: tuple[str, ...]) -> None:
        """Read assignments to paths below ``above``."""
        self._read(cursor, above)
        while cursor.accept(","):
            self._read(cursor, above)

    def _read(self, cursor: Cursor, above: tuple[str, ...]) -> None:
        start = cursor.start
        target = path(cursor)
        if above:
            target = Path(above + target.names, span=target.span)
        if cursor.accept("->"):
            self._mutator(cursor, target, start)
            return
        if cursor.word == "[":
            raise cursor.unsupported_error("assignment to an element of an array is")
        cursor.expect("=")
        value = cursor.climb(cursor, 0)
        self.assignments.append(Assignment(target, value, span=cursor.since(start)))

    def _mutator(self, cursor: Cursor, target: Path, start: int) -> None:
        """``(assignments)``, ``tombstone()`` or ``default()``."""
        if cursor.accept("("):
            cursor.enter()
            self.read_list(cursor, target.names)
            cursor.nesting -= 1
            cursor.expect(")")
            return
        mutator = cursor.word
        if mutator not in {"TOMBSTONE", "DEFAULT"}:
            raise cursor.unexpected_error("(, tombstone() or default() after ->")
        cursor.advance()
        cursor.expect_all("(", ")")
        if mutator == "TOMBSTONE":
            self.removals.append(target)
        else:
            self.assignments.append(Assignment(target, None, span=cursor.since(start)))


def delete(cursor: Cursor, outer: tuple[UseDirectives, ...]) -> Delete:
    """
    Read ``DELETE FROM term ...``, or ``TOMBSTONE FROM``, its name in 4.x.

    :param outer: the directives that stand before the statement.
    :raises DqlError: the tokens are no such statement.
    """
    return _removal(Delete, cursor, outer)


def evict(cursor: Cursor, outer: tuple[UseDirectives, ...]) -> Evict:
    """
    Read ``EVICT FROM term ...``.

    :param outer: the directives that stand before the statement.
    :raises DqlError: the tokens are no such statement.
    """
    return _removal(Evict, cursor, outer)


def _removal(kind: type[Removal], cursor: Cursor, outer: tuple[UseDirectives, ...]) -> Removal:
    start = cursor.start
    statement = cursor.word
    cursor.advance()
    given = outer + directives(cursor)
    cursor.expect("FROM")
    target = _target(cursor, statement)
    chosen = selection(cursor)
    return kind(
        term=target,
        selection=chosen,
        returning=_returning(cursor),
        directives=given,
        span=cursor.since(start),
    )
