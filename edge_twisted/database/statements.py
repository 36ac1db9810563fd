# SPDX-License-Identifier: Apache-2.0
"""Statements that were seen before, and need not be parsed or planned again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from typing import Generic, TypeVar

from attrs import define, evolve

from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import ArgumentError
from edge_twisted.dql.parser import Parsed, parse

T = TypeVar("T")


class Cache(Generic[T]):
    """The most recently used of what was made; any thread may ask."""

    def __init__(self, size: Callable[[], int]) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `key` stands for, made now if it is not kept."""
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = make()
        # Each step is atomic by itself; what another thread threw out in between is made again.
        with suppress(KeyError):
            self._kept.move_to_end(key)
            while len(self._kept) > self._size():
                self._kept.popitem(last=False)
        return found

    def peek(self, key: Hashable) -> T | None:
        """Return what is kept under a key, if anything is."""
        return self._kept.get(key)

    def values(self) -> list[T]:
        """Return all that is kept, in no promised order; on any thread."""
        return list(self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)


#: Texts longer than this are not kept: they are generated, and hardly come again.
CACHED_TEXT_LIMIT = 16_384


#: Texts longer than this are parsed and planned off the reactor's thread: a kilobyte takes 1 to
#: 2 ms to parse, twice that on a small device.
LONG_TEXT = 2_048

#: The older spelling of ``system:collections``.
LEGACY_COLLECTIONS = "__collections"


@define(eq=False)
class _Kept:
    parsed: Parsed
    uses: int = 0


class Statements:
    """Parses, and remembers what it parsed."""

    def __init__(self, size: Callable[[], int]) -> None:
        self._kept: Cache[_Kept] = Cache(size)

    def known(self, text: str) -> Parsed | None:
        """Return a statement that was parsed before, if it is still kept."""
        kept = self._kept.peek(text)
        return None if kept is None else self.parse(text)

    def parse(self, text: str) -> Parsed:
        """:raises DqlError: the text is no statement."""
        if len(text) > CACHED_TEXT_LIMIT:
            return _parsed(text)
        kept = self._kept.get(text, lambda: _Kept(_parsed(text)))
        kept.uses += 1
        return kept.parsed

    def rows(self) -> Iterator[dict[str, Value]]:
        """Yield what is kept as documents: ``system:shared_statements``."""
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


def _parsed(text: str) -> Parsed:
    parsed = parse(text)
    if LEGACY_COLLECTIONS not in text:
        return parsed
    return evolve(parsed, statement=_modern(parsed.statement))


def _modern(statement: syntax.Statement) -> syntax.Statement:
    """Return a statement with the virtual collection under its name of today."""

    changed: list[syntax.CollectionRef] = []

    def renamed(node: syntax.Node) -> syntax.Node:
        match node:
            case syntax.CollectionRef(namespace=None, name=name) if name == LEGACY_COLLECTIONS:
                changed.append(evolve(node, namespace="system", name="collections"))
                return changed[-1]
            case syntax.Term(collection=reference, alias=None) if any(
                reference is each for each in changed
            ):
                return evolve(node, alias=LEGACY_COLLECTIONS)
        return node

    found = syntax.mapped(statement, renamed)
    assert isinstance(found, syntax.Statement)
    return found


def check_arguments(parsed: Parsed, arguments: Mapping[str, Value]) -> None:
    """:raises ArgumentError: a parameter has no argument, or an argument no parameter."""
    for name, span in parsed.parameters.items():
        if name not in arguments:
            raise ArgumentError(f"Parameter {name} was not provided", span, parsed.source)
    for name in arguments:
        if name not in parsed.parameters:
            raise ArgumentError(
                f"Argument {name} is not used by the statement", None, parsed.source
            )
