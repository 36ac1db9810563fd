# SPDX-License-Identifier: Apache-2.0
"""Problems that a check finds, and the repairs for them."""

from __future__ import annotations

from enum import Enum

from attrs import field, frozen


class Mend(Enum):
    """A repair: how a part of the database is made again from the other parts."""

    REINDEX = "SQLite's own indexes are built anew"
    TOTALS = "the totals are counted anew"
    ENTRIES = "the index is built anew at the next start"
    MENTIONS = "the mentions are gathered anew"
    BODY = "the text is written anew from the merge state"
    DIGEST = "the digest is computed anew"
    PROGRESS = "the counter is moved behind what is stored"
    SEQUENCE = "the counter is moved behind what is stored, and a new epoch begins"
    FACT = "what is known of the attachment is forgotten"


@frozen
class StoreProblem:
    """
    One problem of a database, as a line of ``edge-server check`` shows it.

    If `mend` is None, no repair is possible: restore a backup, or let a peer send the data again.
    """

    what: str
    collection: str | None = field(default=None, kw_only=True)
    #: The document's id as JSON, or its key where that cannot be read.
    id: str | None = field(default=None, kw_only=True)
    mend: Mend | None = field(default=None, kw_only=True)
    #: Whether the damage is in quarantine already, where no read serves it.
    is_kept: bool = field(default=False, kw_only=True)
    #: What `mend` is done to: a row, the number of an index or collection, the key of a fact.
    target: int | bytes | None = field(default=None, kw_only=True)

    def __str__(self) -> str:
        place = "" if self.collection is None else f"collection {self.collection}"
        place += "" if self.id is None else f", document {self.id}"
        return f"{place}: {self.what}" if place else self.what
