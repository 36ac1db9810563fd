# SPDX-License-Identifier: Apache-2.0
"""`/execute` and `/transaction`: what reaches the database, and how its answers and errors show."""

from __future__ import annotations

from collections.abc import Mapping

import cbor2
import orjson
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.api.errors import Unauthorized, UnsupportedMediaType
from edge_twisted.api.execute import Execute
from edge_twisted.api.failures import code_of, response_to
from edge_twisted.api.rendering import NO_RESULT
from edge_twisted.api.request import Request
from edge_twisted.api.request_ids import RequestId
from edge_twisted.api.response import Response
from edge_twisted.api.transaction import MAX_STATEMENTS, Transaction
from edge_twisted.dql.errors import ParseError
from edge_twisted.dql.source import SourceText
from edge_twisted.errors import EdgeError
from tests.support.api_requests import answered, api_request
from tests.support.fake_database import FakeDatabase, FakeResult

SELECT = "SELECT * FROM tasks JOIN system:indexes AS i ON true"
FOUND = FakeResult(texts=[b'{"_id":"t1"}'])


class Conflict(EdgeError):
    """A stand-in of what a database fails with."""

    code = "id_conflict"

    def __str__(self) -> str:
        return "a document with the id exists"


class Damaged(EdgeError):
    """One whose text is not for clients."""

    code = "store_corrupt"

    def __str__(self) -> str:
        return "/var/lib/edge/store.sqlite: page 7"


class Case(SynchronousTestCase):
    """A database that is told what to answer, and both endpoints."""

    def setUp(self) -> None:
        self.database = FakeDatabase(answers={SELECT: FOUND, "INSERT": Conflict()})
        self.execute = Execute(self.database, max_body_bytes=1000, timeout_seconds=10.0)
        self.transaction = Transaction(self.database, max_body_bytes=1000, timeout_seconds=None)

    def request(self, value: object, headers: Mapping[str, str] | None = None) -> Request:
        return api_request("POST", "/execute", headers=headers, body=orjson.dumps(value))

    def start(self, request: Request) -> Deferred[Response]:
        return Deferred.fromCoroutine(answered(self.execute, request))

    def error(self, answer: Deferred[Response]) -> tuple[int, dict[str, object]]:
        """Return status and JSON of what the client sees of a failure."""
        failure = self.failureResultOf(answer)
        response = response_to(failure.value, RequestId("r-1"))
        return response.status, orjson.loads(response.body)


class Statements(Case):
    """One statement."""

    def test_it_reaches_the_database_with_all_that_it_needs(self) -> None:
        request = self.request({"statement": SELECT, "args": {"a": 1}})
        response = self.successResultOf(self.start(request))
        self.assertEqual(response.status, 200)
        (asked,) = self.database.asked
        self.assertEqual(asked.calls, ((SELECT, {"a": 1}),))
        self.assertEqual((asked.request_id, asked.timeout_seconds), ("r-1", 10.0))
        self.assertTrue(asked.access.is_full)
        self.assertEqual((request.verb, request.collections), ("select", ("tasks",)))
        self.assertIn(b'"items":[{"_id":"t1"}]', response.body)

    def test_cbor_in_and_out(self) -> None:
        body = cbor2.dumps({"statement": SELECT, "args": {"a": b"\x00"}})
        headers = {"Content-Type": "application/cbor", "Accept": "application/cbor"}
        request = api_request("POST", "/execute", headers=headers, body=body)
        response = self.successResultOf(self.start(request))
        self.assertEqual(response.content_type, b"application/cbor")
        self.assertEqual(cbor2.loads(response.body)["items"], [{"_id": "t1"}])
        self.assertEqual(self.database.asked[0].calls[0][1], {"a": b"\x00"})

    def test_a_request_of_nobody_is_not_run(self) -> None:
        request = self.request({"statement": SELECT})
        request.identity = None
        status, _ = self.error(self.start(request))
        self.assertEqual((status, self.database.asked), (401, []))
        self.assertIsInstance(Unauthorized("x"), EdgeError)

    def test_errors_stand_beside_the_members_of_a_result(self) -> None:
        status, said = self.error(self.start(self.request({"statement": 1})))
        self.assertEqual(status, 400)
        self.assertEqual({**said, "error": None}, {**NO_RESULT, "error": None})

    def test_an_error_of_a_statement_that_parses_has_its_kind(self) -> None:
        self.database.answers[SELECT] = Conflict()
        request = self.request({"statement": SELECT})
        status, said = self.error(self.start(request))
        self.assertEqual((status, said["queryType"]), (409, "select"))
        self.assertEqual(said["error"], {"code": "id_conflict", "description": str(Conflict())})
        self.assertEqual(
            (request.verb, request.collections), ("select", ("tasks", "system:indexes"))
        )

    def test_one_that_does_not_parse_is_unknown_and_has_its_place(self) -> None:
        error = ParseError("expected a statement", (0, 3), SourceText("FOO"))
        self.database.answers["FOO"] = error
        status, said = self.error(self.start(self.request({"statement": "FOO"})))
        self.assertEqual((status, said["queryType"]), (400, "unknown"))
        shown = said["error"]
        assert isinstance(shown, dict)
        self.assertEqual((shown["code"], shown["line"], shown["column"]), ("query_syntax", 1, 1))
        self.assertIn("^^^", shown["snippet"])

    def test_what_a_store_says_stays_in_the_log(self) -> None:
        self.database.answers[SELECT] = Damaged()
        status, said = self.error(self.start(self.request({"statement": SELECT})))
        self.assertEqual(status, 500)
        self.assertNotIn("/var", str(said))
        (logged,) = self.flushLoggedErrors(Damaged)
        self.assertIn("page 7", str(logged.value))

    def test_a_bug_is_an_internal_error_and_logged(self) -> None:
        self.database.answers[SELECT] = KeyError("/secret")
        status, said = self.error(self.start(self.request({"statement": SELECT})))
        self.assertEqual(status, 500)
        self.assertNotIn("secret", str(said))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_a_client_that_goes_away_cancels_its_statement(self) -> None:
        answer = self.start(self.request({"statement": "DELETE"}))
        self.assertNoResult(answer)
        answer.cancel()
        self.assertEqual(self.database.cancelled, ["DELETE"])
        self.failureResultOf(answer)

    def test_a_type_is_refused_before_the_body_is_read(self) -> None:
        request = self.request({}, {"Content-Type": "text/plain"})
        failure = self.failureResultOf(self.start(request))
        self.assertEqual(code_of(failure.value), UnsupportedMediaType.code)
        self.successResultOf(Deferred.fromCoroutine(request.body()))


