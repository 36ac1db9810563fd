# SPDX-License-Identifier: Apache-2.0
"""
What must be true of documents in the end, computed apart from any replication.

Every local write is recorded as the state that it made.  Writes that only ever were on a server
that was restored from a backup, or on a document that was evicted, may be lost; everything else
must be in the end states (`tests.support.simulation.bounds`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, field

from edge_twisted.documents.encoding import decode
from edge_twisted.documents.json_text import from_text
from edge_twisted.documents.state import DocumentState
from edge_twisted.store.rows import StoredDocument
from tests.support.simulation.bounds import DocumentBounds
from tests.support.simulation.contents import Contents, Place


def state_of(document: StoredDocument) -> DocumentState:
    """Return the state of a stored document."""
    if document.body is None:
        return decode(document.state, None)
    fields = from_text(document.body)
    del fields["_id"]
    return decode(document.state, fields)


@define(eq=False)
class ObservedState:
    """A state that was on a server; `lost` if that proves nothing any more."""

    server: int
    place: Place
    state: DocumentState
    is_delete: bool
    serial: int
    lost: bool = False
    #: Written by a user there, not found there later.
    is_write: bool = True


@define(eq=False)
class Oracle:
    """All records, and what follows from them."""

    records: list[ObservedState] = field(factory=list)
    #: Sum of the increments of the tally: all, and those that may be lost.
    tally: int = 0
    tally_lost: int = 0
    deleted: set[Place] = field(factory=set)
    _tallies: list[tuple[int, int, int]] = field(factory=list)
    serial: int = 0

    def wrote(self, server: int, place: Place, document: StoredDocument) -> None:
        """A user's statement made this of a document."""
        self.serial += 1
        is_delete = document.body is None
        if is_delete:
            self.deleted.add(place)
        self.records.append(
            ObservedState(server, place, state_of(document), is_delete, self.serial)
        )

    def tallied(self, server: int, amount: int) -> None:
        """A user added to the tally."""
        self.serial += 1
        self.tally += amount
        self._tallies.append((server, self.serial, amount))

    def forget(
        self,
        server: int,
        concerns: Callable[[ObservedState], bool],
        *,
        since: int = 0,
        before: Contents,
        now: Mapping[int, Contents],
    ) -> None:
        """
        What a server had, of the records that `concerns` names, is gone there.

        So is what another server had, if it let go of it knowingly because it was safe elsewhere,
        and `server` has lost a copy with all of it: that was the last one, or one that the last
        one came from.  What vanished from the other server without such a fact stays certain, and
        so does what it let go of that `server` never had.

        What any server holds now is certain to stay, as long as it keeps it.  That includes those
        that are down: crashing and starting loses nothing.

        :param since: only records after this `serial` are gone.
        :param before: what the server held until now.
        :param now: what every server holds now; who is down, what it will start with.
        """
        left = now[server]
        for record in self.records:
            if record.lost:
                continue
            place, version = record.place, record.state.version
            if record.server == server and record.serial > since and concerns(record):
                record.lost = True
            elif now[record.server].let_go(place, version):
                record.lost = before.holds(place, version) and not left.holds(place, version)
        for number, holdings in now.items():
            for place, document in holdings.documents.items():
                self._found(number, place, document)

    def _found(self, server: int, place: Place, document: StoredDocument) -> None:
        self.serial += 1
        state, is_delete = state_of(document), document.body is None
        self.records.append(
            ObservedState(server, place, state, is_delete, self.serial, is_write=False)
        )

    def tallies_lost_since(self, server: int, since: int) -> None:
        """Increments of a server may be lost."""
        kept = []
        for each in self._tallies:
            if each[0] == server and each[1] > since:
                self.tally_lost += each[2]
            else:
                kept.append(each)
        self._tallies = kept

    # -- bounds

    def bounds(self) -> dict[Place, DocumentBounds]:
        """Return what is certain of each document that was ever written."""
        found: dict[Place, DocumentBounds] = {}
        for record in self.records:
            bounds = found.setdefault(record.place, DocumentBounds())
            bounds.take(record.state, is_delete=record.is_delete, lost=record.lost)
        return found
