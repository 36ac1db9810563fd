# SPDX-License-Identifier: Apache-2.0
"""Checks the documents of one collection against totals, index entries and mentions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import apsw

from edge_twisted.documents.attachments import tokens_in
from edge_twisted.documents.digest import digest
from edge_twisted.documents.encoding import decode
from edge_twisted.documents.headers import read_header
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.json_text import from_text, to_text
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.values import Value
from edge_twisted.errors import EdgeError
from edge_twisted.store.keys import KEY_LIMIT_BYTES, entry
from edge_twisted.store.sqlite import selection
from edge_twisted.store.sqlite.checksums import is_body_whole, is_state_whole, is_whole
from edge_twisted.store.sqlite.connection import fetch
from edge_twisted.store.sqlite.rowids import dead_rows, live_rows
from edge_twisted.store.sqlite.state import CollectionState, StoredIndex, WriterState, signed
from edge_twisted.store.sqlite.tools.problems import Mend, StoreProblem

_ID = "_id"
_PAGE_ROWS = 200
_ROWS = (
    f"SELECT row, id, lsn, digest, attachments, received, {selection.TEXT}, state, checksum"
    " FROM documents WHERE collection = ? AND row > ? ORDER BY row LIMIT ?"
)
#: The same where a body is so damaged that SQLite cannot write it as text.
_ROWS_WITHOUT_BODY = _ROWS.replace(selection.TEXT, "x''")


class CheckedRow(NamedTuple):
    """A stored document."""

    row: int
    id_key: bytes
    lsn: int
    digest: int
    attachments: int
    received: int | None
    body: bytes | None
    state: bytes
    checksum: int | None


class CollectionCheck:
    """One pass over a collection; `problems` may be called once."""

    def __init__(
        self, connection: apsw.Connection, site: WriterState, here: CollectionState
    ) -> None:
        self._connection = connection
        self._site = site
        self._here = here
        self._live = 0
        self._sum = 0
        self._xor = 0
        self._newest = 0
        self._greatest_sequence = 0
        #: How many entries each index should have.
        self._entries: Counter[int] = Counter()

    def problems(self) -> Iterator[StoreProblem]:
        """Yield the problems of each document, then of totals, progress and indexes."""
        for row in self._rows():
            yield from self._document(row)
        yield from self._totals()
        yield from self._progress()
        for index in self._here.indexes:
            yield from self._index(index)

    def _problem(
        self, what: str, row: CheckedRow | None = None, mend: Mend | None = None
    ) -> StoreProblem:
        return StoreProblem(
            what,
            collection=self._here.name,
            id=None if row is None else _shown_id(row),
            mend=mend,
            target=self._here.number if row is None else row.row,
        )

    def _rows(self) -> Iterator[CheckedRow]:
        after = live_rows(self._here.number)[0] - 1
        while True:
            page = (self._here.number, after, _PAGE_ROWS)
            try:
                rows = fetch(self._connection, _ROWS, page)
            except apsw.Error as error:
                if "malformed JSON" not in str(error):
                    raise
                rows = [
                    row
                    for found in fetch(self._connection, _ROWS_WITHOUT_BODY, page)
                    for row in [self._with_body(found)]
                ]
            yield from map(CheckedRow._make, rows)
            if len(rows) < _PAGE_ROWS:
                return
            after = rows[-1][0]

    def _with_body(self, found: tuple[object, ...]) -> tuple[object, ...]:
        """Read the body of one row by itself; an empty one stands for one that cannot be read."""
        sql = f"SELECT {selection.TEXT} FROM documents WHERE row = ?"
        try:
            body = self._connection.execute(sql, (found[0],)).get
        except apsw.SQLError:
            body = b""
        return (*found[:6], body, *found[7:])

    # -- one document

    def _document(self, row: CheckedRow) -> Iterator[StoreProblem]:
        self._newest = max(self._newest, row.lsn)
        if row.body is not None:
            self._live += 1
            self._sum += row.digest
            self._xor ^= row.digest
        yield from self._place(row)
        yield from self._checksum(row)
        if row.body is None:
            yield from self._state(row, None)
            return
        try:
            document = from_text(row.body)
            fields = {name: value for name, value in document.items() if name != _ID}
            id_key = DocumentId.of(document[_ID]).key
        except (EdgeError, AttributeError, KeyError):
            yield self._problem("its text cannot be read", row)
            return
        if id_key != row.id_key:
            yield self._problem("it is stored under another id than its text has", row)
        yield from self._state(row, fields)
        yield from self._kept_of(row, document)

    def _place(self, row: CheckedRow) -> Iterator[StoreProblem]:
        first, last = (dead_rows if row.body is None else live_rows)(self._here.number)
        if not first <= row.row <= last:
            kind = "a tombstone" if row.body is None else "a live document"
            yield self._problem(f"row {row.row} is not in the range of {kind}", row)
        if (row.received is None) != (row.body is not None):
            yield self._problem("a time of receipt belongs to tombstones, and to them alone", row)
        if row.lsn < 1:
            yield self._problem(f"{row.lsn} is no commit", row)

    def _checksum(self, row: CheckedRow) -> Iterator[StoreProblem]:
        try:
            number = digest(row.id_key, read_header(row.state).version)
        except (EdgeError, TypeError):
            number = row.digest
        # A wrong digest alone is a problem of its own, see `_state`.
        if not is_whole(row.checksum, row.id_key, number, row.body, row.state):
            yield self._problem("its bytes are not what was written: the checksum differs", row)

    def _state(self, row: CheckedRow, fields: dict[str, Value] | None) -> Iterator[StoreProblem]:
        try:
            state = decode(row.state, fields)
        except EdgeError as error:
            yield self._problem(str(error), row)
            return
        if _text(state) != (None if fields is None else to_text(fields)):
            mend = Mend.BODY if self._follows(row, state) else None
            yield self._problem("its merge state shows something else than its text", row, mend)
        if digest(row.id_key, state.version) != row.digest:
            yield self._problem("its digest is not that of its version", row, Mend.DIGEST)
        own = state.version.seen(self._site.replica)
        self._greatest_sequence = max(self._greatest_sequence, own)

    def _follows(self, row: CheckedRow, state: DocumentState) -> bool:
        """Return whether the text follows from the merge state, and neither was changed since."""
        if row.body is None or state.fields is None:
            return False
        text = to_text({**state.fields, _ID: from_text(row.body)[_ID]})
        return is_state_whole(row.checksum, row.digest, row.state) and is_body_whole(
            row.checksum, row.id_key, text
        )

    def _kept_of(self, row: CheckedRow, document: dict[str, Value]) -> Iterator[StoreProblem]:
        wanted = set(tokens_in(document))
        kept = {
            name
            for (name,) in fetch(
                self._connection, "SELECT attachment FROM mentions WHERE row = ?", (row.row,)
            )
        }
        if wanted != kept or len(wanted) != row.attachments:
            lacking = f"{len(wanted - kept)} missing, {len(kept - wanted)} too many"
            yield self._problem(
                f"the attachments that it names are not kept ({lacking})", row, Mend.MENTIONS
            )
        for index in self._here.indexes:
            if index.progress is not None and row.row > index.progress:
                continue
            key = entry(index.definition, document)
            if key is None:
                continue
            self._entries[index.number] += 1
            place = (index.number, key[:KEY_LIMIT_BYTES], row.row)
            if not fetch(
                self._connection,
                "SELECT 1 FROM entries WHERE number = ? AND key = ? AND row = ?",
                place,
            ):
                yield StoreProblem(
                    f"index {index.definition.name} lacks it",
                    collection=self._here.name,
                    id=_shown_id(row),
                    mend=Mend.ENTRIES,
                    target=index.number,
                )

    # -- all of them

    def _totals(self) -> Iterator[StoreProblem]:
        here = self._here
        if here.live != self._live:
            yield self._problem(
                f"it is said to have {here.live} documents, and has {self._live}", mend=Mend.TOTALS
            )
        if (here.digest_sum, here.digest_xor) != (signed(self._sum), signed(self._xor)):
            yield self._problem("its fingerprint is not that of its documents", mend=Mend.TOTALS)

    def _progress(self) -> Iterator[StoreProblem]:
        site, here = self._site, self._here
        if self._newest > here.lsn or max(here.lsn, here.reaped_lsn) > site.lsn:
            newest = max(self._newest, here.lsn)
            yield self._problem(
                f"it has commit {newest}, but the newest is said to be {min(here.lsn, site.lsn)}",
                mend=Mend.PROGRESS,
            )
        if self._greatest_sequence > site.sequence:
            yield StoreProblem(
                f"it has write {self._greatest_sequence} of this server, which is said to have"
                f" made {site.sequence}",
                collection=here.name,
                mend=Mend.SEQUENCE,
                target=self._greatest_sequence,
            )

    def _index(self, index: StoredIndex) -> Iterator[StoreProblem]:
        if index.progress is not None:
            # Documents behind the progress may have entries or not.
            return
        count = self._connection.execute(
            "SELECT count(*) FROM entries WHERE number = ?", (index.number,)
        ).get
        wanted = self._entries[index.number]
        if count > wanted:
            yield StoreProblem(
                f"index {index.definition.name} has {count} entries, {count - wanted} too many",
                collection=self._here.name,
                mend=Mend.ENTRIES,
                target=index.number,
            )


def _text(state: DocumentState) -> bytes | None:
    fields = state.fields
    return None if fields is None else to_text(fields)


def _shown_id(row: CheckedRow) -> str:
    try:
        return json.dumps(from_text(row.body or b"")[_ID], ensure_ascii=False)
    except (EdgeError, KeyError, TypeError):
        return f"with key {row.id_key.hex()}"
