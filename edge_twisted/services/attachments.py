# SPDX-License-Identifier: Apache-2.0
"""What documents say of attachments: who may download one, and whether one is known at all."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from edge_twisted.api.attachments import AttachmentNotFound, AttachmentUnavailable
from edge_twisted.database.database import Database
from edge_twisted.security.permissions import Access
from edge_twisted.store.interface import Snapshot, Store


class References:
    """Answers from the rows of the store."""

    def __init__(self, store: Store, database: Database) -> None:
        self._store = store
        self._database = database

    def may_download(self, attachment: str, access: Access) -> Deferred[bool]:
        """Answer whether a document that `access` may read names the blob."""

        def look(snapshot: Snapshot) -> bool:
            return any(
                self._database.may_read(snapshot, collection, id_key, access)
                for collection, id_key in snapshot.referrers(attachment)
            )

        return self._store.read("attachment referrers", look)

    def fetch(self, attachment: str, timeout_seconds: float | None) -> Deferred[None]:
        """Fail: a blob that is not here can only come from the mesh."""
        return Deferred.fromCoroutine(self._fetch(attachment))

    async def _fetch(self, attachment: str) -> None:
        named = await self._store.read(
            "attachment referrers", lambda snapshot: bool(snapshot.referrers(attachment))
        )
        raise AttachmentUnavailable() if named else AttachmentNotFound()
