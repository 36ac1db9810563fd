# SPDX-License-Identifier: Apache-2.0
"""
The plan of a statement: which documents are looked at, then what is done to them, in order.

Every node prints itself (`describe`) in the shape that EXPLAIN is documented to have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from edge_twisted.dql import syntax
from edge_twisted.dql.format import format_expression
from edge_twisted.dql.plan.access import IndexRanges

Description = dict[str, object]


class AccessPath(Protocol):
    """How the documents of one term are found."""

    def describe(self) -> Description:
        """Return the node as EXPLAIN shows it."""


@frozen(kw_only=True)
class CollectionScan:
    """Every document of a collection, those the store can tell at once left out."""

    alias: str
    collection: str
    namespace: str = "default"

    def describe(self) -> Description:
        return {
            "#operator": "scan",
            "alias": self.alias,
            "collection": self.collection,
            "datasource": self.namespace,
            "descriptor": {"path": {"full_scan": {}}},
        }


@frozen(kw_only=True)
class NoSource:
    """The single row of a SELECT without FROM."""

    def describe(self) -> Description:
        return {"#operator": "dummyScan"}


@frozen(kw_only=True)
class IdScan:
    """The documents with these ids; `lists` are arrays of ids, `ids` ids themselves."""

    alias: str
    collection: str
    ids: tuple[syntax.Expression, ...] = ()
    lists: tuple[syntax.Expression, ...] = ()

    def describe(self) -> Description:
        return {
            "#operator": "idScan",
            "alias": self.alias,
            "collection": self.collection,
            "ids": [format_expression(each) for each in self.ids]
            + [f"LIST {format_expression(each)}" for each in self.lists],
        }


@frozen(kw_only=True)
class IndexScan:
    """Intervals of an index, or all of it for the sake of its order."""

    alias: str
    collection: str
    ranges: IndexRanges
    backwards: bool = False
    #: Only ids and counts are asked for, so no document is read.
    covering: bool = False

    def describe(self) -> Description:
        index = self.ranges.index
        spans = []
        for part, key in zip(index.keys, self.ranges.keys, strict=False):
            shown = {**part.describe(), "include_missing": index.include_missing}
            range_: Description = {}
            for each in key.ranges:
                range_ |= each.describe()
            spans.append({"index_key": shown, "range": range_})
        found: Description = {
            "#operator": "indexScan",
            "alias": self.alias,
            "collection": self.collection,
            "desc": {"index": index.name, "spans": [spans]},
        }
        if self.backwards:
            found["direction"] = "backward"
        if self.covering:
            found["covering"] = True
        return found


@frozen(kw_only=True)
class UnionScan:
    """The documents that any of several accesses finds, each once."""

    children: tuple[IndexScan | IdScan, ...]

    def describe(self) -> Description:
        return {
            "#operator": "unionScan",
            "children": [child.describe() for child in self.children],
        }


@frozen(kw_only=True)
class IntersectScan:
    """The documents that all of several index scans find."""

    children: tuple[IndexScan, ...]

    def describe(self) -> Description:
        return {
            "#operator": "intersectScan",
            "children": [child.describe() for child in self.children],
        }


@frozen(kw_only=True)
class CountScan:
    """The number of documents, without reading any."""

    collection: str

    def describe(self) -> Description:
        return {"#operator": "countScan", "collection": self.collection}


DocumentAccess = CollectionScan | IdScan | IndexScan | UnionScan | IntersectScan


def sequence(steps: Sequence[Description]) -> Description:
    """Return what EXPLAIN shows for steps that run one after another."""
    return {"#operator": "sequence", "children": list(steps)}
