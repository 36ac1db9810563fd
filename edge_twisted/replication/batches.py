# SPDX-License-Identifier: Apache-2.0
"""
Applying a batch from a peer: one unit of work, whole or not at all.

All documents are checked and merged before the first one is stored.  So when one of them has to
come whole first (`Lacking`), the others are not stored either.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from attrs import frozen
from twisted.logger import Logger

from edge_twisted.documents.clock import BEGINNING
from edge_twisted.documents.versions import Replica
from edge_twisted.mesh.ports.requests import Applied, ApplyBatch, Lacking, ScopeCursor
from edge_twisted.mesh.wire.items import ScopeKey
from edge_twisted.records.documents import DocumentWriter, note_hidden_variants
from edge_twisted.records.evictions import Evictions
from edge_twisted.replication import knowledge
from edge_twisted.replication.epoch_renewal import note_heard, renew_if_copy
from edge_twisted.replication.item_checks import IncomingBatch
from edge_twisted.replication.merge_writer import MergeWriter
from edge_twisted.replication.merges import Merge
from edge_twisted.replication.scopes import OwnSubscriptions, Scopes
from edge_twisted.replication.transit import TransitHomes, TransitIntake, TransitStore, joined_with
from edge_twisted.store.interface import Snapshot, UnitOfWork

log = Logger()


@frozen(kw_only=True)
class BatchContext:
    """What `apply_batch` needs beside the unit of work and the request."""

    scopes: Scopes
    own: OwnSubscriptions
    #: This server.
    replica: Replica
    now_ms: int
    #: The account of documents in transit; None: this server keeps none.
    transit: TransitStore | None = None


class BatchOutcome(NamedTuple):
    """The answer to `ApplyBatch`, and what the batch has told of replicas."""

    answer: Applied | Lacking
    #: This server's new replica, if its epoch was renewed.
    renewed: Replica | None = None
    #: replica -> the highest sequence that was heard of it, where that is news.
    heard: Mapping[Replica, int] = MappingProxyType({})


def apply_batch(unit: UnitOfWork, request: ApplyBatch, context: BatchContext) -> BatchOutcome:
    """
    Merge and store a batch from a peer, and move its cursors; return what became of it.

    The answer in it is `Lacking`, and nothing is stored, if documents have to come whole first.

    :raises ClockSkew: a timestamp is too far ahead; nothing was applied.
    :raises CorruptItem: the peer sent what no server writes; nothing was applied.
    :raises ImplausibleClaim: see `renew_if_copy`; nothing was applied.
    """
    scope = request.scope
    batch = IncomingBatch.of(scope.collection, request.items)
    if batch.newest != BEGINNING:
        unit.see(batch.newest, request.declared)
    merge, unwanted = _merged(unit, request, context, batch)
    if merge.lacking:
        return BatchOutcome(Lacking(id_keys=tuple(merge.lacking)))
    heard = dict(batch.heard)
    renewed = _renewed(unit, request, context, heard)
    merge.renounce(DocumentWriter(unit).stamp)
    writer = MergeWriter(
        unit, scope.collection, context.own, context.now_ms, transit=_homes(request, context)
    )
    for document in merge.results:
        writer.store(document)
    writer.finish()
    if merge.hides and writer.any_shown:
        note_hidden_variants(unit, scope.collection)
    applied = Applied(
        documents=len(merge.results),
        unmoved=_settle_cursors(unit, request, context, len(merge.doubtful)),
        echoes=tuple(merge.echoes),
        gone=tuple(merge.gone),
        older=tuple(merge.older),
        doubtful=len(merge.doubtful),
        attachments=tuple(dict.fromkeys(writer.attachments)),
        unwanted=unwanted,
    )
    return BatchOutcome(applied, renewed, note_heard(unit, heard))


def _merged(
    unit: UnitOfWork, request: ApplyBatch, context: BatchContext, batch: IncomingBatch
) -> tuple[Merge, int]:
    """Merge what is taken of a batch; return the merge, and how much nobody wants."""
    here = joined_with(context.transit, unit)
    wanted = tuple(each.scope for each in request.cursors)
    merge = Merge(here, wanted, context.scopes, request.vouched)
    if context.transit is None or not is_for_others(request):
        for item, header in batch.items:
            merge.take(item, header)
        return merge, 0
    intake = TransitIntake(context.transit, here, wanted, context.scopes)
    for item, header in batch.items:
        if intake.takes(item, header):
            merge.take(item, header)
    merge.lacking += intake.recalled
    return merge, intake.unwanted


def _homes(request: ApplyBatch, context: BatchContext) -> TransitHomes | None:
    if context.transit is None:
        return None
    return TransitHomes(context.transit, context.own, is_for_others(request))


def is_for_others(request: ApplyBatch) -> bool:
    """Return whether a batch is for some scope that this server passes on to other servers."""
    return any(each.scope.route is not None for each in request.cursors)


def _renewed(
    unit: UnitOfWork, request: ApplyBatch, context: BatchContext, heard: dict[Replica, int]
) -> Replica | None:
    """Take a new epoch if the batch has later writes of this server than the store."""
    own = context.replica
    of_us = heard.pop(own, 0)
    if request.knowledge is not None:
        of_us = max(of_us, request.knowledge.seen(own))
    return renew_if_copy(unit, own, of_us, context.now_ms)


def _settle_cursors(
    unit: UnitOfWork, request: ApplyBatch, context: BatchContext, doubtful: int
) -> tuple[ScopeKey, ...]:
    """Move the cursors; or drop them if documents were not taken, so that a repair comes."""
    if not doubtful:
        return _move(unit, joined_with(context.transit, unit), request)
    for cursor in request.cursors:
        knowledge.drop_cursor(unit, cursor.scope, request.sender)
    collection = request.scope.collection
    unit.after_commit(
        lambda: log.info(
            "{count} documents of {collection} may have been deleted here long ago: they are taken"
            " from peers that know of those deletes only",
            count=doubtful,
            collection=collection,
        )
    )
    return ()


def _move(unit: UnitOfWork, here: Snapshot, request: ApplyBatch) -> tuple[ScopeKey, ...]:
    """Move the cursors; leave those that are not where the stream thinks, and return their keys."""
    if request.lsn is None:
        return ()
    unmoved = []
    for cursor in request.cursors:
        if cursor.scope.key in request.provisional:
            continue
        if not _is_there(here, cursor, request.sender):
            unmoved.append(cursor.scope.key)
            continue
        if cursor.after != request.lsn:
            knowledge.put_cursor(unit, cursor.scope, request.sender, request.lsn)
        if request.base is not None:
            knowledge.join_base(unit, cursor.scope, request.sender, request.base)
        if request.knowledge is not None and cursor.scope.is_whole:
            name = knowledge.facts_name(cursor.scope)
            knowledge.join_knowledge(unit, name, request.knowledge)
    return tuple(unmoved)


def _is_there(here: Snapshot, cursor: ScopeCursor, sender: Replica) -> bool:
    if knowledge.cursor(here, cursor.scope, sender) != cursor.after:
        return False
    if cursor.after is not None:
        return True
    # EVICT leaves no cursor either, but what was delivered before it is not here any more.
    return Evictions.of(here, cursor.scope.collection).generation == cursor.evictions
