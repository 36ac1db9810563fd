# SPDX-License-Identifier: Apache-2.0
"""Access to attachments by the documents that name them, and fetching of missing ones."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from edge_twisted.api.attachments import AttachmentNotFound, AttachmentUnavailable
from edge_twisted.database.database import Database
from edge_twisted.records.transit import collections_of_blob
from edge_twisted.replication.scopes import is_open
from edge_twisted.security.permissions import Access
from edge_twisted.store.hidden import shown_name
from edge_twisted.store.interface import Snapshot, Store

log = Logger()

#: Fetches a blob from the mesh: (attachment, most seconds) -> whether it is here.
Fetcher = Callable[[str, float | None], Deferred[bool]]


class StoredBlobReferences:
    """
    Access to attachments, decided by the documents in the store that name them.

    :ivar fetcher: fetches blobs from the mesh; without a mesh it answers False.
    """

    def __init__(self, store: Store, database: Database) -> None:
        self._store = store
        self._database = database
        self.fetcher: Fetcher = lambda attachment, timeout_seconds: succeed(False)

    def may_download(self, attachment: str, access: Access) -> Deferred[bool]:
        """Fire with whether a document that `access` may read names the attachment."""

        def look(snapshot: Snapshot) -> bool:
            return self._database.may_read_name(snapshot, attachment, access)

        return self._store.read("attachment referrers", look)

    def may_send(self, peer: str, attachment: str) -> Deferred[bool]:
        """Fire with whether a peer may have the attachment.

        A peer may if a live document names the attachment, in a collection that may be sent to
        peers.  This is the same for all peers.  Documents in transit count, and those that have
        passed.
        """

        def look(snapshot: Snapshot) -> bool:
            return any(
                is_open(snapshot, shown_name(collection))
                and snapshot.body(collection, id_key) is not None
                for collection, id_key in snapshot.referrers(attachment, hidden=True)
            ) or any(is_open(snapshot, name) for name in collections_of_blob(snapshot, attachment))

        return self._store.read("attachment referrers", look)

    def fetch(self, attachment: str, timeout_seconds: float | None) -> Deferred[None]:
        """See `BlobReferences.fetch`; after the timeout the fetch goes on in the background."""
        return Deferred.fromCoroutine(self._fetch(attachment, timeout_seconds))

    def fetch_again(self, attachment: str) -> None:
        """Fetch a blob that was here and is lost, in the background."""
        self.fetcher(attachment, None).addErrback(
            lambda failure: log.failure("A lost attachment is not fetched again", failure)
        )

    async def _fetch(self, attachment: str, timeout_seconds: float | None) -> None:
        named = await self._store.read(
            "attachment referrers", lambda snapshot: bool(snapshot.referrers(attachment, limit=1))
        )
        if not named:
            raise AttachmentNotFound
        if not await self.fetcher(attachment, timeout_seconds):
            raise AttachmentUnavailable
