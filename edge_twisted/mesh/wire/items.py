# SPDX-License-Identifier: Apache-2.0
"""
What travels of documents, and what is asked of the database: plain values without wire or store.

An *id key* is the canonical key of a document id (`edge_twisted.documents.ids`), a *digest* the
signed 64-bit hash of id and version (`edge_twisted.documents.digest`), a *state* the encoded merge
state (`edge_twisted.documents.encoding`), a *body* the stored text with ``_id`` in it.
"""

from __future__ import annotations

from typing import NamedTuple, NewType

from edge_twisted.documents.versions import Dot, VersionVector

#: Stable name of a subscription: equal for equal queries with equal arguments, on every server.
ScopeKey = NewType("ScopeKey", bytes)


class Whole(NamedTuple):
    """A document with all that merging needs; without a body it is a tombstone."""

    id_key: bytes
    body: bytes | None
    state: bytes


class Partial(NamedTuple):
    """What changed of a document since a version that the receiver should have (`deltas`)."""

    id_key: bytes
    delta: bytes


class Announced(NamedTuple):
    """A document that the receiver may ask for, if it lacks that version."""

    id_key: bytes
    digest: int
    size: int


class Left(NamedTuple):
    """A changed document that does not match the scope (any more), or was deleted."""

    id_key: bytes
    digest: int


Item = Whole | Partial | Announced | Left


class Seen(NamedTuple):
    """
    A document and the version of it that somebody has.

    `life` are the writes by which it lives, where somebody else is asked whether it still does.
    """

    id_key: bytes
    version: VersionVector
    life: tuple[Dot, ...] = ()
