# SPDX-License-Identifier: Apache-2.0
"""Documents that a caller may not read: nobody takes them over, and nothing tells of them."""

from __future__ import annotations

from typing import Any

from edge_twisted.config.model import CollectionRule, FineGrained, IdentityConfig
from edge_twisted.database import execution
from edge_twisted.database.errors import IdConflict, StatementForbidden
from edge_twisted.dql.errors import EvaluationError, TransactionFailed
from edge_twisted.errors import EdgeError
from edge_twisted.security.permissions import Access, Permits
from tests.integration.database.harness import DatabaseTestCase, Everything

POLICIES = ("FAIL", "DO NOTHING", "DO UPDATE", "DO UPDATE_LOCAL_DIFF")
HIDDEN: dict[str, Any] = {"_id": "h", "owner": "other", "secret": "hunter2"}
SEEN: dict[str, Any] = {"_id": "s", "owner": "till", "n": 1}


def access_of(identity: str = "till", **rules: CollectionRule) -> Access:
    """Return what an identity may do that has a rule for each collection."""
    permissions = (FineGrained(collections=rules),)
    return Permits.of(IdentityConfig(id=identity, api_key_hash="", permissions=permissions)).access(
        "execute"
    )


#: The rule of whoever believes that hiding documents protects them.
TILL = access_of(t=CollectionRule(read="owner = :identity", write=True))


