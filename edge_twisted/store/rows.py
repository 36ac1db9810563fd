# SPDX-License-Identifier: Apache-2.0
"""
Values that go into a store and come out of it.

Shared terms.  An *lsn* is a local commit number: every unit of work that changes something takes
the next one, and it is the ``commitId`` of the query API.  An *id key* is the canonical key of a
document id, `edge_twisted.documents.ids`: equal ids have equal keys, and keys compare as ids do.
A *body* is a document as stored text (`edge_twisted.documents.json_text`), ``_id`` included: what
``SELECT *`` splices into its answer where `is_literal` says so.  A *state* is the encoded merge
state, which the store keeps without looking inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

from attrs import frozen

T = TypeVar("T")

_64_BITS = (1 << 64) - 1

#: What a scan yields per document, as a plain tuple because a scan yields millions.
ScanRow = tuple[bytes, bytes]  # (id key, body)
#: A row of which nothing but the body is asked for.
BodyRow = tuple[bytes]


class StoredDocument(NamedTuple):
    """One stored document, live or deleted (a tuple, because it is made for every read)."""

    id_key: bytes
    #: The newest commit that changed it.
    lsn: int
    #: None: deleted, and this is its tombstone.
    body: bytes | None
    state: bytes
    #: 64 bits (signed) that its writer derived from the id and the version.
    digest: int


class Change(NamedTuple):
    """The newest version of one document, in the order of commits."""

    collection: str
    document: StoredDocument


@frozen(kw_only=True)
class ChangeBatch:
    """
    Whole commits, oldest first, each document once by its newest commit.

    Pass `lsn` to the next call.  It moves on even when no change concerned the collections
    that were asked for.  `more` says that another call would find something at once.
    """

    changes: tuple[Change, ...]
    lsn: int
    more: bool


def whole_commits(
    changes: Iterable[Change], span: tuple[int, int], limits: tuple[int, int]
) -> ChangeBatch:
    """
    Return the first commits of a log as a batch, to the end of the one that reaches a limit.

    :param changes: all changes after the span's beginning, by lsn.
    :param span: the lsn after which the log was read, and the newest lsn.
    :param limits: (documents, bytes of bodies and states).
    """
    reached, newest = span
    most, most_bytes = limits
    found: list[Change] = []
    size = 0
    for change in changes:
        document = change.document
        if document.lsn > reached and found and (len(found) >= most or size >= most_bytes):
            return ChangeBatch(changes=tuple(found), lsn=reached, more=True)
        found.append(change)
        reached = document.lsn
        size += len(document.state) + len(document.body or b"")
    return ChangeBatch(changes=tuple(found), lsn=max(newest, span[0]), more=False)


def fingerprint(digest_sum: int, digest_xor: int) -> bytes:
    """
    Return the 16 bytes of `CollectionInfo.fingerprint` from sum and exclusive or of digests.

    Both may exceed 64 bits: each is taken modulo 2^64.
    """
    return (digest_sum & _64_BITS).to_bytes(8, "big") + (digest_xor & _64_BITS).to_bytes(8, "big")


@frozen(kw_only=True)
class CollectionInfo:
    """A collection with its totals, which a store keeps and need not compute."""

    name: str
    #: Live documents.
    count: int
    #: The newest commit that changed it.
    lsn: int
    #: The horizon: the newest commit whose tombstone was reaped.  A cursor before it may have
    #: missed a delete, so its owner must fetch the whole scope again.
    reaped_lsn: int
    #: 16 bytes over the digests of the live documents, whatever their order: their sum and their
    #: exclusive or, each modulo 2^64 and big-endian.  Kept by every write, so it costs nothing.
    fingerprint: bytes


@frozen(kw_only=True)
class Census:
    """Figures of a database; their size does not grow with the database."""

    #: How many collections there are, and live documents in all of them.
    collections: int
    documents: int
    #: Names and counts of the collections with most documents, the largest first.
    largest: Sequence[tuple[str, int]]


def census_of(collections: Iterable[CollectionInfo], largest: int) -> Census:
    """Count these collections and their documents, and name the `largest` (so many) of them."""
    counts = sorted(((each.name, each.count) for each in collections), key=lambda c: (-c[1], c[0]))
    return Census(
        collections=len(counts),
        documents=sum(count for _, count in counts),
        largest=counts[:largest],
    )


@frozen(kw_only=True)
class IndexKey:
    """One component of an index: a path of names from the document's root, and its direction."""

    path: tuple[str, ...]
    direction: Literal["asc", "desc"] = "asc"


@frozen(kw_only=True)
class IndexDefinition:
    """
    An index that is wanted.

    Its keys order documents by the total order of the language, component by component.  Without
    `include_missing`, a document that lacks the first component's path has no entry.
    """

    collection: str
    name: str
    keys: tuple[IndexKey, ...]
    include_missing: bool = True


@frozen(kw_only=True)
class IndexInfo:
    """An index that exists."""

    definition: IndexDefinition
    #: False while existing documents are still being added: not to be scanned.
    ready: bool
    #: False once a key was longer than an index keeps: ranges still hold all that matches (and
    #: perhaps more), but the order among long keys is not that of the language.
    exact: bool


class ByteRange(NamedTuple):
    """Index or id keys from `low` on and before `high`; None is no bound on that side."""

    low: bytes = b""
    high: bytes | None = None


class ReadLimit(NamedTuple):
    """The most rows, and bytes of all of them together, that a read at once may return."""

    rows: int
    size: int


def never() -> bool:
    """Return False: the answer of a read that nobody can cancel."""
    return False


@frozen(kw_only=True)
class Commit:
    """What became durable, as after-commit hooks learn it."""

    #: The newest durable commit.
    lsn: int
    #: Names of the collections that changed since the hook was called last.
    collections: frozenset[str]
    #: How many units of work became durable together, and how long that took, fsync included.
    units: int = 1
    seconds: float = 0.0
    #: Where facts may have changed.
    spaces: frozenset[str] = frozenset()


class UnitResult(NamedTuple, Generic[T]):
    """The result of a unit of work that is durable, and the newest lsn that contains it."""

    result: T
    lsn: int


@frozen(kw_only=True)
class DamageReport:
    """The damage of a store, as far as reads and the scrubber have found it."""

    #: Documents and blobs in quarantine.
    documents: int = 0
    attachments: int = 0
    #: What SQLite said of parts of the file that it cannot read, since the store was opened.
    pages: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.documents or self.attachments or self.pages)


@frozen
class BlobInfo:
    """A blob that is complete and verified: its id (43 characters) and its length in bytes."""

    id: str
    length: int
