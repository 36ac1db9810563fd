# SPDX-License-Identifier: Apache-2.0
"""Errors of stores, whichever database is under them."""

from __future__ import annotations

from errno import EACCES, EDQUOT, EEXIST, EFBIG, EISDIR, ENOSPC, ENOTDIR, EPERM, EROFS
from typing import ClassVar

from edge_twisted.errors import Culprit, EdgeError


class StoreError(EdgeError):
    """
    A store could not do what it was asked.

    `what` names the unit of work or the file that it happened to; `reason` is what the layer
    below said.  Nothing of the unit was stored.
    """

    code: ClassVar[str] = "store_error"
    culprit = Culprit.OURSELVES
    #: The first half of the message; subclasses say it in their own words.
    summary: ClassVar[str] = "the store failed"

    def __init__(self, what: str, reason: str = "") -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.what}: {self.summary}" + (f" ({self.reason})" if self.reason else "")


class StoreClosed(StoreError):
    """The store is not open (yet, or any more): stop using it."""

    code = "store_closed"
    summary = "the store is closed"


class StoreOverloaded(StoreError):
    """Too much work waits already: answer 503 and let the client come back later."""

    code = "store_overloaded"
    summary = "too many operations are waiting"


class StoreFull(StoreError):
    """
    The disk is full: free space, then write again.

    All units of the commit that failed get this error, and nothing of them is stored.  Reads go
    on, and each later commit tries the disk again: no restart is needed.  The API answers 503 with
    this code.  A link of the mesh whose documents cannot be stored ends and is dialled again later,
    and the peer sends them again.  Log lines wait in memory (`edge_twisted.logs.patient_writer`).
    """

    code = "store_full"
    culprit = Culprit.OPERATOR
    summary = "the disk is full"


class StoreReadOnly(StoreError):
    """The store's files or folder cannot be written by this process; reads go on."""

    code = "store_read_only"
    culprit = Culprit.OPERATOR
    summary = "the store cannot be written"


class StoreIOError(StoreError):
    """The disk, or what pretends to be one, refused to read or write."""

    code = "store_io_error"
    summary = "the disk reported an error"


class StoreCorrupt(StoreError):
    """Stored bytes are not what was written: run ``edge-server check``, or restore a backup."""

    code = "store_corrupt"
    summary = "the store file is damaged"


class DocumentDamaged(StoreCorrupt):
    """
    The stored bytes of one document are not what was written.

    The store moves the document into quarantine, from where it comes back when a peer
    sends it again; see `edge_twisted.store.interface.Store.quarantine`.
    """

    summary = "it is damaged: it comes back when a peer sends it again, or from a backup"

    def __init__(self, collection: str, id_key: bytes) -> None:
        super().__init__(f"collection {collection}, document {shown_id(id_key)}")
        self.collection = collection
        self.id_key = id_key


class ReadCancelled(StoreError):
    """A read was cancelled, timed out, or held its snapshot for longer than is allowed."""

    code = "read_cancelled"
    culprit = Culprit.NOBODY
    summary = "the read was cancelled"


class ReadTooLong(StoreError):
    """A read on the reactor thread took longer than it may: do it on a reader thread."""

    code = "read_too_long"
    culprit = Culprit.NOBODY
    summary = "the read takes longer than expected"


_READ_ONLY = frozenset({EACCES, EPERM, EROFS, ENOTDIR, EISDIR, EEXIST})


def of_os_error(what: str, error: OSError) -> StoreError:
    """
    Return (not raise) the store's error for one of the operating system's, by its errno.

    `StoreFull` for no space or quota, `StoreReadOnly` for missing rights, else `StoreIOError`.

    :param what: names the file or unit of work in the message.
    """
    reason = error.strerror or str(error)
    if error.errno in (ENOSPC, EDQUOT, EFBIG):
        return StoreFull(what, reason)
    if error.errno in _READ_ONLY:
        return StoreReadOnly(what, reason)
    return StoreIOError(what, reason)


#: How the key of an id that is a string begins and ends (`edge_twisted.documents.values`).
_STRING, _STRING_END = b"\x40", b"\x00\x01"


def shown_id(id_key: bytes) -> str:
    """Return how messages name a document: a string id in quotes, any other by its key in hex."""
    if id_key.startswith(_STRING) and id_key.endswith(_STRING_END):
        return repr(id_key[1:-2].decode("utf-8", "replace"))
    return f"with key {id_key.hex()}"


class IndexExists(StoreError):
    """An index of that name is already on the collection."""

    code = "index_exists"
    culprit = Culprit.CALLER
    summary = "an index with the given name already exists on the given collection"


class TooManyCollections(StoreError):
    """
    A database has as many collections as its configuration allows.

    Documents of different kinds can share a collection, with a field that tells them apart; or
    allow more: each takes about a kilobyte of memory.
    """

    code = "too_many_collections"
    culprit = Culprit.CALLER
    summary = "the database has as many collections as it may"

    def __init__(self, collection: str, most: int) -> None:
        reason = f"{most}: use another collection, or raise database.max_collections"
        super().__init__(collection, reason)


class UnknownIndex(StoreError):
    """No such index, or one that is still being built: plan again."""

    code = "index_unknown"
    culprit = Culprit.CALLER
    summary = "there is no such index"


class DirectoryLocked(StoreError):
    """Another process has the folder: stop it, or use another `persistence_dir`."""

    code = "store_locked"
    culprit = Culprit.OPERATOR

    def __init__(self, folder: str, pid: int | None) -> None:
        super().__init__(folder)
        self.pid = pid

    def __str__(self) -> str:
        holder = f"process {self.pid}" if self.pid else "another process"
        return (
            f"{self.what}: {holder} is using this folder; one server per persistence_dir: "
            "stop that process or choose another folder"
        )


class StoreTooNew(StoreError):
    """The file was written by a newer server whose format this one cannot read."""

    code = "store_too_new"
    culprit = Culprit.OPERATOR

    def __init__(self, path: str, needs: int, supported: int) -> None:
        super().__init__(path)
        self.needs = needs
        self.supported = supported

    def __str__(self) -> str:
        return (
            f"{self.what}: written by a newer server (its format needs version {self.needs}, this "
            f"server knows {self.supported}): upgrade the server, or restore the backup that "
            "was made before the upgrade"
        )


class BackupExists(StoreError):
    """There is something where a backup was to be put: choose another name."""

    code = "backup_exists"
    culprit = Culprit.OPERATOR
    summary = "there is something of that name already; a backup never overwrites"


class RestoreRefused(StoreError):
    """A backup was not restored; nothing was changed."""

    code = "restore_refused"
    culprit = Culprit.OPERATOR
    summary = "nothing was restored"


class BlobUnavailable(StoreError):
    """The blob is not here; it may arrive from the mesh."""

    code = "attachment_unavailable"
    culprit = Culprit.CALLER
    summary = "the attachment is not here"


class BlobCorrupt(StoreError):
    """The bytes do not hash to the blob's id; what was received of it has been thrown away."""

    code = "attachment_corrupt"
    summary = "the attachment's bytes do not match its id"
