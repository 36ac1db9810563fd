# SPDX-License-Identifier: Apache-2.0
"""
Directives: hints of a statement to the planner.

They come from ``DQL_DEFAULT_DIRECTIVES``, a comment ``/*+ {...} */``, USE DIRECTIVES and USE INDEX;
a later source overrides an earlier one.  A key that begins with ``#`` is a directive; any other key
of a comment before the statement names a collection with directives of its own.  Unknown and
inapplicable directives are ignored, as documented.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import evolve, frozen

from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.plan.catalog import Index

MAX_JOINS: Final = 10


@frozen(kw_only=True)
class Directives:
    """The directives that apply to one term of a statement."""

    #: Names of the indexes to choose from; None for any, empty for a collection scan.
    indexes: tuple[str, ...] | None = None
    disable_index_scan: bool = False
    prefer_order: bool = False
    intersects: int = 0
    max_scans: int = 5
    max_joins: int = MAX_JOINS

    def usable(self, indexes: Sequence[Index]) -> Sequence[Index]:
        """
        Return those of ``indexes`` that the directives allow, in the same order.

        If no index has a name that ``#index`` gives, all are allowed.
        """
        if self.disable_index_scan or self.indexes == ():
            return ()
        if self.indexes is None:
            return indexes
        named = [index for index in indexes if index.name in self.indexes]
        return named or indexes


def directives_of(
    defaults: Mapping[str, Value], statement: Iterable[syntax.UseDirectives], term: syntax.Term
) -> Directives:
    """
    Return the directives of a term: later and narrower sources override the others.

    :param defaults: the directives of the server, such as ``#prefer_order`` -> true.
    :param statement: the directives of the whole statement.
    """
    found = _apply(Directives(), defaults)
    for each in statement:
        content = json.loads(each.json)
        found = _apply(found, content)
        for name in (term.collection.name, term.alias):
            own = content.get(name) if name else None
            if isinstance(own, dict):
                found = _apply(found, own)
    for use in term.uses:
        if isinstance(use, syntax.UseDirectives):
            found = _apply(found, json.loads(use.json))
        elif isinstance(use, syntax.UseIndex):
            found = evolve(found, indexes=(use.name,) if use.name else ())
    return found


def _apply(directives: Directives, content: Mapping[str, Value]) -> Directives:
    if "#index" in content:
        directives = evolve(directives, indexes=_names(content["#index"]))
    return evolve(
        directives,
        disable_index_scan=_flag(content, "#disable_index_scan", directives.disable_index_scan),
        prefer_order=_flag(content, "#prefer_order", directives.prefer_order),
        intersects=_count(content, "#intersects", directives.intersects),
        max_scans=_count(content, "#max_scans", directives.max_scans),
        max_joins=_count(content, "#max_joins", directives.max_joins),
    )


def _flag(content: Mapping[str, Value], key: str, default: bool) -> bool:
    value = content.get(key)
    return value if isinstance(value, bool) else default


def _count(content: Mapping[str, Value], key: str, default: int) -> int:
    value = content.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return default


def _names(value: Value) -> tuple[str, ...] | None:
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(name for name in value if isinstance(name, str))
    return None
