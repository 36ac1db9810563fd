# SPDX-License-Identifier: Apache-2.0
"""
Merging a batch that a peer sent: one unit of work, whole or not at all.

First everything is checked and merged, then stored: a document that has to come whole first
(`Lacking`) leaves no trace of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from attrs import frozen

from edge_twisted.documents.clock import BEGINNING
from edge_twisted.documents.versions import Replica
from edge_twisted.mesh.ports.requests import Applied, ApplyBatch, Lacking
from edge_twisted.records.documents import DocumentWriter, note_hidden_variants
from edge_twisted.replication import knowledge
from edge_twisted.replication.epoch_renewal import note_heard, renew_if_copy
from edge_twisted.replication.item_checks import Arrivals
from edge_twisted.replication.merge_writer import MergeWriter
from edge_twisted.replication.merges import Merge
from edge_twisted.replication.scopes import OwnSubscriptions, Scopes
from edge_twisted.store.interface import UnitOfWork


@frozen(kw_only=True)
class BatchContext:
    """What applying needs beside the unit of work."""

    scopes: Scopes
    own: OwnSubscriptions
    #: Who we are.
    replica: Replica
    now_ms: int


class BatchOutcome(NamedTuple):
    """The answer to `ApplyBatch`, and what came to light on the way."""

    answer: Applied | Lacking
    renewed: Replica | None = None
    #: News for `heard_of`.
    heard: Mapping[Replica, int] = MappingProxyType({})


def apply_batch(unit: UnitOfWork, request: ApplyBatch, context: BatchContext) -> BatchOutcome:
    """
    Perform `ApplyBatch`.

    :raises ClockSkew: a timestamp is too far ahead; nothing was applied.
    :raises CorruptItem: the peer sent what cannot be; nothing was applied.
    :raises ImplausibleClaim: see `renew_if_copy`; nothing was applied.
    """
    scope = request.scope
    arrivals = Arrivals.of(scope.collection, request.items)
    if arrivals.newest != BEGINNING:
        unit.see(arrivals.newest)
    batch = Merge(unit, scope, context.scopes)
    for item, header in arrivals.items:
        batch.take(item, header)
    if batch.lacking:
        return BatchOutcome(Lacking(id_keys=tuple(batch.lacking)))
    heard = dict(arrivals.heard)
    renewed = _renewed(unit, request, context, heard)
    batch.renounce(DocumentWriter(unit).stamp)
    storing = MergeWriter(unit, scope.collection, context.own, context.now_ms)
    for each in batch.results:
        storing.store(each)
    storing.finish()
    if batch.hides:
        note_hidden_variants(unit, scope.collection)
    moved = _move(unit, request)
    applied = Applied(
        documents=len(batch.results),
        moved=moved,
        echoes=tuple(batch.echoes),
        gone=tuple(batch.gone),
        older=tuple(batch.older),
        attachments=tuple(dict.fromkeys(storing.attachments)),
    )
    return BatchOutcome(applied, renewed, note_heard(unit, heard))


def _renewed(
    unit: UnitOfWork, request: ApplyBatch, context: BatchContext, heard: dict[Replica, int]
) -> Replica | None:
    """Take a new epoch if the batch knows later writes of ours than we do."""
    own = context.replica
    of_us = heard.pop(own, 0)
    if request.knowledge is not None:
        of_us = max(of_us, request.knowledge.seen(own))
    return renew_if_copy(unit, own, of_us, context.now_ms)


def _move(unit: UnitOfWork, request: ApplyBatch) -> bool:
    """Move the cursor; return False if it is not where the sender thinks."""
    if request.lsn is None:
        return True
    scope, sender = request.scope, request.sender
    here = knowledge.cursor(unit, scope, sender)
    if here != request.after:
        return False
    if here != request.lsn:
        knowledge.put_cursor(unit, scope, sender, request.lsn)
    if request.knowledge is not None and scope.is_whole:
        knowledge.join_knowledge(unit, scope.collection, request.knowledge)
    return True
