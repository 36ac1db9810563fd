# SPDX-License-Identifier: Apache-2.0
"""Damage that reads meet on any thread: errors, a record, and the move into quarantine."""

from __future__ import annotations

from collections.abc import Callable

import apsw
from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from edge_twisted.store.errors import (
    DocumentDamaged,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    shown_id,
)
from edge_twisted.store.rows import DamageReport
from edge_twisted.store.sqlite.connection import is_unreadable, translated

log = Logger()

#: SQLite's extended codes for sectors that cannot be read, and damage that the file system found.
_BAD_SECTORS = (
    apsw.SQLITE_IOERR_READ,
    apsw.SQLITE_IOERR_SHORT_READ,
    apsw.SQLITE_IOERR_DATA,
    apsw.SQLITE_IOERR_CORRUPTFS,
)
#: Most messages of SQLite that are kept; the first ones tell what is wrong.
_MOST_PAGES = 20


@frozen
class DamagedDocument:
    """A document whose bytes are not what was written."""

    collection: str
    id_key: bytes


@frozen
class UnreadableRow:
    """A document of a scan that cannot be read; SQLite did not say which one."""

    what: str


@frozen
class DamagedPage:
    """A part of the file that SQLite cannot read; `reason` is SQLite's message."""

    reason: str


Finding = DamagedDocument | UnreadableRow | DamagedPage


def _nobody(finding: Finding) -> None:
    """Drop a finding."""


@define(eq=False)
class DamageReporter:
    """
    Makes the errors that damaged bytes raise, and reports each finding.

    :ivar report: called with each finding, on the thread that met it, as often as it is met.
    :ivar any_quarantined: whether any document is in quarantine; if not, as in most stores, reads
        that find no document save a look-up there.
    """

    report: Callable[[Finding], None] = _nobody
    any_quarantined: bool = False

    def document(self, collection: str, id_key: bytes) -> DocumentDamaged:
        """Report a damaged document; return (not raise) the error for the read that met it."""
        self.report(DamagedDocument(collection, id_key))
        return DocumentDamaged(collection, id_key)

    def translated(self, what: str, error: apsw.Error | UnicodeDecodeError) -> StoreError:
        """
        Return the store's error for one of SQLite's, and report it if it tells of damage.

        :param what: names the read in the message.
        """
        found = translated(what, error)
        if is_unreadable(error):
            self.report(UnreadableRow(what))
        elif isinstance(found, StoreCorrupt) or _is_bad_sector(error):
            self.report(DamagedPage(str(error)))
        return found


def _is_bad_sector(error: apsw.Error | UnicodeDecodeError) -> bool:
    # apsw sets it on errors of SQLite alone, and its stubs do not know it.
    return getattr(error, "extendedresult", apsw.SQLITE_OK) in _BAD_SECTORS


def log_not_moved(collection: str, id_key: bytes, error: BaseException | None) -> None:
    """Log that a damaged document could not be put into quarantine."""
    log.error(
        "Document {document} of collection {collection} is damaged, and could not be"
        " put into quarantine: {error}",
        document=shown_id(id_key),
        collection=collection,
        error=str(error),
    )


class DamageRecord:
    """
    The record of what was found damaged in an open store; has damaged documents quarantined.

    For the reactor's thread; `met` and `quarantined` are for any thread.

    :param quarantine: moves a document, by collection and id key.
    :ivar met: takes the reports of reads.
    :ivar hurry: called when a scan met damage and cannot say where, so that the scrubber searches.
    """

    def __init__(
        self, threads: IReactorFromThreads, quarantine: Callable[[str, bytes], Deferred[bool]]
    ) -> None:
        self._quarantine = quarantine
        self._documents = 0
        #: Messages of SQLite, as a set in the order of their arrival.
        self._pages: dict[str, None] = {}
        #: Documents whose move into quarantine is pending or has failed.
        self._suspects: set[DamagedDocument] = set()
        self.hurry: Callable[[], None] = lambda: None
        self._threads = threads
        self.met = DamageReporter(self._report)

    def begin(self, documents: int) -> None:
        """Note how many documents are in quarantine as the store opens, and log it."""
        self.quarantined(documents)
        if documents:
            log.error(
                "{count} damaged documents are in quarantine: `edge-server check` names them",
                count=documents,
            )

    def quarantined(self, documents: int) -> None:
        """Note how many documents are in quarantine now; from any thread."""
        self._documents = documents
        self.met.any_quarantined = documents > 0

    def report(self, attachments: int) -> DamageReport:
        """Return the damage found so far; `attachments` is the number of damaged blobs."""
        return DamageReport(
            documents=self._documents, attachments=attachments, pages=tuple(self._pages)
        )

    def page(self, reason: str) -> None:
        """
        Remember that a part of the file cannot be read, and log it once.

        :param reason: the message of SQLite; after 20 different ones, further ones are dropped.
        """
        if reason in self._pages or len(self._pages) >= _MOST_PAGES:
            return
        self._pages[reason] = None
        log.error(
            "The store file is damaged ({reason}): run `edge-server check`, or restore a backup",
            reason=reason,
        )

    def _report(self, finding: Finding) -> None:
        self._threads.callFromThread(self._found, finding)

    def _found(self, finding: Finding) -> None:
        match finding:
            case DamagedDocument():
                self._suspect(finding)
            case DamagedPage(reason=reason):
                self.page(reason)
            case UnreadableRow():
                self.hurry()

    def _suspect(self, document: DamagedDocument) -> None:
        if document in self._suspects:
            return
        self._suspects.add(document)

        def moved(went: bool) -> None:
            self._suspects.discard(document)

        def failed(failure: Failure) -> None:
            if failure.check(StoreClosed) is None:
                # The document stays among the suspects, so this is logged once.
                log_not_moved(document.collection, document.id_key, failure.value)

        self._quarantine(document.collection, document.id_key).addCallbacks(moved, failed)
