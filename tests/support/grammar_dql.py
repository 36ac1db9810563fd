# SPDX-License-Identifier: Apache-2.0
"""
Statements made from bytes: each byte decides one choice of the grammar, so a fuzzer that changes
bytes changes statements, and the same bytes are the same statement.

What is made nearly always parses and mostly means something; the collections are ``a`` and ``b``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from attrs import define

from edge_twisted.dql.functions.aggregates import AGGREGATES
from edge_twisted.dql.functions.registry import FUNCTIONS

T = TypeVar("T")

LITERALS: Final = (
    "1", "0", "-1", "2.5", "1e308", "9223372036854775807", "-9223372036854775808", "0x10",
    "'x'", "''", "'2026-03-15T10:30:45Z'", "'day'", "'%a_'", "'(a|b)*'", "'1h30m'", "'é😀'",
    "NULL", "TRUE", "FALSE", "MISSING", "[1, 'x', NULL]", "{'k': 1, 'o': {'p': 2}}", "[]", "{}",
    "'YYYY-MM-DD'", "'%Y'", "'Asia/Tokyo'", "100000000", "'[[1]]'", "'i'",
)  # fmt: skip
PATHS: Final = (
    "n", "s", "o.p", "o", "tags", "_id", "nothing", "a.n", "o.p.q", "`odd name`", "value", "d",
)  # fmt: skip
BINARIES: Final = (
    "+", "-", "*", "/", "%", "||", "<<", ">>", "=", "==", "!=", "<>", "<", "<=", ">", ">=",
    "IN", "NOT IN", "LIKE", "NOT LIKE", "ILIKE", "SIMILAR TO", "AND", "OR", "XOR",
)  # fmt: skip
VIRTUALS: Final = (
    "dual", "indexes", "collections", "system_info", "data_sync_info", "moved_out", "vitals",
    "active_requests", "request_history", "shared_statements", "metrics", "nothing",
)  # fmt: skip
PARAMETERS: Final = (
    "dql_strict_mode", "tombstone_ttl_hours", "dql_default_directives", "nothing",
    "dql_request_history_size", "dql_select_strict_mode", "dql_object_default",
    "document_size_hard_limit_bytes", "user_collection_sync_scopes",
)  # fmt: skip
PATTERNS: Final = ("'%'", "'dql_%'", "'a!%' ESCAPE '!'", "'\\\\'", "'%' ESCAPE 'no'")
TYPES: Final = ("REGISTER", "MAP", "COUNTER", "PN_COUNTER", "ATTACHMENT", "MAP(p MAP(q REGISTER))")
#: Deeper expressions take longer and find nothing new.
DEPTH: Final = 4


@define
class Entropy:
    """Bytes, used up from the front; when they are gone every choice is the first one."""

    data: bytes
    at: int = 0

    def below(self, count: int) -> int:
        """Return a number from 0 to `count` - 1."""
        if self.at >= len(self.data):
            return 0
        self.at += 1
        return self.data[self.at - 1] % count

    def one(self, choices: Sequence[T]) -> T:
        """Return one of several."""
        return choices[self.below(len(choices))]

    def some(self, make: Callable[[], str], most: int = 3, least: int = 1) -> str:
        """Return a list, with commas, of `least` to `most` things."""
        return ", ".join(make() for _ in range(least + self.below(most - least + 1)))

    def maybe(self, make: Callable[[], str]) -> str:
        """Return something or nothing."""
        return make() if self.below(2) else ""


class Grammar:
    """Writes statements."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy

    def statement(self) -> str:
        """Return any statement."""
        return self._entropy.one(
            (
                self.select, self.select, self.select, self.insert, self.update, self.removal,
                self.index, self.system, self.about,
            )
        )()  # fmt: skip

    # -- statements

    def select(self) -> str:
        """Return a SELECT over one collection, several, or none."""
        e = self._entropy
        projection = e.one(("*", "a.*, MISSING o.p", "", "", "DISTINCT ", "COUNT(*) AS c"))
        if projection in ("", "DISTINCT "):
            projection += e.some(self.projected)
        source = e.one((self.term, self.term, self.joined, lambda: ""))()
        grouped = e.maybe(lambda: f" GROUP BY {e.some(self.simple, 2)}{e.maybe(self.having)}")
        return f"SELECT {projection}{source}{self.where()}{grouped}{self.tail()}"

    def projected(self) -> str:
        """Return one element of a projection."""
        e = self._entropy
        made = e.one((self.expression, self.expression, self.aggregate))()
        return f"{made}{e.one(('', ' AS x', ' AS y', ' AS `z z`'))}"

    def aggregate(self) -> str:
        """Return the call of an aggregate."""
        e = self._entropy
        return f"{e.one(tuple(AGGREGATES))}({e.one(('', 'DISTINCT '))}{self.expression()})"

    def term(self) -> str:
        """Return FROM one collection."""
        e = self._entropy
        name = e.one(("a", "a", "b", "nowhere", f"system:{e.one(VIRTUALS)}", "default:a"))
        if name == "a":
            name = e.one(("a", "a", f"COLLECTION a ({e.one(PATHS)} {e.one(TYPES)})"))
        return f" FROM {name}{e.maybe(self.use)}"

    def use(self) -> str:
        """Return a USE clause."""
        e = self._entropy
        return e.one(
            (
                f" USE IDS {e.some(self.simple)}", f" USE IDS LIST {self.simple()}",
                f" USE INDEX '{e.one(('', 'i', 'j', 'unknown'))}'",
                ' USE DIRECTIVES \'{"#prefer_order": true, "#intersects": 3, "#index": null}\'',
            )
        )  # fmt: skip

    def joined(self) -> str:
        """Return FROM two or three collections."""
        e = self._entropy
        kinds = ("JOIN", "LEFT JOIN", "RIGHT JOIN", "INNER JOIN")
        on = e.one(("a.n = b.n", "a.s = b._id", "b._id = a.n AND a.s = b.s", "TRUE", "a.n < b.n"))
        third = e.one(("", "", " LEFT JOIN a c ON c._id = b._id", " JOIN system:dual e ON TRUE"))
        return f" FROM a {e.one(kinds)} b{e.maybe(self.use)} ON {on}{third}"

    def where(self) -> str:
        """Return a WHERE clause, or none."""
        return self._entropy.maybe(lambda: f" WHERE {self.expression()}")

    def having(self) -> str:
        """Return a HAVING clause."""
        return f" HAVING {self.aggregate()} > {self.simple()}"

    def tail(self) -> str:
        """Return ORDER BY, LIMIT and OFFSET, each or none."""
        e = self._entropy
        order = e.maybe(lambda: f" ORDER BY {e.some(self.expression, 2)}{e.one((' DESC', ''))}")
        limit = e.one(("", "", " LIMIT 2", " LIMIT :p", " LIMIT 0"))
        return f"{order}{limit}{e.one(('', '', ' OFFSET 1', ' OFFSET :q'))}"

    def returning(self) -> str:
        """Return a RETURNING clause, or none."""
        e = self._entropy
        shown = e.one(("*", "COUNT(*) AS n", "a.*, MISSING n", ""))
        return e.maybe(lambda: f" RETURNING {shown or e.some(self.projected, 2)}")

    def insert(self) -> str:
        """Return an INSERT."""
        e = self._entropy
        conflict = e.one(
            ("", " ON ID CONFLICT DO NOTHING", " ON ID CONFLICT DO UPDATE",
             " ON ID CONFLICT DO UPDATE_LOCAL_DIFF", " ON ID CONFLICT FAIL")
        )  # fmt: skip
        target = e.one(("a", "b", f"COLLECTION a ({e.one(PATHS)} {e.one(TYPES)})"))
        kind = e.below(4)
        if kind == 0:
            return f"INSERT INTO {target} {self.select()}{conflict}{self.returning()}"
        word = "INITIAL DOCUMENTS" if kind == 1 else "DOCUMENTS"
        conflict = "" if kind == 1 else conflict
        return f"INSERT INTO {target} {word} {e.some(self.document)}{conflict}{self.returning()}"

    def document(self) -> str:
        """Return one document of an INSERT."""
        e = self._entropy
        id_ = e.maybe(lambda: f"'_id': {self.literal()}, ")
        field = e.one(("n", "s", "o", "tags", "d"))
        return e.one((f"({{{id_}'{field}': {self.literal()}}})", "(:d)", f"({self.literal()})"))

    def update(self) -> str:
        """Return an UPDATE."""
        e = self._entropy
        applied = e.maybe(lambda: f" APPLY {e.some(self.applied, 2)}")
        unset = e.maybe(lambda: f" UNSET {e.some(self.path, 2)}")
        assigned = e.maybe(lambda: f" SET {e.some(self.assigned, 2)}")
        if not (applied or unset or assigned):
            assigned = f" SET n = {self.expression()}"
        target = e.one(("a", "a x", "b", f"COLLECTION a ({e.one(PATHS)} {e.one(TYPES)})"))
        changes = f"{applied}{assigned}{unset}"
        return f"UPDATE {target}{changes}{self.where()}{self.tail()}{self.returning()}"

    def applied(self) -> str:
        """Return one element of APPLY."""
        how = self._entropy.one(("INCREMENT BY", "RESTART WITH", "PN_INCREMENT BY"))
        return f"{self.path()} {how} {self.simple()}"

    def assigned(self) -> str:
        """Return one assignment, or a mutator of 4.x."""
        e = self._entropy
        plain = f"{self.path()} = {self.expression()}"
        return e.one((plain, plain, "o -> (p = 1, q -> tombstone())", "o -> default()"))

    def removal(self) -> str:
        """Return a DELETE or EVICT."""
        e = self._entropy
        verb = e.one(("DELETE", "EVICT", "TOMBSTONE"))
        target = e.one((" FROM a", " FROM b", " FROM system:request_history"))
        use = e.maybe(self.use)
        return f"{verb}{target}{use}{self.where()}{self.tail()}{self.returning()}"

    def index(self) -> str:
        """Return a CREATE or DROP INDEX."""
        e = self._entropy
        name = e.one(("i", "j", "k"))
        if e.below(3) == 0:
            return f"DROP INDEX {e.one(('', 'IF EXISTS '))}{name} ON a"
        keys = e.some(lambda: f"{self.path()}{e.one(('', ' DESC'))}")
        return f"CREATE INDEX {e.one(('', 'IF NOT EXISTS '))}{name} ON a ({keys})"

    def system(self) -> str:
        """Return a statement about system parameters."""
        e = self._entropy
        name = e.one(PARAMETERS)
        return e.one(
            (
                f"SHOW {name}", "SHOW ALL", f"SHOW ALL LIKE {e.one(PATTERNS)}",
                f"ALTER SYSTEM SET {name} = {self.simple()}", f"ALTER SYSTEM RESET {name}",
                "ALTER SYSTEM RESET ALL",
            )
        )  # fmt: skip

    def about(self) -> str:
        """Return a statement about a statement."""
        e = self._entropy
        word = e.one(("EXPLAIN", "PROFILE", "ADVISE", "ADVISE AND PROVISION"))
        return f"{word} {e.one((self.select, self.update, self.removal, self.insert))()}"

    # -- expressions

    def literal(self) -> str:
        """Return a literal."""
        return self._entropy.one(LITERALS)

    def path(self) -> str:
        """Return a path."""
        return self._entropy.one(PATHS)

    def simple(self) -> str:
        """Return an expression of one part."""
        return self._entropy.one((self.literal, self.path, lambda: ":p", lambda: ":d"))()

    def expression(self, depth: int = DEPTH) -> str:
        """Return any expression."""
        e = self._entropy
        if depth == 0:
            return self.simple()
        inner = lambda: self.expression(depth - 1)  # noqa: E731 - a name for what all have in common
        return e.one(
            (
                self.simple,
                self.simple,
                lambda: f"({inner()} {e.one(BINARIES)} {inner()})",
                lambda: f"({inner()} {e.one(BINARIES)} {inner()})",
                lambda: self._called(inner),
                lambda: self._called(inner),
                lambda: f"{e.one(('NOT', '-'))} ({inner()})",
                lambda: f"({inner()} IS {e.one(('', 'NOT '))}{e.one(('NULL', 'MISSING'))})",
                lambda: f"({inner()} {e.one(('', 'NOT '))}BETWEEN {inner()} AND {inner()})",
                lambda: f"CASE WHEN {inner()} THEN {inner()} ELSE {inner()} END",
                lambda: f"CASE {inner()} WHEN {inner()} THEN {inner()} END",
                lambda: f"({inner()} IN ({e.some(inner)}))",
                lambda: f"[{e.some(inner, least=0)}]",
                lambda: f"{{'k': {inner()}, {inner()}: {inner()}}}",
                lambda: f"CAST({inner()} AS {e.one(('string', 'integer', 'binary', 'odd'))})",
                lambda: self._ranged(inner),
            )
        )()

    def _called(self, inner: Callable[[], str]) -> str:
        e = self._entropy
        function = e.one(tuple(FUNCTIONS.values()))
        most = function.max_args if function.max_args is not None else function.min_args + 2
        count = function.min_args + e.below(most - function.min_args + 1)
        return f"`{function.name}`({', '.join(inner() for _ in range(count))})"

    def _ranged(self, inner: Callable[[], str]) -> str:
        e = self._entropy
        binding = f"{e.one(('v', 'i:v'))} {e.one(('IN', 'WITHIN'))} {inner()}"
        return e.one(
            (
                f"{e.one(('ANY', 'EVERY', 'ANY AND EVERY'))} {binding} SATISFIES v = {inner()} END",
                f"ARRAY v FOR {binding} WHEN {inner()} END",
                f"OBJECT v : {inner()} FOR {binding} END",
            )
        )
