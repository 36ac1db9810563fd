# SPDX-License-Identifier: Apache-2.0
"""Documents that a peer's change took out of all subscriptions: ``system:moved_out``."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec.msgpack

from edge_twisted.documents.values import Value
from edge_twisted.dql.subscriptions import Subscription
from edge_twisted.records.documents import ID, document_of
from edge_twisted.records.evictions import prefix_of
from edge_twisted.records.facts import MOVED_OUT
from edge_twisted.replication.scopes import OwnSubscriptions
from edge_twisted.store.interface import Snapshot, UnitOfWork

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(int).decode


def matches_any(subscriptions: tuple[Subscription, ...], document: dict[str, Value]) -> bool:
    """Return whether one of some subscriptions, all of one collection, wants a live document."""
    return any(each.matches(document) for each in subscriptions)


def list_moved_out(unit: UnitOfWork, collection: str, id_key: bytes, now_ms: int) -> None:
    """Remember that a document moved out of all subscriptions at `now_ms` (ms since 1970)."""
    unit.put_fact(MOVED_OUT, prefix_of(collection) + id_key, _encode(now_ms))


def unlist(unit: UnitOfWork, collection: str, id_key: bytes) -> None:
    """Forget that a document moved out: a subscription wants it again, or it was deleted."""
    key = prefix_of(collection) + id_key
    if unit.fact(MOVED_OUT, key) is not None:
        unit.put_fact(MOVED_OUT, key, None)


def moved_out_documents(snapshot: Snapshot, own: OwnSubscriptions) -> Iterator[dict[str, Value]]:
    """
    Yield the rows of ``system:moved_out``: documents that are kept but not kept up to date.

    A row has `_id` ({collection, id}), `collection`, `document_id`, `moved_out_at` (ms since 1970).
    A fact stays when a local write, EVICT or a new subscription makes it untrue, so each is
    compared with the document as it is now.
    """
    after: bytes | None = None
    while facts := snapshot.facts(MOVED_OUT, after=after):
        for key, value in facts:
            row = _row(snapshot, own, key, value)
            if row is not None:
                yield row
        after = facts[-1][0]


def _row(
    snapshot: Snapshot, own: OwnSubscriptions, key: bytes, value: bytes
) -> dict[str, Value] | None:
    name, _, id_key = key.partition(b"\x00")
    collection = name.decode("utf-8", "surrogatepass")
    subscriptions = own.conditional(collection)
    body = snapshot.body(collection, id_key)
    if body is None or not subscriptions:
        return None
    document = document_of(body)
    if matches_any(subscriptions, document):
        return None
    id_ = document[ID]
    return {
        ID: {"collection": collection, "id": id_},
        "collection": collection,
        "document_id": id_,
        "moved_out_at": _decode(value),
    }