class Waiting(Case):
    """`X-DITTO-TXN-ID`."""

    def test_a_request_waits_for_the_commit(self) -> None:
        answer = self.start(self.request({"statement": SELECT}, {"X-DITTO-TXN-ID": "3"}))
        self.database.commit(2)
        self.assertEqual(self.database.asked, [])
        self.database.commit(3)
        self.assertEqual(self.successResultOf(answer).status, 200)

    def test_one_that_is_there_is_not_waited_for(self) -> None:
        for number in ("0", "000", " 0 "):
            request = self.request({"statement": SELECT}, {"X-DITTO-TXN-ID": number})
            self.successResultOf(self.start(request))

    def test_what_is_no_number(self) -> None:
        for text in ("", "x", "-1", "1.0", "9223372036854775808", "1" * 5000, "²"):
            request = self.request({"statement": SELECT}, {"X-DITTO-TXN-ID": text})
            status, said = self.error(self.start(request))
            self.assertEqual(status, 400, text)
            self.assertIn("X-DITTO-TXN-ID", str(said["error"]))

    def test_the_wait_can_be_cancelled(self) -> None:
        answer = self.start(self.request({"statement": SELECT}, {"X-DITTO-TXN-ID": "3"}))
        answer.cancel()
        self.failureResultOf(answer)
        self.assertEqual(self.database.asked, [])


class Transactions(Case):
    """Several statements."""

    def start(self, request: Request) -> Deferred[Response]:
        return Deferred.fromCoroutine(answered(self.transaction, request))

    def test_all_of_them(self) -> None:
        request = self.request({"statements": [{"statement": SELECT}, {"statement": SELECT}]})
        said = orjson.loads(self.successResultOf(self.start(request)).body)
        self.assertEqual([each["items"] for each in said["results"]], [[{"_id": "t1"}]] * 2)
        self.assertEqual(request.collections, ("tasks",))
        self.assertEqual(self.database.asked[0].calls, ((SELECT, {}), (SELECT, {})))

    def test_the_error_of_one_names_it(self) -> None:
        request = self.request({"statements": [{"statement": SELECT}, {"statement": "INSERT"}]})
        status, said = self.error(self.start(request))
        self.assertEqual(status, 409)
        self.assertEqual(
            said["error"],
            {"code": "id_conflict", "description": str(Conflict()), "index": 1},
        )

    def test_a_malformed_one_is_named_too(self) -> None:
        status, said = self.error(self.start(self.request({"statements": [{"statement": "a"}, 1]})))
        shown = said["error"]
        assert isinstance(shown, dict)
        self.assertEqual((status, shown["index"]), (400, 1))

    def test_what_is_no_transaction(self) -> None:
        many = [{"statement": "a"}] * (MAX_STATEMENTS + 1)
        wrong: list[object] = [{}, {"statements": []}, {"statements": {}}, {"statement": "a"}, []]
        for value in wrong:
            self.assertEqual(self.error(self.start(self.request(value)))[0], 400)
        self.assertEqual(self.error(self.start(self.request({"statements": many})))[0], 400)
        self.assertEqual(self.database.asked, [])


class Cancelling(Case):
    """Errors that are nobody's."""

    def test_cancelled_errors_pass_as_they_are(self) -> None:
        answer = self.start(self.request({"statement": "waits"}))
        answer.cancel()
        self.assertIsInstance(self.failureResultOf(answer).value, CancelledError)
