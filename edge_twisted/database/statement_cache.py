# SPDX-License-Identifier: Apache-2.0
"""Cache of statements: parsed once, planned once for each set of permissions and parameters."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import evolve

from edge_twisted.database.admission import is_limited
from edge_twisted.database.inline_policy import InlinePolicy
from edge_twisted.database.permissions import rule_name_of
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import UnsupportedError
from edge_twisted.dql.parser import ParsedStatement, parse
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.store.hidden import PREFIX, RESERVED, is_hidden

T = TypeVar("T")


class Cache(Generic[T]):
    """A cache of the most recently used values; any thread may use it."""

    def __init__(self, size: Callable[[], int]) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """
        Return the value of a key, made now by `make` if it is not cached.

        Drops the least recently used values beyond the size.
        """
        found = self.use(key)
        if found is not None:
            return found
        found = self._kept[key] = make()
        with suppress(KeyError):
            while len(self._kept) > self._size():
                self._kept.popitem(last=False)
        return found

    def shrink(self, weigh: Callable[[Hashable], int], most: int) -> int:
        """Drop the least recently used until the keys weigh at most `most`; return their weight."""
        weight = sum(map(weigh, list(self._kept)))
        with suppress(KeyError):
            while weight > most:
                weight -= weigh(self._kept.popitem(last=False)[0])
        return weight

    def use(self, key: Hashable) -> T | None:
        """Return the value of a key, None without one; it is the most recently used from now on."""
        found = self._kept.get(key)
        if found is not None:
            # Each step is atomic; a value that another thread dropped in between stays dropped.
            try:  # noqa: SIM105 - `suppress` would cost as much as all the rest
                self._kept.move_to_end(key)
            except KeyError:
                pass
        return found

    def peek(self, key: Hashable) -> T | None:
        """Return the value of a key, None without one; does not count as a use."""
        return self._kept.get(key)

    def values(self) -> list[T]:
        """Return all values, in no particular order."""
        return list(self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)


#: Texts longer than this are not cached: they are generated, and rarely repeated.
CACHED_TEXT_LIMIT = 16_384


#: Characters of all cached texts together.  A syntax tree takes 50 times the memory of its text,
#: the plans as much again, so the cache takes some 25 MiB at most, whatever clients send.
KEPT_TEXT_TOTAL = 262_144

#: Texts longer than this are parsed and planned off the reactor thread: a kilobyte takes 1 to
#: 2 ms to parse, twice that on a small device.
LONG_TEXT = 2_048

#: The older spelling of ``system:collections``.
LEGACY_COLLECTIONS = "__collections"


#: Plans kept of one statement, one for each set of permissions and parameters.  Bounded, because
#: a rule with ``identity`` makes a plan for each caller.
CACHED_PLANS = 32


def _cached_plans() -> int:
    return CACHED_PLANS


class PreparedStatement:
    """
    A parsed statement, and what was made from it that does not depend on arguments.

    Several threads may use it at once; at worst, two of them make the same value.  It belongs to
    one text, not to all texts of equal meaning, because errors of its plans point into the text.
    """

    __slots__ = (
        "collections",
        "inline",
        "is_limited",
        "is_long",
        "made",
        "parse_seconds",
        "parsed",
        "plans",
        "statement",
        "uses",
    )

    def __init__(
        self,
        parsed: ParsedStatement,
        parse_seconds: float,
        statement: syntax.Statement | None = None,
    ) -> None:
        self.parsed = parsed
        self.parse_seconds = parse_seconds
        self.uses = 0
        #: Whether planning may take longer than the reactor thread may be held.
        self.is_long = len(parsed.source.text) > LONG_TEXT
        self.statement = statement or parsed.statement
        self.is_limited = is_limited(self.statement)
        self.collections = collections_of(self.statement)
        self.plans: Cache[QueryPlan] = Cache(_cached_plans)
        #: Decides whether its SELECTs run on the reactor thread.
        self.inline = InlinePolicy()
        #: Values that the executions of a mutation share, by name.
        self.made: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return the value `name` that the executions share, made by `make` if there is none."""
        try:
            found: T = self.made[name]
        except KeyError:
            found = self.made[name] = make()
        return found

    def inner(self, statement: syntax.Statement) -> PreparedStatement:
        """Return a statement inside this one (of EXPLAIN), prepared, with plans of its own."""
        return self.once(
            "inner", lambda: PreparedStatement(self.parsed, self.parse_seconds, statement)
        )


