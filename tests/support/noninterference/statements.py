# SPDX-License-Identifier: Apache-2.0
"""
Statements of every kind, by a caller who would like to know what is hidden.

Half of them come from the grammar of the fuzzers, which knows the whole language; the others ask
after the fields, ids and collections of `worlds`, and raise errors on what they should not see.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from edge_twisted.documents.values import Value
from tests.support.grammar_dql import VIRTUALS, Entropy, Grammar
from tests.support.noninterference.worlds import TOKEN

Call = tuple[str, dict[str, Value]]

#: Bytes of chance for a statement of the grammar: more are hardly used.
_ENTROPY_BYTES: Final = 120
ARGUMENTS: Final[dict[str, Value]] = {
    "p": 1, "q": 0, "d": {"_id": 7, "n": 1, "s": "x", "o": {"p": 2}, "owner": "till", "level": 1},
}  # fmt: skip
FIELDS: Final = (
    "n",
    "s",
    "secret",
    "owner",
    "level",
    "public",
    "tags",
    "o",
    "o.p",
    "_id",
    "zz",
    "file",
)
LITERALS: Final = ("0", "1", "2", "2.5", "'x'", "'hunter2'", "'till'", "'other'", "NULL", "''", "5")
IDS: Final = (
    "'hidden-a-0'", "'hidden-a-1'", "'hidden-d-0'", "'hidden-d-2'", "'hidden-c-0'", "'seen-0'",
    "'seen-1'", "10", "11", "'nobody'",
)  # fmt: skip
#: Expressions that fail for some documents: whoever sees them fail knows that there is one.
FAILING: Final = (
    "s LIKE s ESCAPE s",
    "regexp_like(s, s)",
    "secret SIMILAR TO s",
    "repeat(s, 9000000) = 'x'",
    "deserialize_json(s || secret) = 1",
    "secret LIKE secret ESCAPE secret",
)
POLICIES: Final = (
    "", " ON ID CONFLICT DO NOTHING", " ON ID CONFLICT DO UPDATE",
    " ON ID CONFLICT DO UPDATE_LOCAL_DIFF", " ON ID CONFLICT FAIL",
)  # fmt: skip


class Questions:
    """Makes statements, by one source of chance."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def statement(self) -> Call:
        """Return a statement with its arguments."""
        text = self._text()
        return text, {name: value for name, value in ARGUMENTS.items() if f":{name}" in text}

    def conflicting(self, id_: str) -> Call:
        """Return an INSERT of a document with an id that is taken."""
        return self._insert(f"'{id_}'"), {}

    def _text(self) -> str:
        one = self._random.choice
        if self._random.random() < 0.4:
            return Grammar(Entropy(self._random.randbytes(_ENTROPY_BYTES))).statement()
        kinds: tuple[Callable[[], str], ...] = (
            self._select, self._select, self._select, self._grouped, self._joined, self._counted,
            self._update, self._removal, self._inserted, self._copied, self._system, self._about,
            self._about, self._about,
        )  # fmt: skip
        return one(kinds)()

    # -- parts

    def _condition(self, depth: int = 2, prefix: str = "") -> str:
        one, field = self._random.choice, prefix + self._random.choice(FIELDS)
        inner = lambda: self._condition(depth - 1, prefix)  # noqa: E731 - short for three places
        simple = (
            f"{field} {one(('=', '<', '>=', '!=', '<='))} {one(LITERALS)}",
            f"{field} IS {one(('', 'NOT '))}{one(('NULL', 'MISSING'))}",
            f"{field} LIKE {one(LITERALS)} || '%'",
            f"{prefix}_id IN ({one(IDS)}, {one(IDS)})",
            f"{prefix}_id = {one(IDS)}",
            f"{field} BETWEEN {one(LITERALS)} AND {one(LITERALS)}",
            f"ANY v IN {prefix}tags SATISFIES v = {one(LITERALS)} END",
            one(FAILING) if not prefix else f"regexp_like({prefix}s, {prefix}s)",
        )
        if depth and self._random.random() < 0.5:
            form = one(("({} AND {})", "({} OR {})", "NOT ({} OR {})"))
            return form.format(inner(), inner())
        return one(simple)

    def _where(self) -> str:
        return f" WHERE {self._condition()}" if self._random.random() < 0.75 else ""

    def _tail(self) -> str:
        one = self._random.choice
        order = one(("", "", f" ORDER BY {one(FIELDS)}{one(('', ' DESC'))}", " ORDER BY n, s DESC"))
        return f"{order}{one(('', '', ' LIMIT 1', ' LIMIT 3', ' LIMIT :p'))}" + one(
            ("", "", " OFFSET 1", " OFFSET 2")
        )

    def _term(self) -> str:
        one = self._random.choice
        name = one(("a", "a", "a u", "d", "d", "b", "c", "ghosts", "COLLECTION a (o MAP)"))
        return name + one(("", "", "", self._use()))

    def _use(self) -> str:
        one = self._random.choice
        return one(
            (
                f" USE IDS {one(IDS)}, {one(IDS)}, {one(IDS)}",
                f" USE IDS LIST [{one(IDS)}, {one(IDS)}]",
                f" USE INDEX '{one(('i', 'owners', 'secrets', 'levels', 'of_c', 'none'))}'",
                ' USE DIRECTIVES \'{"#intersects": 3, "#prefer_order": true}\'',
            )
        )

    def _projection(self) -> str:
        one = self._random.choice
        return one(
            ("*", "*", one(FIELDS), f"{one(FIELDS)}, {one(FIELDS)} AS y", "_id", one(FAILING))
        )

    # -- statements

    def _select(self) -> str:
        distinct = self._random.choice(("", "", "", "DISTINCT "))
        projection, where = self._projection(), self._where()
        return f"SELECT {distinct}{projection} FROM {self._term()}{where}{self._tail()}"

    def _grouped(self) -> str:
        one = self._random.choice
        aggregate = f"{one(('COUNT', 'MAX', 'MIN', 'SUM', 'AVG', 'MEDIAN'))}({one(FIELDS)})"
        key = one(FIELDS)
        having = one(("", f" HAVING {aggregate} > 0"))
        return (
            f"SELECT {key} AS k, {aggregate} AS m FROM {self._term()}{self._where()}"
            f" GROUP BY {key}{having}"
        )

    def _counted(self) -> str:
        return f"SELECT COUNT(*) AS n FROM {self._term()}{self._where()}"

    def _joined(self) -> str:
        one = self._random.choice
        kind = one(("JOIN", "LEFT JOIN", "RIGHT JOIN"))
        left, right = one((("a", "d"), ("d", "a"), ("b", "a"), ("a", "b"), ("a", "c")))
        on = one(("x._id = y._id", "x.n = y.n", "x.secret = y.secret", "TRUE", "x.n < y.n"))
        shown = one(("*", "x.*, y.secret", "x._id, y._id AS i", "COUNT(*) AS n"))
        where = one(
            ("", f" WHERE {self._condition(1, 'x.')}", f" WHERE {self._condition(1, 'y.')}")
        )
        return f"SELECT {shown} FROM {left} x {kind} {right} y ON {on}{where}"

    def _returning(self) -> str:
        return self._random.choice(("", " RETURNING *", " RETURNING COUNT(*) AS n"))

    def _update(self) -> str:
        one = self._random.choice
        what = one(("SET n = 1", "SET secret = 'x'", "SET n = o.p, s = secret", "UNSET secret",
                    "APPLY hits INCREMENT BY 1", "SET owner = 'x'", "SET level = 2",
                    f"SET file = {TOKEN}"))  # fmt: skip
        name = one(("a", "a", "d", "b", "c"))
        return f"UPDATE {name} {what}{self._where()}{self._tail()}{self._returning()}"

    def _removal(self) -> str:
        one = self._random.choice
        use = one(("", "", f" USE IDS {one(IDS)}, {one(IDS)}"))
        # Without a condition little would be left to ask after.
        where = f" WHERE {self._condition(1)}"
        return (
            f"{one(('DELETE', 'EVICT'))} FROM {one(('a', 'd', 'b', 'c'))}{use}{where}{self._tail()}"
        )

    def _inserted(self) -> str:
        return self._insert(self._random.choice(("'seen-0'", "'seen-1'", "10", "'mine'", "7")))

    def _insert(self, id_: str) -> str:
        one = self._random.choice
        name = id_.split("-")[1] if id_.startswith("'hidden") else one(("a", "d", "b"))
        document = (
            f"{{'_id': {id_}, 'n': {one(LITERALS)}, 'owner': 'till', 'level': 1, 's': 'x',"
            f" 'readers': ['till'], 'o': {{'p': 1, 'pattern': 'no'}}}}"
        )
        if self._random.random() < 0.15:
            return f"INSERT INTO {name} INITIAL DOCUMENTS ({document}){self._returning()}"
        return f"INSERT INTO {name} DOCUMENTS ({document}){one(POLICIES)}{self._returning()}"

    def _copied(self) -> str:
        one = self._random.choice
        return (
            f"INSERT INTO {one(('a', 'b', 'd'))} SELECT * FROM {one(('a', 'd', 'b'))}"
            f"{self._where()}{one(POLICIES)}{self._returning()}"
        )

    def _system(self) -> str:
        one = self._random.choice
        open_ = ("collections", "collections", "indexes", "data_sync_info", "dual")
        name = one((*open_, one(VIRTUALS)))
        where = one(("", "", " WHERE name = 'a'", " WHERE count > 3", " WHERE _id LIKE 'g%'"))
        shown = one(("*", "*", "COUNT(*) AS n", "SUM(count) AS total", "name, count"))
        asked = f"SELECT {shown} FROM system:{name}{where}"
        return one((asked, asked, f"PROFILE {asked}", "SHOW ALL", "SHOW dql_strict_mode"))

    def _about(self) -> str:
        kinds = (self._select, self._grouped, self._joined, self._counted, self._update,
                 self._removal, self._inserted, self._copied)  # fmt: skip
        word = self._random.choice(("EXPLAIN", "PROFILE", "PROFILE", "PROFILE", "ADVISE"))
        return f"{word} {self._random.choice(kinds)()}"