class HiddenDocuments(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        await self.insert("t", HIDDEN, SEEN)

    async def assert_untouched(self) -> None:
        self.assertEqual(await self.rows("SELECT * FROM t WHERE _id = 'h'"), [HIDDEN])

    async def outcome(self, statement: str, **args: Any) -> object:
        """Return the error of a statement of the till, or the ids that it changed."""
        try:
            return (await self.run_(statement, TILL, **args)).mutated_ids
        except EdgeError as error:
            return type(error)

    async def test_no_policy_takes_a_hidden_document_over(self) -> None:
        for policy, expected in zip(
            POLICIES, (StatementForbidden, [], StatementForbidden, StatementForbidden), strict=True
        ):
            for document in ({"_id": "h", "owner": "till"}, dict(HIDDEN)):
                with self.subTest(policy=policy, document=document):
                    text = f"INSERT INTO t DOCUMENTS (:d) ON ID CONFLICT {policy} RETURNING *"
                    self.assertEqual(await self.outcome(text, d=document), expected)
                    await self.assert_untouched()
        text = "INSERT INTO t INITIAL DOCUMENTS ({'_id': 'h', 'owner': 'till'})"
        self.assertEqual(await self.outcome(text), [])
        await self.assert_untouched()

    async def test_what_is_seen_follows_its_policy(self) -> None:
        expected: tuple[object, ...] = (IdConflict, [], ["s"], [])
        for policy, outcome in zip(POLICIES, expected, strict=True):
            text = f"INSERT INTO t DOCUMENTS (:d) ON ID CONFLICT {policy}"
            self.assertEqual(await self.outcome(text, d={**SEEN}), outcome)

    async def test_one_hidden_document_stops_all_of_an_insert(self) -> None:
        for source in ("DOCUMENTS (:d)", "SELECT 'h' AS _id, 'till' AS owner FROM t"):
            text = f"INSERT INTO t {source} ON ID CONFLICT DO UPDATE"
            args = {"d": [{"_id": "new", "owner": "till"}, {"_id": "h"}]} if ":d" in text else {}
            self.assertEqual(await self.outcome(text, **args), StatementForbidden)
        self.assertEqual(await self.rows("SELECT _id FROM t WHERE _id = 'new'"), [])
        await self.assert_untouched()

    async def test_transactions_too(self) -> None:
        calls: list[tuple[str, dict[str, Any]]] = [
            ("INSERT INTO t DOCUMENTS ({'_id': 'mine', 'owner': 'till'})", {}),
            # Given away, it is hidden from here on.
            ("UPDATE t SET owner = 'other' WHERE _id = 'mine'", {}),
            ("INSERT INTO t DOCUMENTS ({'_id': 'mine', 'owner': 'till'}) ON ID CONFLICT DO UPDATE",
             {}),
        ]  # fmt: skip
        for statements, index in (
            (calls, 2),
            ([calls[0], (calls[2][0].replace("mine", "h"), {})], 1),
        ):
            error: Any = await self.assertFailure(
                self.database.transaction(
                    statements, access=TILL, request_id="r", timeout_seconds=None
                ),
                TransactionFailed,
            )
            self.assertEqual((error.index, type(error.cause)), (index, StatementForbidden))
        await self.assert_untouched()
        self.assertEqual(await self.rows("SELECT _id FROM t WHERE _id = 'mine'"), [])

    async def test_nothing_else_reaches_them(self) -> None:
        for text in (
            "UPDATE t SET secret = 'x'",
            "UPDATE t USE IDS 'h' SET owner = 'till'",
            "DELETE FROM t WHERE _id = 'h'",
            "EVICT FROM t USE IDS 'h', 'nobody'",
        ):
            ids = await self.outcome(text)
            assert isinstance(ids, list)
            self.assertNotIn("h", ids)
            await self.assert_untouched()

    async def test_the_id_of_a_deleted_document_is_free(self) -> None:
        # Nothing of the hidden document is left that could be taken over.
        await self.run_("DELETE FROM t WHERE _id = 'h'")
        result = await self.run_(
            "INSERT INTO t DOCUMENTS ({'_id': 'h', 'owner': 'till'}) RETURNING *", TILL
        )
        self.assertEqual(result.items, [{"_id": "h", "owner": "till"}])


class WhatIsTold(DatabaseTestCase):
    """Figures, names and errors, where a part of the documents is hidden."""

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        # Of the first two the condition is not FALSE but MISSING and NULL.
        await self.insert(
            "t", {"_id": 1, "s": "["}, {"_id": 2, "s": "[", "owner": None}, SEEN, HIDDEN
        )
        await self.insert("ghosts", HIDDEN)
        await self.insert("locked", HIDDEN)
        await self.insert("open", SEEN)
        await self.run_("CREATE INDEX by_owner ON t (owner)")
        await self.run_("CREATE INDEX by_secret ON locked (secret)")
        part = CollectionRule(read="owner = :identity", write=True)
        self.till = access_of(
            t=part, ghosts=part, locked=CollectionRule(), open=CollectionRule(read=True)
        )

    async def profile(self, statement: str, access: Any) -> Any:
        rows = await self.rows(f"PROFILE {statement}", access)
        return rows[-1]["~request_profile"]

    async def test_a_profile_counts_what_the_caller_may_see_and_no_time(self) -> None:
        for use in ("", " USE IDS 's', 'h', 1", " USE INDEX 'by_owner'"):
            for where in ("", " WHERE secret LIKE 'h%' OR n = 1 OR s LIKE '[%'"):
                with self.subTest(use=use, where=where):
                    statement = f"SELECT * FROM t{use}{where}"
                    found = await self.profile(statement, self.till)
                    stats = found["plan"]["children"][0]["#stats"]
                    self.assertEqual(stats, {"documentsIn": 1, "documentsOut": 1})
                    self.assertNotIn("times", found)
        found = await self.profile("SELECT * FROM t", Everything())
        self.assertEqual(found["plan"]["children"][0]["#stats"]["documentsIn"], 4)
        self.assertGreater(found["times"]["elapsed"], 0)
        # Nothing of this collection is hidden.
        self.assertIn("times", await self.profile("SELECT * FROM open", self.till))

    async def test_collections_and_indexes_show_what_may_be_read(self) -> None:
        for name in ("system:collections", "__collections"):
            self.assertEqual(
                await self.rows(f"SELECT name, count FROM {name} ORDER BY name", self.till),
                [{"name": "open", "count": 1}, {"name": "t", "count": 1}],
            )
        self.assertEqual(
            await self.rows("SELECT _id FROM system:indexes", self.till), [{"_id": "t.by_owner"}]
        )
        self.assertEqual(
            await self.rows("SELECT COUNT(*) AS n, SUM(count) AS d FROM system:collections"),
            [{"n": 4, "d": 7}],
        )

    async def test_no_error_tells_of_a_hidden_document(self) -> None:
        for statement in (
            "SELECT * FROM t WHERE regexp_like(s, s)",
            "SELECT * FROM t USE IDS 1, 2 WHERE regexp_like(s, s)",
            "SELECT * FROM t u WHERE regexp_like(t.s, u.s)",
            "SELECT x._id FROM t x JOIN t y ON regexp_like(x.s, y.s)",
            "UPDATE t SET n = 2 WHERE regexp_like(s, s)",
            "SELECT MAX(n) AS m FROM t WHERE regexp_like(s, s) AND owner IS NULL",
        ):
            with self.subTest(statement=statement):
                await self.run_(statement, self.till)
                await self.refused(statement, EvaluationError)

    async def test_a_condition_that_fails_on_a_document_hides_it(self) -> None:
        odd = access_of(t=CollectionRule(read="NOT regexp_like(s, s) OR _id = 's'", write=True))
        self.assertEqual(await self.rows("SELECT _id FROM t", odd), [{"_id": "s"}])
        result = await self.run_("UPDATE t SET n = 3", odd)
        self.assertEqual(result.mutated_ids, ["s"])

    async def test_no_warning_counts_hidden_documents(self) -> None:
        self.patch(execution, "JOIN_WARNING_ROWS", 2)
        statement = "SELECT x._id FROM t x JOIN t y ON x.n = y.n"
        self.assertEqual((await self.run_(statement, self.till)).total_warnings, 0)
        self.assertEqual((await self.run_(statement)).total_warnings, 1)
