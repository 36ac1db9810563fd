# SPDX-License-Identifier: Apache-2.0
"""The documents of a store as the mesh sees them: requests in, answers and notices out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeVar

from twisted.internet.defer import Deferred

from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica
from edge_twisted.mesh.ports.requests import (
    Answer,
    ApplyBatch,
    DeleteGone,
    DocumentRequest,
    FindDropped,
    FindGone,
    FindPosition,
    FindSeen,
    Observe,
    ReadChanges,
    ReadDigests,
    ReadDocuments,
    Scope,
    StreamPosition,
    Watcher,
)
from edge_twisted.records.evictions import Evictions, load_generations
from edge_twisted.records.facts import EVICTIONS, TRANSIT_SIZE
from edge_twisted.records.transit import join_transit
from edge_twisted.replication.batches import BatchContext, BatchOutcome, apply_batch
from edge_twisted.replication.epoch_renewal import load_heard, observe
from edge_twisted.replication.knowledge import cursor, note_quarantined, note_reaped, stored_base
from edge_twisted.replication.moved_out import moved_out_documents
from edge_twisted.replication.repair_requests import delete_gone, find_gone, find_seen, read_digests
from edge_twisted.replication.scopes import OwnSubscriptions, Scopes
from edge_twisted.replication.stream_requests import read_changes, read_documents
from edge_twisted.replication.transit import TransitStore, add_transit, find_dropped, note_removed
from edge_twisted.replication.transit_upkeep import TransitUpkeep, purge
from edge_twisted.store.errors import DocumentDamaged
from edge_twisted.store.hidden import shown_name
from edge_twisted.store.interface import Snapshot, Store, UnitOfWork
from edge_twisted.store.rows import Commit, UnitResult

T = TypeVar("T")


class StoredDocuments:
    """
    `edge_twisted.mesh.ports.requests.Documents` over a store; all calls from the reactor thread.

    :param drop_moved_out: whether a document is dropped that a peer's change takes out of all
        subscriptions of this server; else it stays and is listed in ``system:moved_out``.
    :param transit: the account of what this server keeps for others; None: it keeps nothing.
    """

    def __init__(
        self,
        store: Store,
        now_ms: Callable[[], int],
        *,
        drop_moved_out: bool = False,
        transit: TransitStore | None = None,
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._scopes = Scopes()
        self._own = OwnSubscriptions(drop=drop_moved_out)
        self.transit = transit
        self.upkeep: TransitUpkeep | None = None
        if transit is not None:
            self.upkeep = TransitUpkeep(store, transit, self._context)
        self._heard: dict[Replica, int] = {}
        self._watchers: list[Watcher] = []
        self._generations: dict[str, int] = {}
        self._closed: frozenset[str] = frozenset()
        self._stops: list[Callable[[], None]] = []

    # -- life

    def start(self, closed: frozenset[str] = frozenset()) -> Deferred[None]:
        """
        Begin to watch the opened store; fire once this has begun.  Nobody may write before that.

        :param closed: collections that are not sent to peers now (see `close_collections`).
        """
        self._closed = closed
        return self._store.read("start of replication", _load).addCallback(self._begin)

    async def start_transit(self) -> None:
        """Begin to look after what is in transit, or remove what is left; call after `start`."""
        await (purge(self._store) if self.upkeep is None else self.upkeep.start())

    def _begin(self, loaded: tuple[dict[Replica, int], dict[str, int]]) -> None:
        self._heard, self._generations = loaded
        self._stops = [
            self._store.on_commit(self._committed),
            self._store.before_reap(note_reaped),
            self._store.before_quarantine(note_quarantined),
        ]
        if self.transit is not None:
            self._stops.append(self._store.before_reap(note_removed))
            self._stops.append(self._store.before_quarantine(note_removed))

    def stop(self) -> None:
        """End watching the store; harmless when repeated."""
        for stop in self._stops:
            stop()
        self._stops.clear()

    # -- replica and sequences

    @property
    def replica(self) -> Replica:
        """This server; changes when the epoch is renewed."""
        return self._store.replica

    @property
    def lsn(self) -> int:
        """The number of the newest durable commit."""
        return self._store.lsn

    @property
    def hybrid_time(self) -> Timestamp:
        """The hybrid clock: no document here has a write that is stamped later."""
        return self._store.hybrid_time

    def heard_of(self, replica: Replica) -> int:
        """Return the highest sequence of a replica in the batches that came here; 0: none."""
        return self._heard.get(replica, 0)

    # -- watching

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell a watcher of dropped cursors, opened scopes, renewals; return its end function."""
        self._watchers.append(watcher)

        def end() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

        return end

    def close_collections(self, closed: frozenset[str]) -> None:
        """
        Set the collections that are not sent to peers from now on (``ALTER SYSTEM``).

        Tells the watchers of those that are opened by this.
        """
        opened, self._closed = self._closed - closed, closed
        if opened:
            for watcher in tuple(self._watchers):
                watcher.scopes_opened(opened)

    def _committed(self, commit: Commit) -> None:
        if self.transit is not None and TRANSIT_SIZE in commit.spaces:
            with self._store.snapshot() as snapshot:
                self.transit.refresh(snapshot)
        if EVICTIONS not in commit.spaces:
            return
        evicted: list[str] = []
        with self._store.snapshot() as snapshot:
            for name in commit.collections:
                generation = Evictions.of(snapshot, name).generation
                if self._generations.get(name, 0) != generation:
                    self._generations[name] = generation
                    evicted.append(shown_name(name))
        if evicted:
            for watcher in tuple(self._watchers):
                watcher.cursors_dropped(frozenset(evicted))

    def _learn(self, heard: Mapping[Replica, int], renewed: Replica | None) -> None:
        self._heard.update(heard)
        if renewed is not None:
            for watcher in tuple(self._watchers):
                watcher.replica_renewed(renewed)

    # -- subscriptions

    def scope(self, query: str, arguments: Mapping[str, Value]) -> Scope:
        """
        Return the scope of a subscription.

        :raises DqlError: the query is no subscription.
        """
        return self._scopes.scope(query, arguments)

    def subscribe(self, scopes: Collection[Scope]) -> None:
        """Set this server's own scopes; documents that leave all of them count as moved out."""
        self._own.set([self._scopes.subscription(scope) for scope in scopes])

    def keeps_to_itself(self, scope: Scope) -> bool:
        """Return whether this server wants all of a scope itself, or may not hand it on."""
        return self._own.covers(scope) or scope.collection in self._closed

    def is_virtual(self, scope: Scope) -> bool:
        """Return whether a scope is one of a system collection, which shares nothing."""
        return self._scopes.subscription(scope).is_virtual

    def matches(self, scope: Scope, body: bytes) -> bool:
        """
        Return whether a live document, by its stored text, is in a scope.

        :raises BudgetExceeded: the condition takes too long, see `Subscription.matches`.
        """
        return self._scopes.matches(scope, body)

    def moved_out(self, snapshot: Snapshot) -> Iterator[dict[str, Value]]:
        """Yield the rows of ``system:moved_out``, see `moved_out_documents`; on any thread."""
        return moved_out_documents(snapshot, self._own)

    # -- requests

    def perform(self, request: DocumentRequest) -> Deferred[Answer]:
        """
        Perform a request; fire with the answer, after a mutation once it is durable.

        A damaged document that the request meets is put into quarantine, and the request performed
        again: nothing is sent, promised or merged that builds on the damage.

        :raises StoreError: the store could not; nothing was applied.
        :raises ClockSkew, CorruptItem, ImplausibleClaim: the peer is to blame; nothing was applied.
        """
        return Deferred.fromCoroutine(self._perform_past_damage(request))

    async def _perform_past_damage(self, request: DocumentRequest) -> Answer:
        quarantined: set[tuple[str, bytes]] = set()
        while True:
            try:
                return await self._perform(request)
            except DocumentDamaged as error:
                place = (error.collection, error.id_key)
                # Quarantine has failed before, or fails now: report the damage.
                if place in quarantined or not await self._store.quarantine(*place):
                    raise
                quarantined.add(place)

    def _perform(self, request: DocumentRequest) -> Deferred[Answer]:
        match request:
            case ApplyBatch():
                return self._apply(request)
            case DeleteGone():
                has_transit = self.transit is not None
                return self._write(
                    "delete gone", lambda unit: delete_gone(unit, request, has_transit=has_transit)
                )
            case Observe():
                return self._observe(request)
        name = type(request).__name__
        return self._store.read(name, lambda snapshot: self._read(request, snapshot))

    def _read(self, request: DocumentRequest, snapshot: Snapshot) -> Answer:
        if self.transit is None:
            return self._read_joined(request, snapshot)
        if isinstance(request, FindDropped):
            return find_dropped(request, self.transit, snapshot)
        answer = self._read_joined(request, join_transit(snapshot))
        return add_transit(request, answer, self.transit, snapshot)

    def _read_joined(self, request: DocumentRequest, snapshot: Snapshot) -> Answer:
        match request:
            case FindPosition(scope=scope, sender=sender):
                info = snapshot.collection(scope.collection)
                held = info.count if info is not None else 0
                lsn = cursor(snapshot, scope, sender)
                return StreamPosition(
                    lsn=lsn,
                    held=held,
                    base=None if lsn is None else stored_base(snapshot, scope, sender),
                    evictions=Evictions.of(snapshot, scope.collection).generation,
                )
            case ReadChanges():
                return read_changes(snapshot, request, self._scopes)
            case ReadDocuments():
                return read_documents(snapshot, request)
            case ReadDigests():
                return read_digests(snapshot, request, self._scopes)
            case FindSeen():
                return find_seen(snapshot, request)
            case FindDropped():
                return ()
            case FindGone():
                return find_gone(snapshot, request, self._scopes)
        raise AssertionError(f"not a request that reads: {request!r}")

    def _write(self, name: str, work: Callable[[UnitOfWork], Answer]) -> Deferred[Answer]:
        def answer(committed: UnitResult[Answer]) -> Answer:
            return committed.result

        return self._store.write(name, work).addCallback(answer)

    def _context(self) -> BatchContext:
        return BatchContext(
            scopes=self._scopes,
            own=self._own,
            replica=self.replica,
            now_ms=self._now_ms(),
            transit=self.transit,
        )

    def _apply(self, request: ApplyBatch) -> Deferred[Answer]:
        context = self._context()

        def answer(committed: UnitResult[BatchOutcome]) -> Answer:
            outcome = committed.result
            self._learn(outcome.heard, outcome.renewed)
            return outcome.answer

        written = self._store.write("apply", lambda unit: apply_batch(unit, request, context))
        return written.addCallback(answer)

    def _observe(self, request: Observe) -> Deferred[Answer]:
        own, now_ms = self.replica, self._now_ms()

        def answer(committed: UnitResult[Replica | None]) -> None:
            self._learn({}, committed.result)

        written = self._store.write("observe", lambda unit: observe(unit, request, own, now_ms))
        return written.addCallback(answer)


def _load(snapshot: Snapshot) -> tuple[dict[Replica, int], dict[str, int]]:
    """Return the highest sequences that were heard, and the generations of evictions."""
    return load_heard(snapshot), load_generations(snapshot)
