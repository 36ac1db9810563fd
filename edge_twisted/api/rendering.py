# SPDX-License-Identifier: Apache-2.0
"""
The response body of a statement's result, in JSON or CBOR.

Texts of the store are joined as they are.  Results of more than `BATCH` rows are encoded while they
are sent, a batch at a time, so that none of them holds up the reactor.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from struct import pack
from typing import Self

import cbor2
import orjson

from edge_twisted.api.media import Media
from edge_twisted.api.response import AnyResponse, Response, StreamingResponse
from edge_twisted.documents.json_text import from_text
from edge_twisted.dql.result import Batches, Result, Rows

#: Rows that are encoded at once: some 2 ms for CBOR, the slower of the two, at 500 bytes each.
BATCH = 512

_JSON = Media.JSON.value.encode("ascii")
_CBOR = Media.CBOR.value.encode("ascii")

#: What an answer without a result says of it.
NO_RESULT: dict[str, object] = {
    "queryType": "unknown",
    "items": [],
    "mutatedDocumentIds": [],
    "warnings": [],
    "totalWarningsCount": 0,
    "transactionId": None,
    "commitId": None,
}


def result_response(result: Result, media: Media) -> AnyResponse:
    """Return the response for a result: whole if the result is small, else streamed."""
    kind = _JSON if media is Media.JSON else _CBOR
    if result.batches is not None:
        return StreamingResponse(pieces=Streamed(result, result.batches, media), content_type=kind)
    if _row_count(result) <= BATCH:
        body = json_whole(result) if media is Media.JSON else b"".join(cbor_pieces(result))
        return Response(body=body, content_type=kind)
    pieces = json_pieces(result) if media is Media.JSON else cbor_pieces(result)
    return StreamingResponse(pieces=one_by_one(pieces), content_type=kind)


def results_response(results: Sequence[Result], media: Media) -> AnyResponse:
    """Return the answer of a transaction, results in the order of its statements.

    ``commitId`` is that of the whole, null if all statements only read.
    """
    commit = next((r.commit_id for r in results if r.commit_id is not None), None)
    pieces = (
        _json_results(results, commit) if media is Media.JSON else _cbor_results(results, commit)
    )
    kind = _JSON if media is Media.JSON else _CBOR
    if sum(map(_row_count, results)) <= BATCH and len(results) <= BATCH:
        return Response(body=b"".join(pieces), content_type=kind)
    return StreamingResponse(pieces=one_by_one(pieces), content_type=kind)


async def one_by_one(pieces: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Return an iterable of bytes as the pieces of a streamed response."""
    for piece in pieces:
        yield piece


def _row_count(rows: Rows) -> int:
    return len(rows.texts if rows.texts is not None else rows.items or ())


