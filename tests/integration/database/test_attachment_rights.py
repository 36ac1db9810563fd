# SPDX-License-Identifier: Apache-2.0
"""A token is as good as its blob: who may write one into a document."""

from __future__ import annotations

from typing import Any

from edge_twisted.config.model import CollectionRule, FineGrained, IdentityConfig, Permissions
from edge_twisted.database import attachment_rights
from edge_twisted.database.errors import AttachmentForbidden
from edge_twisted.dql.errors import TransactionFailed
from edge_twisted.security.permissions import Access, Permits
from edge_twisted.store.blobs.interface import BlobWriter
from edge_twisted.store.blobs.ledger import MOST_UPLOADERS, uploaders
from tests.integration.database.harness import DatabaseTestCase, Everything

OWN = FineGrained(collections={"t": CollectionRule(read="owner = :identity", write=True)})
#: May write documents that it cannot read afterwards, too.
DROPPING = FineGrained(collections={"t": CollectionRule(read="owner = 'nobody'", write=True)})


def access_of(permissions: Permissions = OWN, identity: str = "till") -> Access:
    found = IdentityConfig(id=identity, api_key_hash="", permissions=(permissions,))
    return Permits.of(found).access("execute")


TILL = access_of()
INSERT = "INSERT INTO t DOCUMENTS (:d)"


