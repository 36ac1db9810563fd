# SPDX-License-Identifier: Apache-2.0
"""Results as bytes: order of members, numbers as they are, texts undecoded, large ones streamed."""

from __future__ import annotations

import base64

import cbor2
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.api.media import Media
from edge_twisted.api.rendering import BATCH, NO_RESULT, result_response, results_response
from edge_twisted.api.response import Response, StreamingResponse
from edge_twisted.documents.json_text import to_text
from edge_twisted.documents.values import Value
from tests.support.api_requests import gathered
from tests.support.fake_database import FakeResult
from tests.support.strategies_documents import values

MEMBERS = list(NO_RESULT)


class Rendering(SynchronousTestCase):
    """One result or several."""

    def body(self, result: FakeResult, media: Media = Media.JSON) -> bytes:
        response = result_response(result, media)
        self.assertEqual(response.content_type, media.value.encode())
        return self.whole(response).body

    def whole(self, response: Response | StreamingResponse) -> Response:
        return self.successResultOf(Deferred.fromCoroutine(gathered(response)))

    def test_texts_are_spliced_to_the_letter(self) -> None:
        texts = [b'{"_id":"t1","a":1.0}', b'{"_id":"t2","b":1e2}']
        body = self.body(FakeResult(texts=texts))
        self.assertIn(b'"items":[{"_id":"t1","a":1.0},{"_id":"t2","b":1e2}],', body)
        self.assertEqual(list(orjson.loads(body)), MEMBERS)

    def test_the_documented_answer(self) -> None:
        body = self.body(FakeResult(items=[{"_id": "t1", "done": False}]))
        self.assertEqual(
            body,
            b'{"queryType":"select","items":[{"_id":"t1","done":false}],"mutatedDocumentIds":[],'
            b'"warnings":[],"totalWarningsCount":0,"transactionId":17,"commitId":null}',
        )

    def test_a_mutation(self) -> None:
        result = FakeResult(
            query_type="insert",
            items=[],
            mutated_ids=["a", 1, {"b": b"\x00"}],
            warnings=("one",),
            total_warnings=12,
            transaction_id=5,
            commit_id=5,
        )
        decoded = orjson.loads(self.body(result))
        self.assertEqual(decoded["mutatedDocumentIds"], ["a", 1, {"b": "AA=="}])
        self.assertEqual((decoded["warnings"], decoded["totalWarningsCount"]), (["one"], 12))
        self.assertEqual((decoded["transactionId"], decoded["commitId"]), (5, 5))
        decoded = cbor2.loads(self.body(result, Media.CBOR))
        self.assertEqual(decoded["mutatedDocumentIds"], ["a", 1, {"b": b"\x00"}])
        self.assertEqual(list(decoded), MEMBERS)

    def test_numbers_stay_what_they_are(self) -> None:
        items: list[Value] = [1, 1.0, -(2**63), 2**63 - 1, 1e300, -0.0]
        for media, load in ((Media.JSON, orjson.loads), (Media.CBOR, cbor2.loads)):
            found = load(self.body(FakeResult(items=items), media))["items"]
            self.assertEqual(repr(found), repr(items))

    def test_what_the_fast_encoder_refuses(self) -> None:
        deep: Value = 1
        for _ in range(300):
            deep = [deep]
        body = self.body(FakeResult(items=["\ud800", b"\x01"]))
        self.assertIn(rb'["\ud800","AQ=="]', body)
        self.assertIn(b"[" * 300, self.body(FakeResult(items=[deep])))

    def test_a_large_result_is_streamed_in_batches(self) -> None:
        items: list[Value] = list(range(2 * BATCH + 1))
        texts = [b"%d" % n for n in range(2 * BATCH + 1)]
        for result in (FakeResult(items=items), FakeResult(texts=texts)):
            for media, load in ((Media.JSON, orjson.loads), (Media.CBOR, cbor2.loads)):
                self.assertIsInstance(result_response(result, media), StreamingResponse)
                decoded = load(self.body(result, media))
                self.assertEqual(decoded["items"], items)
                self.assertEqual(list(decoded), MEMBERS)

    def test_a_transaction(self) -> None:
        results = [
            FakeResult(items=[1]),
            FakeResult(query_type="insert", items=[], mutated_ids=["a"], commit_id=8),
        ]
        for media, load in ((Media.JSON, orjson.loads), (Media.CBOR, cbor2.loads)):
            for count in (1, 2, BATCH):
                shown = (results * count)[:count]
                decoded = load(self.whole(results_response(shown, media)).body)
                self.assertEqual(list(decoded), ["results", "commitId"])
                self.assertEqual(decoded["commitId"], 8 if count > 1 else None)
                self.assertEqual(
                    [each["items"] for each in decoded["results"]],
                    [list(each.items or ()) for each in shown],
                )

    @settings(max_examples=60, deadline=None)
    @given(st.lists(values, max_size=4))
    def test_texts_and_values_are_answered_alike_in_cbor(self, items: list[Value]) -> None:
        by_value = self.body(FakeResult(items=items), Media.CBOR)
        by_text = self.body(FakeResult(texts=[to_text(item) for item in items]), Media.CBOR)
        # Stored texts have their keys sorted.
        self.assertEqual(cbor2.loads(by_text), cbor2.loads(by_value))
        self.assertEqual(cbor2.loads(by_value)["items"], items)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(values, max_size=4))
    def test_json_is_base64_where_there_are_bytes_and_the_value_elsewhere(
        self, items: list[Value]
    ) -> None:
        found = orjson.loads(self.body(FakeResult(items=items)))["items"]
        self.assertEqual(found, plain(items))


def plain(value: Value) -> Value:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value
