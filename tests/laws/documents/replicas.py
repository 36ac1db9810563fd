# SPDX-License-Identifier: Apache-2.0
"""Replicas of one document that write, and hear of each other in any way."""

from __future__ import annotations

from contextlib import suppress

from attrs import define, field

from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.deltas import DeltaGap, apply_delta, decode_delta, delta, encode_delta
from edge_twisted.documents.encoding import decode, encode
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.json_text import to_text
from edge_twisted.documents.operations import InvalidWrite, Operation
from edge_twisted.documents.state import DocumentState, merge
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.documents.writes import apply, delete, initial, insert


@define
class Site:
    """One replica of one document."""

    number: int
    state: DocumentState = field(factory=DocumentState)
    written: int = 0
    last: int = 0

    @property
    def replica(self) -> Replica:
        return Replica(SiteId(bytes([self.number]) * 16), 0)

    def stamp(self, moment: int) -> Stamp:
        """The stamp of a write at a moment of this site's clock, later than all it heard of."""
        self.written += 1
        self.last = max(self.last + 1, moment * 10)
        return Stamp(Timestamp(self.last), self.replica, self.written)

    def insert(self, fields: dict[str, Value], moment: int) -> None:
        if not self.state.is_alive:
            self.state = insert(self.state, fields, self.stamp(moment))

    def initial(self, fields: dict[str, Value]) -> None:
        if not self.state.version:
            self.state = initial(fields)

    def apply(self, operation: Operation, moment: int) -> None:
        if self.state.is_alive:
            with suppress(InvalidWrite):
                self.state = apply(self.state, [operation], self.stamp(moment))

    def delete(self, moment: int) -> None:
        if self.state.is_alive:
            self.state = delete(self.state, self.stamp(moment))

    def store(self) -> None:
        """Go through the written form and back, as a store does."""
        if self.state.version:
            self.state = reread(self.state)

    def hear_whole(self, other: Site) -> None:
        self.last = max(self.last, other.last)
        self.state = merge(self.state, reread(other.state)) if other.state.version else self.state

    def hear_delta(self, other: Site) -> None:
        """Take a delta; where it is refused, ask for the whole document, as a server does."""
        self.last = max(self.last, other.last)
        news = decode_delta(encode_delta(delta(other.state, self.state.version)))
        try:
            self.state = apply_delta(self.state, news)
        except DeltaGap:
            self.hear_whole(other)


def reread(state: DocumentState) -> DocumentState:
    if not state.version:
        return state
    data = encode(state)
    again = decode(data, state.fields)
    assert encode(again) == data
    assert again.fields == state.fields
    return again


def summary(state: DocumentState) -> tuple[bytes, bytes]:
    """All that is visible of a state, and all that is written of it."""
    return (encode(state) if state.version else b""), to_text(dict(state.fields or {}))
