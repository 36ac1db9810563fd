# SPDX-License-Identifier: Apache-2.0
"""Statements that were seen before, and need not be parsed or planned again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from typing import Generic, TypeVar

from edge_twisted.documents.values import Value
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


#: Texts longer than this are not kept: they are generated, and hardly come again.
CACHED_TEXT_LIMIT = 16_384


class Statements:
    """Parses, and remembers what it parsed."""

    def __init__(self, size: Callable[[], int]) -> None:
        self._parsed: Cache[Parsed] = Cache(size)

    def parse(self, text: str) -> Parsed:
        """:raises DqlError: the text is no statement."""
        if len(text) > CACHED_TEXT_LIMIT:
            return parse(text)
        return self._parsed.get(text, lambda: parse(text))


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
