# SPDX-License-Identifier: Apache-2.0
"""Which collections, and how many documents of them, the virtual collections tell a caller of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from attrs import frozen

from edge_twisted.database.permissions import Access
from edge_twisted.dql import syntax
from edge_twisted.store.rows import CollectionInfo

#: The name under which `count_of` counts.
COUNT: Final = "n"


class Viewer(Protocol):
    """Whoever looks at a virtual collection."""

    def may_read(self, collection: str) -> bool:
        """Return whether the viewer may read documents of a collection, all or some."""

    def count(self, collection: CollectionInfo) -> int | None:
        """
        Return how many documents of a collection the viewer may read.

        None: the viewer is not told that the collection is there.
        """


class Everybody:
    """A viewer who may read everything."""

    def may_read(self, collection: str) -> bool:
        return True

    def count(self, collection: CollectionInfo) -> int | None:
        return collection.count


EVERYBODY: Final = Everybody()


@frozen
class RestrictedViewer:
    """A viewer with rules; `_count_visible` counts the documents that one of them shows."""

    _access: Access
    _count_visible: Callable[[str], int]

    def may_read(self, collection: str) -> bool:
        return self._access.read(collection) is not False

    def count(self, collection: CollectionInfo) -> int | None:
        rule = self._access.read(collection.name)
        if isinstance(rule, bool):
            return collection.count if rule else None
        # One that only hides something is not there, as if it had never held anything.
        return self._count_visible(collection.name) or None


def count_of(collection: syntax.CollectionRef) -> syntax.Select:
    """Return the statement that counts the documents of a collection."""
    counted = syntax.Projected(syntax.Call("count", (), star=True), COUNT)
    return syntax.Select(projections=(counted,), source=syntax.Term(collection))
