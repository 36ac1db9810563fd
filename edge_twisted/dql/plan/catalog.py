# SPDX-License-Identifier: Apache-2.0
"""The catalog of a database as the planner sees it: the indexes of collections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen


@frozen
class KeyPart:
    """One key of an index: the path into the document, and its direction."""

    path: tuple[str, ...]
    descending: bool = False

    def describe(self) -> dict[str, object]:
        """Return the key as EXPLAIN and `system:indexes` show it: ``direction`` and ``key``."""
        return {"direction": "desc" if self.descending else "asc", "key": list(self.path)}


@frozen(kw_only=True)
class Index:
    """
    An index that is complete and may be used.

    Without ``include_missing`` it lacks the documents whose first key is MISSING, so it serves
    neither IS MISSING nor an ORDER BY.
    """

    name: str
    collection: str
    keys: tuple[KeyPart, ...]
    include_missing: bool = True
    #: False if keys may be truncated: then it finds too much, and not in the order of values.
    exact: bool = True


class Catalog(Protocol):
    """The planner's view of a database's schema."""

    def indexes(self, collection: str) -> Sequence[Index]:
        """Return the indexes of a collection that are completely built, oldest first."""
