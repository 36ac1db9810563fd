# SPDX-License-Identifier: Apache-2.0
"""
The nodes of a plan: access paths, and their description for EXPLAIN.

Each node describes itself (`describe`) in the published shape of EXPLAIN.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from edge_twisted.dql import syntax
from edge_twisted.dql.formatter import format_expression
from edge_twisted.dql.plan.index_choice import IndexRanges

Description = dict[str, object]


@frozen(kw_only=True)
class CollectionScan:
    """A scan of all documents of a collection, from which the store may filter."""

    alias: str
    collection: str
    namespace: str = "default"

    def describe(self) -> Description:
        """Return the scan as EXPLAIN shows it."""
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
        """Return the absent source as EXPLAIN shows it."""
        return {"#operator": "dummyScan"}


@frozen(kw_only=True)
class IdScan:
    """A look-up of documents by id: `ids` are single ids, `lists` are arrays of ids."""

    alias: str
    collection: str
    ids: tuple[syntax.Expression, ...] = ()
    lists: tuple[syntax.Expression, ...] = ()

    def describe(self) -> Description:
        """Return the scan as EXPLAIN shows it, with the expressions of its ids."""
        return {
            "#operator": "idScan",
            "alias": self.alias,
            "collection": self.collection,
            "ids": [format_expression(each) for each in self.ids]
            + [f"LIST {format_expression(each)}" for each in self.lists],
        }


@frozen(kw_only=True)
class IndexScan:
    """A scan of intervals of an index, or of all of it if only its order is needed."""

    alias: str
    collection: str
    ranges: IndexRanges
    backwards: bool = False
    #: Whether the index alone answers the statement, so that no document is read.
    covering: bool = False

    def describe(self) -> Description:
        """Return the scan as EXPLAIN shows it, with a span for each key of the index."""
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
    """The union of several accesses; each document comes once."""

    children: tuple[IndexScan | IdScan, ...]

    def describe(self) -> Description:
        """Return the scan as EXPLAIN shows it, with its children."""
        return {
            "#operator": "unionScan",
            "children": [child.describe() for child in self.children],
        }


@frozen(kw_only=True)
class IntersectScan:
    """The intersection of several index scans."""

    children: tuple[IndexScan, ...]

    def describe(self) -> Description:
        """Return the scan as EXPLAIN shows it, with its children."""
        return {
            "#operator": "intersectScan",
            "children": [child.describe() for child in self.children],
        }


@frozen(kw_only=True)
class CountScan:
    """The number of documents of a collection, without reading any."""

    collection: str

    def describe(self) -> Description:
        """Return the count as EXPLAIN shows it."""
        return {"#operator": "countScan", "collection": self.collection}


DocumentAccess = CollectionScan | IdScan | IndexScan | UnionScan | IntersectScan


def sequence(steps: Sequence[Description]) -> Description:
    """Return the description, for EXPLAIN, of steps that run one after another."""
    return {"#operator": "sequence", "children": list(steps)}
