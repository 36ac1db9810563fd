# SPDX-License-Identifier: Apache-2.0
"""
Turns of the repairs of a link: one after the other in each collection.

The scopes of two repairs may overlap.  Side by side, both would pull what both lack.
"""

from __future__ import annotations

from collections.abc import Callable

#: Who repairs in a collection, or waits for that, in order; and how each begins.
_Waiting = dict[object, Callable[[], None]]


class RepairTurns:
    """Who may repair, by collection."""

    def __init__(self) -> None:
        self._collections: dict[str, _Waiting] = {}

    def is_free(self, collection: str) -> bool:
        """Return whether nobody repairs in a collection."""
        return collection not in self._collections

    def request(self, collection: str, owner: object, begin: Callable[[], None]) -> None:
        """Call `begin` when it is the turn of `owner`, now or later."""
        waiting = self._collections.setdefault(collection, {})
        waiting[owner] = begin
        if len(waiting) == 1:
            begin()

    def release(self, collection: str, owner: object) -> None:
        """End the turn of `owner`, or its waiting for one, if it has any; the next one begins."""
        waiting = self._collections.get(collection, {})
        if owner not in waiting:
            return
        had_turn = next(iter(waiting)) is owner
        del waiting[owner]
        if not waiting:
            del self._collections[collection]
        elif had_turn:
            next(iter(waiting.values()))()

    def end(self) -> None:
        """Let nobody begin any more, because the link is gone."""
        self._collections.clear()
