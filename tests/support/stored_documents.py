# SPDX-License-Identifier: Apache-2.0
"""Puts whole documents into a store as the layers above do, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge_twisted.documents.attachments import tokens_in
from edge_twisted.documents.digest import digest
from edge_twisted.documents.encoding import decode, encode, encode_fresh
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.json_text import from_text, to_text
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import VersionVector
from edge_twisted.documents.writes import delete
from edge_twisted.store.interface import UnitOfWork

Work = Callable[[UnitOfWork], int]


def key(id_value: Value) -> bytes:
    """Return the id key of a document's ``_id``."""
    return DocumentId.of(id_value).key


def put(unit: UnitOfWork, collection: str, id_value: Value, fields: Mapping[str, Value]) -> int:
    """Store a fresh document over whatever was there; return the unit's lsn."""
    dot = unit.next_dot()
    stamp = Stamp(unit.tick(), dot.replica, dot.sequence)
    value: dict[str, Value] = {"_id": id_value, **fields}
    id_key = key(id_value)
    unit.put(
        collection,
        id_key,
        body=to_text(value),
        state=encode_fresh(stamp),
        digest=digest(id_key, VersionVector([dot])),
        attachments=tuple(tokens_in(value)),
        value=value,
    )
    return unit.lsn


def putting(collection: str, id_value: Value, **fields: Any) -> Work:
    """Return a unit of work that stores one document."""
    return lambda unit: put(unit, collection, id_value, fields)


def deleting(collection: str, id_value: Value) -> Work:
    """Return a unit of work that makes a document a tombstone."""

    def work(unit: UnitOfWork) -> int:
        id_key = key(id_value)
        found = unit.get(collection, id_key)
        assert found is not None
        assert found.body is not None
        fields = from_text(found.body)
        del fields["_id"]
        dot = unit.next_dot()
        stamp = Stamp(unit.tick(), dot.replica, dot.sequence)
        state = delete(decode(found.state, fields), stamp)
        unit.put(
            collection,
            id_key,
            body=None,
            state=encode(state),
            digest=digest(id_key, state.version),
            attachments=tuple(tokens_in(fields)),
        )
        return unit.lsn

    return work


def removing(collection: str, id_value: Value) -> Work:
    """Return a unit of work that forgets a document."""

    def work(unit: UnitOfWork) -> int:
        unit.remove(collection, key(id_value))
        return unit.lsn

    return work
