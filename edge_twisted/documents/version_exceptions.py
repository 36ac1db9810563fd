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


def excepted(
    state: DocumentState, before: DocumentState, own: Replica, evicted: int
) -> DocumentState:
    """
    Return a document that was just written, its version without writes that were evicted.

    A version covers all that its writer wrote before.  What was evicted of that and is not back
    this document has not seen: whoever still has it keeps it.  So does a count: where the writer
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
    is_bounded = len(before.version.unseen.get(own, ())) < MOST_EXCEPTIONS
    if first <= evicted < write.sequence and is_bounded:
        version = version.without(own, (first, evicted))
    unseen = version.unseen.get(own)
    if not unseen:
        return state
    return DocumentState(_recounted(state.root, before.root, write, unseen), state.life, version)


def _recounted(node: PathNode, before: PathNode, write: Dot, unseen: Sequence[Span]) -> PathNode:
    return PathNode(
        node.slots,
        {
            variant: _counted_apart(count, before.counts.get(variant), write, unseen)
            for variant, count in node.counts.items()
        },
        {
            name: _recounted(child, before.children.get(name, EMPTY), write, unseen)
            for name, child in node.children.items()
        },
    )


def _counted_apart(
    count: CounterState, before: CounterState | None, write: Dot, unseen: Sequence[Span]
) -> CounterState:
    """
    Return a count with what a write added to it in a share of its own, if it has to be.

    A share can be added to if all is known that its replica wrote since it last did.
    """
    key = count.newest(write.replica)
    added = count.shares.get(key)
    if added is None or added.sequence != write.sequence:
        return count
    restart = count.restart
    old = before.shares.get(key) if before and before.restart == restart else None
    since = 0
    if old is not None:
        since = old.sequence
    elif restart is not None and restart.replica == write.replica:
        since = restart.sequence
    if unseen[-1][1] < since:
        return count
    shares = {each: share for each, share in count.shares.items() if each != key}
    if old is not None:
        shares[key] = old
    shares[write] = Share(write.sequence, added.total - (old.total if old else 0))
    return CounterState(restart, count.start, shares)