class Streamed:
    """
    The pieces of an answer whose rows are still being read.

    If reading them fails, so does the next piece, and the carrier cuts the body off where it is:
    no client can take what came for a whole answer.
    """

    def __init__(self, result: Result, batches: Batches, media: Media) -> None:
        self._batches = batches
        make = _json_stream if media is Media.JSON else _cbor_stream
        self._pieces = make(result, batches)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Close the batches of rows, begun or not."""
        self._batches.close()
        await self._pieces.aclose()


async def _json_stream(result: Result, batches: Batches) -> AsyncGenerator[bytes, None]:
    yield _json_head(result)
    rows: Rows | None = result
    separator = b""
    while rows is not None:
        if _row_count(rows):
            yield separator + _json_rows(rows)
            separator = b","
        rows = await batches.next()
    yield _json_tail(result)


def _json_rows(rows: Rows) -> bytes:
    texts = rows.texts
    return b",".join(texts) if texts is not None else json_bytes(rows.items or [])[1:-1]


async def _cbor_stream(result: Result, batches: Batches) -> AsyncGenerator[bytes, None]:
    # An array of a length that is not known yet, ended by a break.
    yield _cbor_head(result) + b"\x9f"
    rows: Rows | None = result
    while rows is not None:
        yield _cbor_rows(rows)
        rows = await batches.next()
    yield b"\xff" + b"".join(_cbor_tail(result))


# -- JSON


def _json_results(results: Sequence[Result], commit: int | None) -> Iterator[bytes]:
    before = b'{"results":['
    for result in results:
        yield before
        yield from json_pieces(result)
        before = b","
    yield b'],"commitId":%b}' % _json_commit(commit)


def _json_commit(commit: int | None) -> bytes:
    return b"null" if commit is None else b"%d" % commit


def json_whole(result: Result) -> bytes:
    """Return a result as JSON in UTF-8, members in the documented order."""
    return b"%b%b%b" % (_json_head(result), _json_rows(result), _json_tail(result))


def json_pieces(result: Result) -> Iterator[bytes]:
    """Yield what `json_whole` returns, in pieces of `BATCH` rows, with no comma lost between."""
    yield _json_head(result)
    separator = b""
    for rows in _batches(result):
        yield separator + _json_rows(rows)
        separator = b","
    yield _json_tail(result)


#: What most answers to reads end with.
_READ_TAIL = (
    b'],"mutatedDocumentIds":[],"warnings":[],"totalWarningsCount":0,"transactionId":%d,'
    b'"commitId":null}'
)


def _json_head(result: Result) -> bytes:
    return b'{"queryType":"%b","items":[' % result.query_type.encode("ascii")


def _json_tail(result: Result) -> bytes:
    if result.commit_id is None and not result.total_warnings and not result.mutated_ids:
        return _READ_TAIL % result.transaction_id
    commit = _json_commit(result.commit_id)
    ids = json_bytes(result.mutated_ids) if result.mutated_ids else b"[]"
    warnings = json_bytes(result.warnings) if result.warnings else b"[]"
    return (
        b'],"mutatedDocumentIds":%b,"warnings":%b,"totalWarningsCount":%d,"transactionId":%d,'
        b'"commitId":%b}' % (ids, warnings, result.total_warnings, result.transaction_id, commit)
    )


def json_bytes(value: object) -> bytes:
    """Return a value as JSON in UTF-8; binary, which JSON has not, as base64 text."""
    try:
        return orjson.dumps(value, default=_plain)
    except orjson.JSONEncodeError:
        # Half of a surrogate pair, or nested beyond the fast encoder's limit.
        return json.dumps(value, default=_plain, separators=(",", ":")).encode("ascii")


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"no value of a document: {type(value).__name__}")


# -- CBOR


def _cbor_results(results: Sequence[Result], commit: int | None) -> Iterator[bytes]:
    yield b"\xa2" + _cbor("results") + _array_header(len(results))
    for result in results:
        yield from cbor_pieces(result)
    yield _cbor("commitId") + _cbor(commit)


def cbor_pieces(result: Result) -> Iterator[bytes]:
    """Yield a result as CBOR (RFC 8949), in pieces of `BATCH` rows.

    The members come in the documented order.
    """
    yield _cbor_head(result) + _array_header(_row_count(result))
    for rows in _batches(result):
        yield _cbor_rows(rows)
    yield from _cbor_tail(result)


def _cbor_rows(rows: Rows) -> bytes:
    if rows.texts is not None:
        return b"".join([_cbor(from_text(text)) for text in rows.texts])
    return b"".join([_cbor(item) for item in rows.items or ()])


def _cbor_head(result: Result) -> bytes:
    return b"\xa7" + _cbor("queryType") + _cbor(result.query_type) + _cbor("items")


def _cbor_tail(result: Result) -> Iterator[bytes]:
    for name, value in (
        ("mutatedDocumentIds", list(result.mutated_ids)),
        ("warnings", list(result.warnings)),
        ("totalWarningsCount", result.total_warnings),
        ("transactionId", result.transaction_id),
        ("commitId", result.commit_id),
    ):
        yield _cbor(name) + _cbor(value)


def _cbor(value: object) -> bytes:
    return cbor2.dumps(value)


def _array_header(length: int) -> bytes:
    if length < 24:
        return bytes([0x80 | length])
    return pack(">BI", 0x9A, length)


def _batches(rows: Rows) -> Iterator[Rows]:
    """Yield the rows that are here as `Rows` of `BATCH` at most; nothing for no rows."""
    texts, items = rows.texts, rows.items
    for start in range(0, _row_count(rows), BATCH):
        if texts is not None:
            yield Rows(texts=texts[start : start + BATCH])
        elif items is not None:
            yield Rows(items=items[start : start + BATCH])
