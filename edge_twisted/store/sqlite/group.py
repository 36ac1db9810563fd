# SPDX-License-Identifier: Apache-2.0
"""
The commit group: one physical transaction, and the units of work that it makes durable.

`DirectUnit` is a unit of work as the other parts of this store take it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import apsw
from attrs import define, field

from edge_twisted.store.interface import MOST_COLLECTIONS, UnitOfWork
from edge_twisted.store.sqlite import selection
from edge_twisted.store.sqlite.checksums import is_whole
from edge_twisted.store.sqlite.connection import UNREADABLE, is_unreadable
from edge_twisted.store.sqlite.damage import DamageReporter
from edge_twisted.store.sqlite.layers import Layer, PendingRow, flush
from edge_twisted.store.sqlite.state import CollectionState, WriterState

_FIND = (
    f"SELECT row, lsn, digest, attachments, received, {selection.TEXT}, state, checksum"
    " FROM documents WHERE collection = ? AND id = ?"
)


@define(eq=False)
class CommitGroup:
    """
    The open transaction of the writer's connection, and the layer not yet written into it.

    :ivar state: units change it as they run; the writer reads it again if the transaction fails.
    """

    connection: apsw.Connection
    state: WriterState
    now_ms: Callable[[], int]
    new_epoch: Callable[[int], int]
    #: Called on the reactor thread: (collection, name) of an index that is ready, or gone.
    index_changed: Callable[[str, str], None]
    damage: DamageReporter = field(factory=DamageReporter)
    #: Most collections that statements make; see `UnitOfWork.admit_collection`.
    most_collections: int = MOST_COLLECTIONS
    layer: Layer = field(factory=Layer)
    #: Whether a unit succeeded that changed something.
    changed: bool = False
    #: Names of the collections whose documents changed.
    collections: set[str] = field(factory=set)
    #: Spaces where facts were put, also by units that failed.
    spaces: set[str] = field(factory=set)
    _begun: bool = False

    def begin(self) -> apsw.Connection:
        """Return the writer's connection inside the transaction, which the first call begins."""
        if not self._begun:
            self.connection.execute("BEGIN IMMEDIATE")
            self._begun = True
        return self.connection

    @property
    def alive(self) -> bool:
        """False if SQLite rolled the transaction back on its own, as it may on errors."""
        return not self._begun or self.connection.in_transaction

    def find(self, collection: CollectionState, id_key: bytes) -> PendingRow:
        """
        Return a document as the units before have left it; with `row` None if there is none.

        :raises DocumentDamaged: its bytes are not what was written.
        """
        pending = self.layer.documents.get((collection.number, id_key))
        if pending is not None:
            return pending
        found = None
        if id_key <= collection.greatest_id:
            found = self._stored(collection, id_key)
        if found is None:
            return PendingRow(collection.number, id_key, None, (), False, None)
        row, lsn, digest, attachments, received, body, state, checksum = found
        if not is_whole(checksum, id_key, digest, body, state):
            raise self.damage.document(collection.name, id_key)
        # Index entries are computed when they are needed: None until then.
        return PendingRow(
            collection.number,
            id_key,
            row,
            None if body is not None else (),
            bool(attachments),
            row,
            lsn,
            digest,
            received,
            body,
            state,
        )

    def _stored(self, collection: CollectionState, id_key: bytes) -> Any:
        try:
            return self.begin().execute(_FIND, (collection.number, id_key)).get
        except UNREADABLE as error:
            if is_unreadable(error):
                raise self.damage.document(collection.name, id_key) from error
            raise

    def keep(self, layer: Layer) -> None:
        """Take over the layer of a unit that succeeded; write out all layers if they are big."""
        self.changed = True
        self.layer.take(layer)
        if self.layer.is_big:
            self.flush()

    def flush(self) -> None:
        """Write the group's layer into the transaction, so that SQL sees it, and empty it."""
        if self.layer:
            flush(self.begin(), self.layer)

    def commit(self) -> None:
        """
        Write what waits, and commit durably; nothing reaches the disk if nothing changed.

        :raises apsw.Error: the transaction failed: call `roll_back`.
        """
        if self.changed:
            self.flush()
            self.state.save(self.begin())
        if self._begun:
            self.connection.execute("COMMIT")
        self.state.touched.clear()

    def roll_back(self) -> None:
        """Undo the transaction, unless SQLite has done so; raises nothing."""
        if self.connection.in_transaction:
            with suppress(apsw.Error):
                self.connection.execute("ROLLBACK")


class DirectUnit(UnitOfWork, Protocol):
    """A unit of work that runs SQL of its own: indexes, the reaper, quarantine and the scrubber."""

    now_ms: Callable[[], int]
    #: Jobs that begin once the unit is durable.
    jobs: list[Job]

    @property
    def state(self) -> WriterState:
        """The writer's state, as this unit has changed it so far."""

    def settled(self) -> apsw.Connection:
        """Return the connection for SQL that only reads, and sees what the unit wrote."""

    def direct(self) -> apsw.Connection:
        """
        Return the connection for SQL that writes, and sees what the unit wrote.

        What it writes is undone with the unit.
        """

    def touch(self, collection: CollectionState) -> None:
        """Note the totals of a collection before they change, so that an undo restores them."""

    def changes(self, collection: CollectionState) -> None:
        """Note that the unit changes what queries see of a collection, so that it takes an lsn."""

    def on_undo(self, step: Callable[[], None]) -> None:
        """Call `step` if the unit fails; of several, the one added last is called first."""

    def index_changed(self, collection: str, name: str) -> None:
        """Tell those who wait for an index that it is ready or gone, once the unit is durable."""


#: One step of work between the groups of units; returns whether there is more to do.
Job = Callable[[DirectUnit], bool]
