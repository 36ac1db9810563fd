# SPDX-License-Identifier: Apache-2.0
"""The collections of the namespace ``system``: what the database says of itself, as documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from edge_twisted.database.catalog import index_of
from edge_twisted.database.parameters import ParameterValues
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import SemanticError
from edge_twisted.store.interface import Snapshot

Document = dict[str, Value]
#: Gives the documents of a collection that another part of the server knows.
Provider = Callable[[], Iterable[Document]]

BUILT_IN = ("dual", "indexes", "collections", "system_info")


class VirtualCollections:
    """All virtual collections; other parts of the server add theirs by name."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers

    def check(self, collection: syntax.CollectionRef) -> None:
        """:raises SemanticError: there is no such namespace, or no such collection in it."""
        namespace, name = collection.namespace, collection.name
        if namespace not in (None, "default", "system"):
            raise SemanticError(f"unknown namespace {namespace}", collection.span)
        if namespace == "system" and name not in BUILT_IN and name not in self._providers:
            raise SemanticError(f"unknown collection system:{name}", collection.span)

    def documents(
        self, name: str, snapshot: Snapshot, parameters: ParameterValues, now_ms: int
    ) -> Iterable[Document]:
        """Return the documents of a collection that `check` passed."""
        provider = self._providers.get(name)
        if provider is not None:
            return provider()
        match name:
            case "dual":
                return [{"_id": "dual"}]
            case "indexes":
                return _indexes(snapshot)
            case "collections":
                return [
                    {"_id": each.name, "name": each.name, "count": each.count}
                    for each in snapshot.collections()
                ]
        return _system_info(snapshot, parameters, now_ms)


def _indexes(snapshot: Snapshot) -> Iterable[Document]:
    for collection in snapshot.collections():
        for info in snapshot.indexes(collection.name):
            fields: list[Value] = [
                {"direction": "desc" if key.descending else "asc", "key": [*key.path]}
                for key in index_of(info).keys
            ]
            yield {
                "_id": f"{collection.name}.{info.definition.name}",
                "collection": collection.name,
                "fields": fields,
                "state": "ready" if info.ready else "building",
            }


def _system_info(
    snapshot: Snapshot, parameters: ParameterValues, now_ms: int
) -> Iterable[Document]:
    facts: list[tuple[str, str, Value]] = [
        ("store", f"collection_num_docs[{each.name}]", each.count)
        for each in snapshot.collections()
    ]
    facts.append(("store", "commit", snapshot.lsn))
    facts.extend(
        ("core", f"non_default_system_parameter[{name}]", value)
        for name, value in parameters.changed.items()
    )
    for namespace, key, value in facts:
        yield {
            "_id": f"{namespace}.{key}",
            "namespace": namespace,
            "key": key,
            "value": value,
            "timestamp": now_ms,
        }
