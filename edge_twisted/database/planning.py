# SPDX-License-Identifier: Apache-2.0
"""The plans of one request: kept for the next request with the same text, and timed."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from attrs import frozen

from edge_twisted.database.requests import Request
from edge_twisted.database.statements import CACHED_TEXT_LIMIT, LONG_TEXT, Cache
from edge_twisted.dql.plan.nodes import IdScan
from edge_twisted.dql.plan.query import QueryPlan

#: A look-up of so many ids costs well under a millisecond, and may run on the reactor thread.
INLINE_IDS = 8


@frozen
class Planning:
    """
    Makes plans, or finds them among those of earlier requests.

    A plan belongs to a text, not only to what it says: its errors point into it.
    """

    _kept: Cache[QueryPlan]
    request: Request
    _text: str
    _monotonic: Callable[[], float]

    @property
    def is_long(self) -> bool:
        """Whether planning may take longer than the reactor's thread may be held."""
        return len(self._text) > LONG_TEXT

    def get(self, key: Hashable, make: Callable[[], QueryPlan]) -> QueryPlan:
        """Return the plan that `key` stands for, made now if it is not kept."""
        started = self._monotonic()
        if len(self._text) > CACHED_TEXT_LIMIT:
            plan = make()
        else:
            plan = self._kept.get((self._text, key), make)
        self.request.planned(plan, self._monotonic() - started)
        return plan


def is_cheap(plan: QueryPlan) -> bool:
    """Return whether a plan reads so little that a thread would cost more."""
    if plan.choice is None:
        return True
    source = plan.statement.source
    if source is not None and source.collection.namespace == "system":
        return source.collection.name == "dual" and not plan.joins
    access = plan.choice.access
    if not isinstance(access, IdScan) or plan.joins:
        return plan.counts_all is not None
    return not access.lists and len(access.ids) <= INLINE_IDS
