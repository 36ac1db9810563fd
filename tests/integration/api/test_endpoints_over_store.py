# SPDX-License-Identifier: Apache-2.0
"""The endpoints for statements over a real database: from a body's bytes to those of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cbor2
import orjson

from edge_twisted.api import database as seam
from edge_twisted.api.errors import STATUS_OF
from edge_twisted.api.execute import Execute
from edge_twisted.api.failures import response_to
from edge_twisted.api.request import Request
from edge_twisted.api.resource import Resource
from edge_twisted.api.response import Response
from edge_twisted.api.transaction import Transaction
from edge_twisted.config.model import CollectionRule, FineGrained, IdentityConfig
from edge_twisted.errors import EdgeError
from edge_twisted.security.callers import ANYBODY, Caller
from tests.integration.database.harness import DatabaseTestCase
from tests.support.api_requests import answered, api_request

OWN = FineGrained(
    collections={"tasks": CollectionRule(read="owner = :identity", write="owner = :identity")}
)
TILL = Caller.of(IdentityConfig(id="till", api_key_hash="", permissions=(OWN,)))


class OverTheStore(DatabaseTestCase):
    """Real statements."""

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.seam: seam.Database = self.database
        self.execute = Execute(self.seam, max_body_bytes=10**6, timeout_seconds=20.0)
        self.transaction = Transaction(self.seam, max_body_bytes=10**6, timeout_seconds=20.0)

    async def post(
        self,
        value: object,
        *,
        to: Resource | None = None,
        caller: Caller = ANYBODY,
        headers: Mapping[str, str] | None = None,
        cbor: bool = False,
    ) -> tuple[Response, Request]:
        body = cbor2.dumps(value) if cbor else orjson.dumps(value)
        request = api_request("POST", headers=headers, body=body, identity=caller)
        try:
            return await answered(to or self.execute, request), request
        except Exception as error:
            return response_to(error, request.id), request

    async def run_json(self, statement: str, **args: object) -> dict[str, object]:
        response, _ = await self.post({"statement": statement, "args": args})
        decoded: dict[str, object] = orjson.loads(response.body)
        return decoded

    async def test_a_task_is_stored_and_read_back(self) -> None:
        task = {"_id": "t1", "done": False, "n": 2**63 - 1, "f": 1.0}
        stored = await self.run_json("INSERT INTO tasks DOCUMENTS (:d)", d=task)
        self.assertEqual(stored["queryType"], "insert")
        self.assertEqual(stored["mutatedDocumentIds"], ["t1"])
        self.assertEqual(stored["transactionId"], stored["commitId"])
        found = await self.run_json("SELECT * FROM tasks WHERE done = :done", done=False)
        self.assertEqual(found["items"], [task])
        self.assertIsNone(found["commitId"])
        self.assertEqual(found["transactionId"], stored["commitId"])

    async def test_a_hidden_document_is_not_named(self) -> None:
        """An INSERT over it is refused like any write that is not permitted."""
        await self.run_json("INSERT INTO tasks DOCUMENTS ({'_id': 't1', 'owner': 'other'})")
        await self.run_json("INSERT INTO tasks DOCUMENTS ({'_id': 't2', 'owner': 'till'})")
        statement = "INSERT INTO tasks DOCUMENTS ({'_id': %s, 'owner': %s})"
        answers = []
        for id_, owner in (("'t1'", "'till'"), ("'t3'", "'other'"), ("'t2'", "'till'")):
            answers.append(
                (await self.post({"statement": statement % (id_, owner)}, caller=TILL))[0]
            )
        hidden, foreign, own = answers
        self.assertEqual(hidden.status, 403)
        self.assertNotIn(b"t1", hidden.body)
        self.assertEqual(hidden.body, foreign.body)
        self.assertEqual(own.status, 409)
        self.assertIn(b"t2", own.body)

    async def test_numbers_and_binary_survive(self) -> None:
        document = {"_id": "b", "data": b"\x00\xff", "one": 1, "float": 1.0}
        headers = {"Content-Type": "application/cbor", "Accept": "application/cbor"}
        call = {"statement": "INSERT INTO blobs DOCUMENTS (:d)", "args": {"d": document}}
        response, _ = await self.post(call, headers=headers, cbor=True)
        self.assertEqual(response.status, 200, response.body)
        select = {"statement": "SELECT * FROM blobs"}
        response, _ = await self.post(select, headers=headers, cbor=True)
        self.assertEqual(cbor2.loads(response.body)["items"], [document])
        response, _ = await self.post(select)
        self.assertEqual(orjson.loads(response.body)["items"], [{**document, "data": "AP8="}])
        self.assertIn(b'"float":1.0', response.body)

    async def test_errors(self) -> None:
        for statement, args, status, code in (
            ("SELEC 1", {}, 400, "query_syntax"),
            ("SELECT 'x", {}, 400, "query_lexical"),
            ("SELECT nothing_such()", {}, 400, "query_invalid"),
            ("SELECT :a", {}, 400, "query_arguments_invalid"),
            ("SELECT 1", {"a": 1}, 400, "query_arguments_invalid"),
            ("INSERT INTO t DOCUMENTS (:d)", {"d": 1}, 400, "not_a_document"),
            ("DROP INDEX nope ON t", {}, 400, "index_unknown"),
            ("SHOW nope", {}, 400, "unknown_parameter"),
        ):
            response, _ = await self.post({"statement": statement, "args": args})
            said = orjson.loads(response.body)
            self.assertEqual((response.status, said["error"]["code"]), (status, code), statement)
            self.assertEqual(said["items"], [])

    async def test_an_id_that_exists(self) -> None:
        insert = {"statement": "INSERT INTO t DOCUMENTS (:d)", "args": {"d": {"_id": 1}}}
        await self.post(insert)
        response, request = await self.post(insert)
        self.assertEqual(response.status, 409)
        self.assertEqual(orjson.loads(response.body)["queryType"], "insert")
        self.assertEqual((request.verb, request.collections), ("insert", ("t",)))

    async def test_a_transaction_is_all_or_nothing(self) -> None:
        insert = {"statement": "INSERT INTO t DOCUMENTS (:d)", "args": {"d": {"_id": 1}}}
        response, _ = await self.post({"statements": [insert, insert]}, to=self.transaction)
        said = orjson.loads(response.body)
        self.assertEqual((response.status, said["error"]["index"]), (409, 1))
        self.assertEqual((await self.run_json("SELECT * FROM t"))["items"], [])
        calls = [insert, {"statement": "UPDATE t SET n = 1 WHERE _id = 1"}]
        response, _ = await self.post({"statements": calls}, to=self.transaction)
        said = orjson.loads(response.body)
        self.assertEqual(said["results"][1]["mutatedDocumentIds"], [1])
        self.assertIsInstance(said["commitId"], int)
        self.assertEqual((await self.run_json("SELECT * FROM t"))["items"], [{"_id": 1, "n": 1}])

    async def test_permissions_reach_the_rows(self) -> None:
        documents = [{"_id": 1, "owner": "till"}, {"_id": 2, "owner": "other"}]
        await self.run_json("INSERT INTO tasks DOCUMENTS (:d)", d=documents)
        response, _ = await self.post({"statement": "SELECT * FROM tasks"}, caller=TILL)
        self.assertEqual(orjson.loads(response.body)["items"], documents[:1])
        response, request = await self.post({"statement": "SELECT * FROM other"}, caller=TILL)
        self.assertEqual(response.status, 403)
        self.assertEqual(request.collections, ("other",))
        response, _ = await self.post({"statement": "CREATE INDEX i ON tasks (owner)"}, caller=TILL)
        self.assertEqual(response.status, 403)

    async def test_a_blob_of_others_is_not_named(self) -> None:
        token = {"id": "A" * 43, "len": 1, "metadata": {}}
        await self.run_json("INSERT INTO tasks DOCUMENTS (:d)", d={"_id": 1, "file": token})
        call = {
            "statement": "INSERT INTO tasks DOCUMENTS (:d)",
            "args": {"d": {"_id": 2, "owner": "till", "file": token}},
        }
        for value, to in ((call, self.execute), ({"statements": [call]}, self.transaction)):
            response, _ = await self.post(value, to=to, caller=TILL)
            self.assertEqual(response.status, 403)
            error = orjson.loads(response.body)["error"]
            self.assertEqual(error["code"], "attachment_forbidden")
            self.assertIn(token["id"], error["description"])

    async def test_waiting_for_a_commit(self) -> None:
        stored = await self.run_json("INSERT INTO t DOCUMENTS (:d)", d={"_id": 1})
        headers = {"X-DITTO-TXN-ID": str(stored["commitId"])}
        response, _ = await self.post({"statement": "SELECT * FROM t"}, headers=headers)
        self.assertEqual(response.status, 200)

    async def test_a_large_result(self) -> None:
        rows = [{"_id": n} for n in range(2000)]
        await self.run_json("INSERT INTO t DOCUMENTS (:d)", d=rows)
        response, _ = await self.post({"statement": "SELECT * FROM t ORDER BY _id"})
        self.assertEqual(orjson.loads(response.body)["items"], rows)


def kinds_of(root: type[EdgeError]) -> Iterator[type[EdgeError]]:
    for kind in root.__subclasses__():
        yield kind
        yield from kinds_of(kind)


#: Errors of rooms below that no request can meet.
NEVER_ANSWERED = {
    "backup_exists",
    "budget_exceeded",
    "clock_skew",
    "delta_gap",
    "read_too_long",
    "restore_refused",
    "store_locked",
    "store_too_new",
    "error",
}


def test_every_error_of_a_statement_is_published() -> None:
    rooms = tuple(f"edge_twisted.{room}" for room in ("dql", "database", "store", "documents"))
    found = {kind.code for kind in kinds_of(EdgeError) if kind.__module__.startswith(rooms)}
    assert found - NEVER_ANSWERED - set(STATUS_OF) == set()
    assert len(found) > 15
