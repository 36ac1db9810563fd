# SPDX-License-Identifier: Apache-2.0
"""Scopes: compiled subscriptions by key, this server's own ones, and collections that stay here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import define, field

from edge_twisted.database.system_parameters import load_parameters
from edge_twisted.documents.values import Value
from edge_twisted.dql.errors import UnsupportedError
from edge_twisted.dql.subscriptions import Subscription
from edge_twisted.mesh.ports.requests import Scope
from edge_twisted.mesh.wire.items import ScopeKey
from edge_twisted.records.documents import document_of
from edge_twisted.store.hidden import RESERVED, is_hidden
from edge_twisted.store.interface import Snapshot

_SYNC_SCOPES: Final = "user_collection_sync_scopes"
#: Values of the parameter that keep a collection from servers of the mesh, which are small peers.
_CLOSED: Final = frozenset({"LocalPeerOnly", "BigPeerOnly"})


#: Compiled subscriptions that are kept.  A dropped one is compiled again when it is needed, so that
#: a peer that asks for ever new ones costs time, and no memory.
MAX_COMPILED: Final = 4096


@define(eq=False)
class Scopes:
    """
    Compiled subscriptions by key; for any thread.

    Two threads may compile the same subscription at once: either result serves.
    """

    _compiled: dict[ScopeKey, Subscription] = field(factory=dict)

    def scope(self, query: str, arguments: Mapping[str, Value]) -> Scope:
        """
        Return the scope of a subscription, compiled and kept under its key.

        :raises DqlError: the query is no subscription, its arguments do not fit, or it names a
            hidden collection (`UnsupportedError`).
        """
        found = Subscription.of(query, arguments, restricted=False)
        if is_hidden(found.collection):
            raise UnsupportedError(RESERVED)
        key = ScopeKey(found.key)
        self._keep(key, found)
        return Scope(
            key=key,
            query=query,
            arguments=arguments,
            collection=found.collection,
            is_whole=found.condition is None and not found.is_virtual,
        )

    def subscription(self, scope: Scope) -> Subscription:
        """Return the compiled subscription of a scope, compiled again if it was dropped."""
        found = self._compiled.get(scope.key)
        if found is None:
            found = Subscription.of(scope.query, scope.arguments, restricted=False)
            self._keep(scope.key, found)
        return found

    def _keep(self, key: ScopeKey, found: Subscription) -> None:
        if len(self._compiled) >= MAX_COMPILED:
            # Drop all at once: other threads may add, so the entries are in no order.
            self._compiled = {}
        self._compiled[key] = found

    def matches(self, scope: Scope, body: bytes) -> bool:
        """
        Return whether a live document, by its stored text, is in a scope.

        :raises BudgetExceeded: the condition takes too long, see `Subscription.matches`.
        """
        if scope.is_whole:
            return True
        found = self.subscription(scope)
        return not found.is_virtual and found.matches(document_of(body))


@define(eq=False)
class OwnSubscriptions:
    """
    This server's own subscriptions, to tell which documents moved out of all of them.

    :ivar drop: whether such a document is dropped (setting `database.moved_out`), or listed.
    """

    drop: bool = False
    _by_collection: Mapping[str, tuple[Subscription, ...]] = field(factory=dict)

    def set(self, subscriptions: Iterable[Subscription]) -> None:
        """Replace this server's subscriptions by these; for the reactor thread."""
        found: dict[str, tuple[Subscription, ...]] = {}
        for each in subscriptions:
            if not each.is_virtual:
                found[each.collection] = (*found.get(each.collection, ()), each)
        self._by_collection = found

    def conditional(self, collection: str) -> tuple[Subscription, ...]:
        """Return a collection's own subscriptions; none if one takes all: nothing can move out."""
        found = self._by_collection.get(collection, ())
        return () if any(each.condition is None for each in found) else found

    def wants(self, collection: str, document: dict[str, Value]) -> bool:
        """Return whether a live document is in some subscription of this server."""
        return any(each.matches(document) for each in self._by_collection.get(collection, ()))

    def covers(self, scope: Scope) -> bool:
        """Return whether this server subscribes to a scope, or to all of its collection."""
        found = self._by_collection.get(scope.collection, ())
        return any(each.condition is None or each.key == scope.key for each in found)


def is_open(snapshot: Snapshot, collection: str) -> bool:
    """Return whether a collection may be sent to peers (``USER_COLLECTION_SYNC_SCOPES``)."""
    return collection not in closed_collections(load_parameters(snapshot).mapping(_SYNC_SCOPES))


def closed_collections(scopes: Mapping[str, Value]) -> frozenset[str]:
    """
    Return the names of the collections that are not sent to peers.

    :param scopes: the value of ``USER_COLLECTION_SYNC_SCOPES``: collection -> scope.
    """
    return frozenset(name for name, scope in scopes.items() if scope in _CLOSED)