def collections_of(statement: syntax.Statement) -> tuple[str, ...]:
    """Return the names of a statement's collections as permission rules call them, each once."""
    found = [
        rule_name_of(each) for each in statement.walk() if isinstance(each, syntax.CollectionRef)
    ]
    return tuple(dict.fromkeys(found))


class StatementCache:
    """Parses statements and caches them; `now` returns seconds of a clock."""

    def __init__(self, size: Callable[[], int], now: Callable[[], float]) -> None:
        self._kept: Cache[PreparedStatement] = Cache(size)
        #: Upper bound of the characters of all cached texts; dropped ones are not subtracted.
        self._length = 0
        self._now = now

    def is_known(self, text: str) -> bool:
        """Return whether the statement of this text is cached, so that `prepare` is quick."""
        return self._kept.peek(text) is not None

    def prepare(self, text: str) -> PreparedStatement:
        """
        Return the statement of a text, from the cache or parsed now.

        :raises DqlError: the text does not parse, or names a hidden collection.
        """
        if len(text) > CACHED_TEXT_LIMIT:
            return self._prepare(text)
        kept = self._kept.use(text)
        if kept is None:
            kept = self._kept.get(text, partial(self._prepare_to_keep, text))
        kept.uses += 1
        return kept

    def _prepare_to_keep(self, text: str) -> PreparedStatement:
        made = self._prepare(text)
        self._length += len(text)
        if self._length > KEPT_TEXT_TOTAL:
            # Down to three quarters of the bound, so that shrinking is rare.
            self._length = len(text) + self._kept.shrink(_length_of, KEPT_TEXT_TOTAL * 3 // 4)
        return made

    def _prepare(self, text: str) -> PreparedStatement:
        begun = self._now()
        parsed = _parse(text)
        return PreparedStatement(parsed, self._now() - begun)

    def rows(self) -> Iterator[dict[str, Value]]:
        """Yield the documents of ``system:shared_statements``, one for each cached statement."""
        for kept in self._kept.values():
            text = kept.parsed.source.text
            yield {
                "_id": hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
                "text": text,
                "queryType": kept.parsed.statement.query_type,
                "parameters": [*kept.parsed.parameters],
                "uses": kept.uses,
            }

    def __len__(self) -> int:
        return len(self._kept)


def _length_of(text: Hashable) -> int:
    assert isinstance(text, str)
    return len(text)


def _parse(text: str) -> ParsedStatement:
    parsed = parse(text)
    if PREFIX in text:
        _check_names(parsed)
    if LEGACY_COLLECTIONS not in text:
        return parsed
    return evolve(parsed, statement=_modernize(parsed.statement))


def _check_names(parsed: ParsedStatement) -> None:
    """:raises DqlError: the statement names a hidden collection."""
    for node in parsed.statement.walk():
        if isinstance(node, syntax.CollectionRef) and is_hidden(node.name):
            raise UnsupportedError(RESERVED, node.span).within(parsed.source)


def _modernize(statement: syntax.Statement) -> syntax.Statement:
    """Replace the legacy name of a virtual collection by ``system:collections``."""

    changed: list[syntax.CollectionRef] = []

    def rename(node: syntax.Node) -> syntax.Node:
        match node:
            case syntax.CollectionRef(namespace=None, name=name) if name == LEGACY_COLLECTIONS:
                changed.append(evolve(node, namespace="system", name="collections"))
                return changed[-1]
            case syntax.Term(collection=reference, alias=None) if any(
                reference is each for each in changed
            ):
                return evolve(node, alias=LEGACY_COLLECTIONS)
        return node

    found = syntax.map_tree(statement, rename)
    assert isinstance(found, syntax.Statement)
    return found
