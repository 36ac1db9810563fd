# SPDX-License-Identifier: Apache-2.0
"""
The commonest SELECTs: documents, or fields of them, by one id or from one index, as stored.

They are a call or two of the store, so what is around these is what they cost: nothing here is
made for a row, and little for a statement.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from edge_twisted.database.access import id_key, reach, read_of, value_of
from edge_twisted.database.inline import INLINE_MOST, BeyondBounds
from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Compiled, Environment
from edge_twisted.dql.errors import ArgumentError
from edge_twisted.dql.plan.nodes import IndexScan
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.records.documents import check_not_damaged
from edge_twisted.store.fields import row_of
from edge_twisted.store.interface import Snapshot

MAX_COUNT: Final = 2**63 - 1
#: Keeps the texts of documents for which the whole condition holds.
Test = Callable[[list[bytes]], list[bytes]]


def texts_at_once(
    plan: QueryPlan, snapshot: Snapshot, env: Environment, test: Test | None = None
) -> list[bytes] | None:
    """
    Return the stored texts that answer a plan; None: it is none of those, or wants a `test`.

    As everywhere, a text that is not literal is a document.

    :raises BeyondBounds: they are more than the reactor's thread should read.
    """
    if plan.one_id is not None:
        collection, node = plan.one_id
        key = id_key(value_of(env, node))
        body = None if key is None else snapshot.body(collection, key)
        if body is None:
            if key is not None:
                check_not_damaged(snapshot, collection, key)
            return []
        return [body if plan.fields is None else row_of(body, plan.fields)]
    if plan.one_index is not None:
        return _of_index(plan, plan.one_index, snapshot, env, test)
    return None


def _of_index(
    plan: QueryPlan, access: IndexScan, snapshot: Snapshot, env: Environment, test: Test | None
) -> list[bytes] | None:
    found = reach(plan, access, partial(value_of, env))
    if not found.exact and (test is None or plan.fields is not None):
        return None
    limit, offset = bounds_of(plan, env)
    read = read_of(access, found.spans, found.prefilter, plan.fields)
    first = limit + offset if found.exact and limit is not None else None
    texts = snapshot.index_texts(read, INLINE_MOST, first)
    if texts is None:
        raise BeyondBounds
    if not found.exact and test is not None:
        texts = test(texts)
    if limit is None:
        return texts[offset:] if offset else texts
    return texts[offset : offset + limit]


def bounds_of(plan: QueryPlan, env: Environment) -> tuple[int | None, int]:
    """
    Return LIMIT and OFFSET.

    :raises ArgumentError: one of them is not a whole number from 0.
    """
    if plan.limit is None and plan.offset is None:
        return None, 0
    selection = plan.statement.selection
    limit = _bound(plan.limit, selection.limit, "LIMIT", env)
    offset = _bound(plan.offset, selection.offset, "OFFSET", env)
    return limit, offset or 0


def _bound(
    compiled: Compiled | None, node: syntax.Expression | None, word: str, env: Environment
) -> int | None:
    if compiled is None or node is None:
        return None
    value = compiled(None, env)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT:
        return value
    raise ArgumentError(f"{word} must be a whole number from 0", node.span)
