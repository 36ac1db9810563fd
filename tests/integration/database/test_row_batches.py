# SPDX-License-Identifier: Apache-2.0
"""Answers that come while they are read: the same rows, a bounded part of them at a time."""

from __future__ import annotations

from typing import Any

import cbor2
import orjson

from edge_twisted.api.media import Media
from edge_twisted.api.rendering import result_response
from edge_twisted.api.response import Response, StreamingResponse
from edge_twisted.database.runner import BATCH_ROWS
from edge_twisted.documents.json_text import from_text
from edge_twisted.documents.values import Value
from edge_twisted.dql.errors import EvaluationError
from edge_twisted.dql.result import Result
from edge_twisted.store.errors import ReadCancelled
from tests.integration.database.harness import DatabaseTestCase, Everything, rows_of
from tests.support.api_requests import gathered

COUNT = 3 * BATCH_ROWS


class StreamingTests(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        rows: list[dict[str, Value]] = [{"_id": n, "n": n % 7} for n in range(COUNT)]
        await self.insert("t", *rows)

    async def stream(self, statement: str, **args: Value) -> Result:
        return await self.database.execute(
            statement, args, access=Everything(), request_id="r", timeout_seconds=20, stream=True
        )

    async def rows_streamed(self, statement: str) -> tuple[list[Any], list[int]]:
        """Return all rows, and how many came at a time."""
        result = await self.stream(statement)
        rows, sizes = rows_of(result), [len(rows_of(result))]
        while result.batches is not None and (batch := await result.batches.next()) is not None:
            more = list(batch.items or map(from_text, batch.texts or ()))
            rows.extend(more)
            sizes.append(len(more))
        return rows, sizes

    async def test_rows_are_those_of_a_whole_answer(self) -> None:
        for statement in (
            "SELECT * FROM t",
            "SELECT * FROM t WHERE n > 1",
            "SELECT * FROM t WHERE n % 2 = 1",
            "SELECT n AS x FROM t",
            "SELECT * FROM t ORDER BY n, _id",
            "SELECT DISTINCT n FROM t",
            "SELECT a._id FROM t a JOIN t b ON a._id = b._id",
            "SELECT n, COUNT(*) AS c FROM t GROUP BY n",
            "SELECT * FROM t WHERE n = 99",
            f"SELECT * FROM t LIMIT {BATCH_ROWS}",
            f"SELECT * FROM t LIMIT {BATCH_ROWS + 1}",
        ):
            rows, sizes = await self.rows_streamed(statement)
            self.assertEqual(rows, await self.rows(statement), statement)
            self.assertLessEqual(max(sizes), BATCH_ROWS, statement)
            if len(rows) > BATCH_ROWS:
                self.assertGreater(len(sizes), 1, statement)

    async def test_large_documents_come_few_at_a_time(self) -> None:
        rows: list[Any] = [{"_id": n, "x": "x" * 200_000} for n in range(20)]
        await self.insert("big", *rows)
        rows, sizes = await self.rows_streamed("SELECT * FROM big")
        self.assertEqual(len(rows), 20)
        self.assertLessEqual(max(sizes), 2)

    async def test_binary_among_texts(self) -> None:
        await self.insert("t", {"_id": "b", "x": b"\x00"})
        rows, _ = await self.rows_streamed("SELECT * FROM t")
        self.assertEqual(rows, await self.rows("SELECT * FROM t"))

    async def test_the_body_is_a_whole_answer(self) -> None:
        statement = "SELECT * FROM t WHERE n < 5"
        expected = await self.rows(statement)
        for media, load in ((Media.JSON, orjson.loads), (Media.CBOR, cbor2.loads)):
            response = result_response(await self.stream(statement), media)
            self.assertIsInstance(response, StreamingResponse)
            answer = load((await gathered(response)).body)
            self.assertEqual(answer["items"], expected)
            self.assertEqual(answer["queryType"], "select")
            self.assertEqual(answer["transactionId"], self.store.lsn)
        small = result_response(await self.stream("SELECT * FROM t WHERE _id = 1"), Media.JSON)
        self.assertIsInstance(small, Response)

    async def test_a_failure_on_the_way_leaves_no_whole_answer(self) -> None:
        await self.insert("t", {"_id": "last", "n": 1, "p": "("})
        statement = "SELECT n SIMILAR TO 'x' AS a, 'x' SIMILAR TO coalesce(p, 'x') AS b FROM t"
        response = result_response(await self.stream(statement), Media.JSON)
        assert isinstance(response, StreamingResponse)
        body = b""
        with self.assertRaises(EvaluationError):
            async for piece in response.pieces:
                body += piece
        self.assertTrue(body.startswith(b'{"queryType":"select","items":[{'))
        self.assertRaises(orjson.JSONDecodeError, orjson.loads, body)

    async def test_closing_gives_the_snapshot_back(self) -> None:
        for begun in (False, True):
            result = await self.stream("SELECT * FROM t")
            response = result_response(result, Media.JSON)
            assert isinstance(response, StreamingResponse)
            if begun:
                await anext(response.pieces)
            await response.pieces.aclose()
            assert result.batches is not None
            self.assertIsNone(await result.batches.next())

    async def test_a_stream_that_the_store_closed_fails(self) -> None:
        result = await self.stream("SELECT * FROM t")
        assert result.batches is not None
        result.batches._stream.close()  # type: ignore[attr-defined]
        try:
            await result.batches.next()
        except ReadCancelled:
            return
        self.fail("the rest was taken for nothing")
