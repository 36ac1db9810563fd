# SPDX-License-Identifier: Apache-2.0
"""The virtual collections of the namespace ``system``: documents about the server itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from attrs import frozen

from edge_twisted.database.catalog import index_of
from edge_twisted.database.permissions import Access
from edge_twisted.database.system_parameters import ParameterValues
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import SemanticError
from edge_twisted.dql.rows import Document
from edge_twisted.store.interface import Snapshot
from edge_twisted.store.rows import CollectionInfo

#: The name of the count in the row of `count_of`.
COUNT: Final = "n"


class Viewer(Protocol):
    """The caller who reads a virtual collection, and what it may learn from it."""

    def may_read(self, collection: str) -> bool:
        """Return whether the viewer may read documents of a collection, all or some."""

    def count(self, collection: CollectionInfo) -> int | None:
        """
        Return how many documents of a collection the viewer may read.

        None if the viewer may not learn that the collection exists.
        """


class FullViewer:
    """A viewer who may read everything."""

    def may_read(self, collection: str) -> bool:
        return True

    def count(self, collection: CollectionInfo) -> int | None:
        return collection.count


FULL_VIEWER: Final = FullViewer()


@frozen
class RestrictedViewer:
    """A viewer with rules; `_count_visible` counts the documents of a collection that they show."""

    _access: Access
    _count_visible: Callable[[str], int]

    def may_read(self, collection: str) -> bool:
        return self._access.read(collection) is not False

    def count(self, collection: CollectionInfo) -> int | None:
        rule = self._access.read(collection.name)
        if isinstance(rule, bool):
            return collection.count if rule else None
        # A collection of hidden documents alone looks as one that never existed.
        return self._count_visible(collection.name) or None


def count_of(collection: syntax.CollectionRef) -> syntax.Select:
    """Return the statement that counts a collection's documents, in one row ``{"n": number}``."""
    counted = syntax.ResultExpression(syntax.Call("count", (), star=True), COUNT)
    return syntax.Select(projections=(counted,), source=syntax.Term(collection))


#: Returns the documents of a collection of another part of the server.  It is called on any thread,
#: so it must work on copies; it may read files, but must not wait for another thread.
Provider = Callable[[], Iterable[Document]]

#: Other names of collections.
ALIASES: Final = {"actives": "active_requests", "completed_requests": "request_history"}
#: Collections that another part of the server fills; empty until it does.
PROVIDED: Final = ("data_sync_info", "moved_out")
#: The one collection that DELETE may name.
HISTORY: Final = "request_history"
METRICS: Final = "metrics"
METRICS_SWITCH: Final = "metrics_exporter_virtual_collection_enabled"


@frozen(kw_only=True)
class ReadContext:
    """What the documents of a virtual collection are made from."""

    snapshot: Snapshot
    parameters: ParameterValues
    now_ms: int
    #: The caller; documents may tell only what this viewer may read.
    viewer: Viewer = FULL_VIEWER


RowProvider = Callable[[ReadContext], Iterable[Document]]


class VirtualCollections:
    """The virtual collections by name."""

    def __init__(
        self, sources: Mapping[str, RowProvider], metrics_shown: Callable[[], bool]
    ) -> None:
        self._metrics_shown = metrics_shown
        self._sources: dict[str, RowProvider] = {
            "dual": _dual,
            "indexes": _indexes,
            "collections": _collections,
            **dict.fromkeys(PROVIDED, _nothing),
            **sources,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all collections, without the namespace and without aliases."""
        return tuple(self._sources)

    def provide(self, name: str, provider: Provider) -> None:
        """Set the provider of a collection, known or new; `name` is without the namespace."""
        self._sources[name] = lambda context: provider()

    def provide_by(self, name: str, source: RowProvider) -> None:
        """Set a provider that makes a collection from the snapshot and caller of the statement."""
        self._sources[name] = source

    def check(self, collection: syntax.CollectionRef) -> None:
        """
        Check that the namespace and, in ``system``, the collection exist.

        :raises SemanticError: one does not exist, or is switched off.
        """
        namespace, name = collection.namespace, collection.name
        if namespace not in (None, "default", "system"):
            raise SemanticError(
                f"unknown namespace {namespace}: there are default and system", collection.span
            )
        if namespace != "system":
            return
        if ALIASES.get(name, name) not in self._sources:
            raise SemanticError(f"unknown collection system:{name}", collection.span)
        if name == METRICS and not self._metrics_shown():
            raise SemanticError(
                f"system:{METRICS} is switched off; ALTER SYSTEM SET {METRICS_SWITCH} = true",
                collection.span,
            )

    def documents(
        self,
        name: str,
        snapshot: Snapshot,
        parameters: ParameterValues,
        now_ms: int,
        viewer: Viewer = FULL_VIEWER,
    ) -> Iterable[Document]:
        """
        Return the documents of a virtual collection that `viewer` may read; call `check` first.

        :param name: without the namespace; aliases are known.
        :param now_ms: the time, in ms since 1970, that the documents show.
        """
        source = self._sources[ALIASES.get(name, name)]
        return source(
            ReadContext(snapshot=snapshot, parameters=parameters, now_ms=now_ms, viewer=viewer)
        )


def is_history(collection: syntax.CollectionRef) -> bool:
    """Return whether a collection is the history of requests, the only one to delete from."""
    name = ALIASES.get(collection.name, collection.name)
    return collection.namespace == "system" and name == HISTORY


def _nothing(context: ReadContext) -> Iterable[Document]:
    return ()


def _dual(context: ReadContext) -> Iterable[Document]:
    return [{"_id": "dual"}]


def _collections(context: ReadContext) -> Iterable[Document]:
    for each in context.snapshot.collections():
        count = context.viewer.count(each)
        if count is not None:
            yield {"_id": each.name, "name": each.name, "count": count}


def _indexes(context: ReadContext) -> Iterable[Document]:
    snapshot = context.snapshot
    for collection in snapshot.collections():
        if not context.viewer.may_read(collection.name):
            continue
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