class NamingBlobs(DatabaseTestCase):
    async def upload(self, content: bytes, uploader: str | None = None) -> dict[str, Any]:
        """Store a blob and return its token."""
        writer: BlobWriter = await self.store.blobs.upload(uploader)
        await writer.write(content)
        info = await writer.finish()
        return {"id": info.id, "len": info.length, "metadata": {}}

    async def asserts_refused(
        self, token: dict[str, Any], statement: str, access: Access = TILL, **args: Any
    ) -> None:
        error: Any = await self.assertFailure(
            self.database.execute(
                statement, args, access=access, request_id="r", timeout_seconds=None
            ),
            AttachmentForbidden,
        )
        self.assertEqual(error.attachment, token["id"])
        self.assertIn(token["id"], str(error))

    async def downloads(self, token: dict[str, Any], access: Access = TILL) -> bool:
        return await self.store.read(
            "test", lambda s: self.database.may_read_name(s, token["id"], access)
        )

    async def test_nobody_takes_a_blob_by_its_id(self) -> None:
        token = await self.upload(b"payroll", "boss")
        await self.insert("t", {"_id": "theirs", "owner": "boss", "file": token})
        await self.insert("t", {"_id": "mine", "owner": "till"})
        initial = "INSERT INTO t INITIAL DOCUMENTS (:d)"
        for value in (token, [token], {"deep": [{"er": token}]}):
            for text in (INSERT, initial, f"{INSERT} ON ID CONFLICT DO UPDATE"):
                await self.asserts_refused(token, text, d={"owner": "till", "file": value})
        update = f"{INSERT} ON ID CONFLICT DO UPDATE_LOCAL_DIFF"
        await self.asserts_refused(token, update, d={"_id": "mine", "file": token})
        await self.asserts_refused(token, "UPDATE t SET file = :f", f=token)
        await self.asserts_refused(token, "UPDATE t SET files = [:f]", f=token)
        made = "UPDATE t SET file = {'id': :i, 'len': 1, 'metadata': {}}"
        await self.asserts_refused(token, made, i=token["id"])
        copied = "INSERT INTO t SELECT 'x' AS _id, :f AS file FROM t"
        await self.asserts_refused(token, copied, f=token)
        self.assertEqual(
            await self.rows("SELECT * FROM t", TILL), [{"_id": "mine", "owner": "till"}]
        )
        self.assertFalse(await self.downloads(token))

    async def test_a_blob_that_is_not_here_is_refused_as_one_that_is_hidden(self) -> None:
        token: dict[str, Any] = {"id": "A" * 43, "len": 1, "metadata": {}}
        await self.asserts_refused(token, INSERT, d={"owner": "till", "file": token})

    async def test_its_uploader_may_and_every_reader_of_a_document(self) -> None:
        token = await self.upload(b"photo", "till")
        document: dict[str, Any] = {"owner": "till", "file": token}
        other = access_of(identity="other")
        await self.asserts_refused(token, INSERT, other, d={"owner": "other", "file": token})
        await self.run_(INSERT, TILL, d={"_id": 1, **document})
        # Handed on by whoever may, it may be handed on by the receiver.
        await self.run_(INSERT, TILL, d={"_id": 2, "owner": "other", "file": token})
        await self.run_(INSERT, other, d={"_id": 3, "owner": "other", "files": [token]})
        self.assertTrue(await self.downloads(token, other))
        # With its last document the reader's right ends, the uploader's does not.
        await self.run_("DELETE FROM t")
        await self.asserts_refused(token, INSERT, other, d={"owner": "other", "file": token})
        await self.run_(INSERT, TILL, d={"_id": 1, **document})

    async def test_what_a_document_names_it_goes_on_naming(self) -> None:
        token = await self.upload(b"stamp")
        await self.insert("t", {"_id": 1, "owner": "till", "file": token})
        await self.run_("UPDATE t SET n = 1, copy = file", TILL)
        await self.run_("UPDATE t SET owner = 'other'", TILL)
        self.assertFalse(await self.downloads(token))

    async def test_a_transaction_sees_what_it_did(self) -> None:
        token, stolen = await self.upload(b"a", "till"), await self.upload(b"b", "boss")
        dropping = access_of(DROPPING)
        calls: list[tuple[str, dict[str, Any]]] = [
            (INSERT, {"d": {"_id": n, "owner": "till", "file": token}}) for n in (1, 2)
        ]
        for access in (TILL, dropping):
            await self.database.transaction(
                calls, access=access, request_id="r", timeout_seconds=None
            )
            await self.run_("DELETE FROM t")
        for others in ([], calls):
            statements = [*others, (INSERT, {"d": {"_id": 3, "owner": "till", "file": stolen}})]
            error: Any = await self.assertFailure(
                self.database.transaction(
                    statements, access=TILL, request_id="r", timeout_seconds=None
                ),
                TransactionFailed,
            )
            self.assertEqual(error.index, len(others))
            self.assertIsInstance(error.cause, AttachmentForbidden)
        self.assertEqual(await self.rows("SELECT * FROM t"), [])

    async def test_whoever_reads_everything_names_everything(self) -> None:
        token: dict[str, Any] = {"id": "B" * 43, "len": 1, "metadata": {}}
        everything = FineGrained(collections={"*": CollectionRule(read=True, write=True)})
        sets: tuple[Permissions, ...] = ("full", "data", everything)
        for number, permissions in enumerate(sets):
            access = access_of(permissions)
            await self.run_(INSERT, access, d={"_id": number, "file": token})
        await self.run_(INSERT, Everything(), d={"_id": "dev", "file": token})

    async def test_a_readable_document_behind_many_hidden_ones_is_found(self) -> None:
        self.patch(attachment_rights, "_REFERRERS", 2)
        token = await self.upload(b"logo")
        others: list[dict[str, Any]] = [{"owner": "other", "file": token} for _ in range(50)]
        await self.insert("t", *others)
        await self.asserts_refused(token, INSERT, d={"owner": "till", "file": token})
        await self.insert("t", {"owner": "till", "file": token})
        self.assertTrue(await self.downloads(token))
        await self.run_(INSERT, TILL, d={"owner": "till", "file": token})

    async def test_uploaders_are_remembered_with_the_blob(self) -> None:
        names = [f"n{number}" for number in range(MOST_UPLOADERS + 1)]
        for name in (*names, "n5", None):
            token = await self.upload(b"same", name)
        with self.store.snapshot() as snapshot:
            known = uploaders(snapshot, token["id"])
        self.assertEqual(known, [*(n for n in names[1:] if n != "n5"), "n5"])
        await self.store.blobs.collect(0)
        await self.store.blobs.collect(0)
        with self.store.snapshot() as snapshot:
            self.assertEqual(uploaders(snapshot, token["id"]), [])
        await self.asserts_refused(
            token, INSERT, access_of(identity="n5"), d={"owner": "n5", "file": token}
        )
