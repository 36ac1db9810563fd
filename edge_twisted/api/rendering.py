# SPDX-License-Identifier: Apache-2.0
"""
From a result to the bytes of its answer, in JSON or CBOR.

Texts of the store are joined as they are.  Results of more than `BATCH` rows are encoded while they
are sent, a batch at a time, so that none of them holds up the reactor.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from struct import pack
from typing import TypeVar

import cbor2
import orjson

from edge_twisted.api.database import Result
from edge_twisted.api.media import Media
from edge_twisted.api.response import AnyResponse, Response, StreamingResponse
from edge_twisted.documents.json_text import from_text
from edge_twisted.documents.values import Value

Row = TypeVar("Row")

#: Rows that are encoded at once: some 2 ms for CBOR, the slower of the two, at 500 bytes each.
BATCH = 512

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
    """Return the answer that a result is, whole if it is small."""
    kind = media.value.encode("ascii")
    if _row_count(result) <= BATCH:
        body = json_whole(result) if media is Media.JSON else b"".join(cbor_pieces(result))
        return Response(body=body, content_type=kind)
    pieces = json_pieces(result) if media is Media.JSON else cbor_pieces(result)
    return StreamingResponse(pieces=one_by_one(pieces), content_type=kind)


def results_response(results: Sequence[Result], media: Media) -> AnyResponse:
    """Return the answer of a transaction; ``commitId`` is that of the whole, null if all read."""
    commit = next((r.commit_id for r in results if r.commit_id is not None), None)
    pieces = (
        _json_results(results, commit) if media is Media.JSON else _cbor_results(results, commit)
    )
    kind = media.value.encode("ascii")
    if sum(map(_row_count, results)) <= BATCH and len(results) <= BATCH:
        return Response(body=b"".join(pieces), content_type=kind)
    return StreamingResponse(pieces=one_by_one(pieces), content_type=kind)


async def one_by_one(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Turn pieces that can be made at any time into those of a streamed response."""
    for piece in pieces:
        yield piece


def _row_count(result: Result) -> int:
    return len(result.texts if result.texts is not None else result.items or ())


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
    """Return a result in JSON, members in the documented order."""
    texts = result.texts
    rows = b",".join(texts) if texts is not None else json_bytes(result.items or [])[1:-1]
    return b"".join((_json_head(result), rows, _json_tail(result)))


def json_pieces(result: Result) -> Iterator[bytes]:
    """Yield what `json_whole` returns in pieces of `BATCH` rows."""
    yield _json_head(result)
    separator = b""
    if result.texts is not None:
        for texts in _batches(result.texts):
            yield separator + b",".join(texts)
            separator = b","
    else:
        for items in _batches(result.items or ()):
            yield separator + json_bytes(items)[1:-1]
            separator = b","
    yield _json_tail(result)


def _json_head(result: Result) -> bytes:
    return b'{"queryType":"%b","items":[' % result.query_type.encode("ascii")


def _json_tail(result: Result) -> bytes:
    commit = _json_commit(result.commit_id)
    ids = json_bytes(result.mutated_ids) if result.mutated_ids else b"[]"
    warnings = json_bytes(result.warnings) if result.warnings else b"[]"
    return (
        b'],"mutatedDocumentIds":%b,"warnings":%b,"totalWarningsCount":%d,"transactionId":%d,'
        b'"commitId":%b}' % (ids, warnings, result.total_warnings, result.transaction_id, commit)
    )


def json_bytes(value: object) -> bytes:
    """Return values in JSON; binary, which JSON has not, as base64 text."""
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
    """Yield a result in CBOR, members in the documented order."""
    rows: Sequence[Value] | Sequence[bytes]
    rows = result.texts if result.texts is not None else result.items or ()
    yield b"\xa7" + _cbor("queryType") + _cbor(result.query_type) + _cbor("items")
    yield _array_header(len(rows))
    if result.texts is not None:
        for texts in _batches(result.texts):
            yield b"".join([_cbor(from_text(text)) for text in texts])
    else:
        for items in _batches(result.items or ()):
            yield b"".join([_cbor(item) for item in items])
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


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
