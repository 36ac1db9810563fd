# SPDX-License-Identifier: Apache-2.0
"""
Documents and versions as they travel: plain values that know neither wire format nor store.

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
    """A document with its merge state; a tombstone if it has no body."""

    id_key: bytes
    body: bytes | None
    state: bytes


class Partial(NamedTuple):
    """The changes of a document since a version that the receiver should have (`deltas`)."""

    id_key: bytes
    delta: bytes


class Announced(NamedTuple):
    """The digest of a large document, which the receiver asks for if it lacks that version."""

    id_key: bytes
    digest: int
    size: int


class Left(NamedTuple):
    """The digest of a changed document that does not match the scope, or was deleted."""

    id_key: bytes
    digest: int


Item = Whole | Partial | Announced | Left


class Seen(NamedTuple):
    """
    A document and the version of it that one side has.

    In questions whether the document still lives, `life` are the writes by which it lives.
    """

    id_key: bytes
    version: VersionVector
    life: tuple[Dot, ...] = ()
