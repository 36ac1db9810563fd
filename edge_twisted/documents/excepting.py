# SPDX-License-Identifier: Apache-2.0
"""What a write made, without what its writer evicted and has not seen again."""

from __future__ import annotations

from edge_twisted.documents.state import State
from edge_twisted.documents.versions import Replica, Span


def excepted(state: State, before: State, own: Replica, span: Span) -> State:
    """
    Return a document that was just written, its version without writes that were evicted.

    A version covers all that its writer wrote before.  What was evicted of that and is not back
    this document has not seen: whoever still has it keeps it.

    :param before: what the write was made on; empty if there was no document.
    :param own: the writer.
    :param span: of its writes those that `before` lacks although they were here.
    """
    return State(state.root, state.life, state.version.without(own, span))
