# SPDX-License-Identifier: Apache-2.0
"""
Version exceptions: writes that a server evicted and then must not claim to have seen.

A server that evicts a document and writes it again has, in its new state, none of the writes that
were evicted.  Its plain version vector would cover its own evicted writes, and a peer that still
has them would drop them as superseded.  `except_evicted` takes them out of the version: a version
vector with exceptions (Malkhi and Terry, "Concise Version Vectors in WinFS", 2005).

Example: A writes A1 to A3, a peer copies them, A evicts the document and inserts it anew as A4.
The version is ``{A: 4, not A: 1-3}``.  Merging keeps the peer's entries beside those of A4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge_twisted.documents.counters import CounterState, Share
from edge_twisted.documents.nodes import EMPTY, PathNode
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.versions import Dot, Replica, Span

#: Exceptions of one writer in one document.  A server that evicts and rewrites a document more
#: often, without receiving what it evicted, covers later evicted writes as if it had seen them.
MOST_EXCEPTIONS: Final = 64


def except_evicted(
    state: DocumentState, before: DocumentState, own: Replica, evicted: int
) -> DocumentState:
    """
    Return a state that was just written, without the writer's evicted writes in its version.

    Evicted writes that have not come back become exceptions, so that peers that still have them
    keep them.  Where the writer added to a counter's share whose increments were evicted, the
    increment begins a share of its own.

    :param before: the state on which the write was made; empty if there was no document.
    :param own: the writer's replica.
    :param evicted: the number of the writer's last evicted write of this document, 0 for none.
    """
    version = state.version
    write = Dot(own, version.seen(own))
    first = before.version.seen(own) + 1
    if write.sequence < first:
        return state
    is_bounded = len(before.version.exceptions.get(own, ())) < MOST_EXCEPTIONS
    if first <= evicted < write.sequence and is_bounded:
        version = version.with_exception(own, (first, evicted))
    exceptions = version.exceptions.get(own)
    if not exceptions:
        return state
    return DocumentState(
        _split_shares(state.root, before.root, write, exceptions), state.life, version
    )


def _split_shares(
    node: PathNode, before: PathNode, write: Dot, exceptions: Sequence[Span]
) -> PathNode:
    return PathNode(
        node.slots,
        {
            variant: _split_share(counter, before.counters.get(variant), write, exceptions)
            for variant, counter in node.counters.items()
        },
        {
            name: _split_shares(child, before.children.get(name, EMPTY), write, exceptions)
            for name, child in node.children.items()
        },
    )


def _split_share(
    counter: CounterState, before: CounterState | None, write: Dot, exceptions: Sequence[Span]
) -> CounterState:
    """
    Return a counter with the increment of a write in a share of its own, if that is necessary.

    The increment may stay in the replica's latest share if all writes of the replica since that
    share's last increment have been seen.
    """
    key = counter.newest_share(write.replica)
    added = counter.shares.get(key)
    if added is None or added.sequence != write.sequence:
        return counter
    restart = counter.restart
    old = before.shares.get(key) if before and before.restart == restart else None
    since = 0
    if old is not None:
        since = old.sequence
    elif restart is not None and restart.replica == write.replica:
        since = restart.sequence
    if exceptions[-1][1] < since:
        return counter
    shares = {each: share for each, share in counter.shares.items() if each != key}
    if old is not None:
        shares[key] = old
    shares[write] = Share(write.sequence, added.total - (old.total if old else 0))
    return CounterState(restart, counter.start, shares)
