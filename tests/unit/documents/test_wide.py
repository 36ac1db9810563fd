# SPDX-License-Identifier: Apache-2.0
"""Wide documents take time linear in their fields: with quadratic time these would not end."""

from __future__ import annotations

from edge_twisted.documents import writes
from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.deltas import decode_delta, delta, encode_delta
from edge_twisted.documents.encoding import decode, encode
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.operations import Set, Unset
from edge_twisted.documents.state import DocumentState, merge
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import NO_VERSION, Replica, SiteId

FIELDS = 16_000
REPLICA = Replica(SiteId(b"0123456789abcdef"), 0)


def stamp(sequence: int) -> Stamp:
    return Stamp(Timestamp(sequence << 16), REPLICA, sequence)


def wide() -> DocumentState:
    half = FIELDS // 2
    fields: dict[str, Value] = {f"f{n}": n for n in range(half)}
    state = writes.insert(None, fields, stamp(1))
    return writes.apply(state, [Set((f"g{n}",), n) for n in range(half)], stamp(2))


def test_a_wide_document_is_written_stored_and_sent() -> None:
    state = wide()
    assert state.fields is not None
    assert len(state.fields) == FIELDS
    assert decode(encode(state), state.fields).fields == state.fields
    sent = decode_delta(encode_delta(delta(state, NO_VERSION)))
    assert merge(DocumentState(), sent.changes).fields == state.fields
    emptied = writes.apply(state, [Unset((name,)) for name in state.fields], stamp(3))
    assert emptied.fields == {}
