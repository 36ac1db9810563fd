# SPDX-License-Identifier: Apache-2.0
"""What a write made, without what its writer evicted and has not seen again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge_twisted.documents.counters import CounterState, Share
from edge_twisted.documents.nodes import EMPTY, PathNode
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.versions import Dot, Replica, Span

#: Of one writer in one document: who evicts and writes it again and again, and never gets back
#: what it evicted, covers that from then on, as if it were overwritten.
MOST_EXCEPTIONS: Final = 64


def except_evicted(
    state: DocumentState, before: DocumentState, own: Replica, evicted: int
) -> DocumentState:
    """
    Return a document that was just written, its version without writes that were evicted.

    A version covers all that its writer wrote before.  What was evicted of that and is not back
    this document has not seen: whoever still has it keeps it.  So does a counter: where the writer
    added to a share of which something may be elsewhere, it begins another one.

    :param before: what the write was made on; empty if there was no document.
    :param own: the writer.
    :param evicted: up to which number its writes of the document were evicted, 0 for none.
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
    Return a counter with what a write added to it in a share of its own, if it has to be.

    A share can be added to if all is known that its replica wrote since it last did.
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
