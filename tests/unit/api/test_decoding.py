# SPDX-License-Identifier: Apache-2.0
"""What is taken as a call, and what is refused, in both notations."""

from __future__ import annotations

import cbor2
import orjson
import pytest

from edge_twisted.api.decoding import MAX_NESTING, call_of, decode
from edge_twisted.api.errors import InvalidRequest, UnsupportedMediaType
from edge_twisted.api.media import Media, answer_media, body_media
from edge_twisted.api.request import Headers

NESTED = MAX_NESTING - 2


def nest(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("body", "call"),
    [
        (b'{"statement": "SELECT 1"}', ("SELECT 1", {})),
        (b'{"statement": "s", "args": null}', ("s", {})),
        (b'{"args": {"a": [1, 1.0, true, null, "x"]}, "statement": "s"}',
         ("s", {"a": [1, 1.0, True, None, "x"]})),
        (b'{"statement": "s", "args": {"a": 9223372036854775807}}', ("s", {"a": 2**63 - 1})),
        (b'{"statement": "s", "args": {"a": 9223372036854775808}}', ("s", {"a": 2.0**63})),
    ],
)  # fmt: skip
def test_json_calls(body: bytes, call: tuple[str, object]) -> None:
    found = call_of(decode(body, Media.JSON))
    assert found == call
    assert repr(found) == repr(call)


def test_cbor_calls_have_binary_and_integers() -> None:
    args = {"a": b"\x00\xff", "b": -(2**63), "c": 1.5, "d": [None, {"e": True}]}
    body = cbor2.dumps({"statement": "s", "args": args})
    assert call_of(decode(body, Media.CBOR)) == ("s", args)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b"{", "no JSON"),
        (b'{"statement": "s"} x', "no JSON"),
        (b'\xff{"statement": "s"}', "no JSON"),
        (b'"s"', "must be an object"),
        (b"[]", "must be an object"),
        (b"{}", 'has no "statement"'),
        (b'{"statement": 1}', 'string as "statement"'),
        (b'{"statement": null}', 'string as "statement"'),
        (b'{"statement": "s", "args": []}', '"args"'),
        (b'{"statement": "s", "arg": {}}', "'arg'"),
        (b'{"statement": "s", "args": {"a": NaN}}', "no JSON"),
        (orjson.dumps({"statement": "s", "args": {"a": nest(NESTED + 1)}}), "nested"),
        (b'{"statement": "s", "args": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}", "JSON|nested"),
        (
            b'{"statement": "s", "args": {"a": ' + b"[" * 1000 + b"1" * 30 + b"]" * 1000 + b"}}",
            "nested",
        ),
    ],
)
def test_json_that_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        call_of(decode(body, Media.JSON))


def test_nesting_up_to_the_limit_is_taken() -> None:
    value = {"statement": "s", "args": {"a": nest(NESTED)}}
    assert call_of(decode(orjson.dumps(value), Media.JSON))[1] == value["args"]
    assert call_of(decode(cbor2.dumps(value), Media.CBOR))[1] == value["args"]
    wide = {"statement": "s", "args": {"a": [[1]] * 1000}}
    assert call_of(decode(orjson.dumps(wide), Media.JSON))[1] == wide["args"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2**63, "64 bits"),
        (2**70, "64 bits"),
        (float("nan"), "finite"),
        (float("-inf"), "finite"),
        (cbor2.CBORTag(4000, 1), "cannot hold"),
        (cbor2.undefined, "cannot hold"),
        ({1: 2}, "CBOR|no string"),
        ({b"a": 2}, "no string"),
        (nest(NESTED + 1), "nested|depth"),
    ],
)
def test_cbor_values_that_documents_cannot_hold(value: object, said: str) -> None:
    body = cbor2.dumps({"statement": "s", "args": {"a": value}})
    with pytest.raises(InvalidRequest, match=said):
        call_of(decode(body, Media.CBOR))


@pytest.mark.parametrize(
    "body",
    [
        b"\x9b\x00\x00\x01\x00\x00\x00\x00\x00",
        b"\x7b\x00\x00\x01\x00\x00\x00\x00\x00",
        b"\x63\xed\xa0\x80",
        b"\x81" * 100_000,
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xa2\x61a\x01\x61a\x02",
        b"\x00\x00",
        b"\xa1\x69statement\x61s\x00",
    ],
)
def test_hostile_cbor_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        call_of(decode(body, Media.CBOR))


def headers(**fields: str) -> Headers:
    return Headers(
        {name.replace("_", "-").encode(): value.encode() for name, value in fields.items()}
    )


@pytest.mark.parametrize(
    ("kind", "media"),
    [
        ("application/json", Media.JSON),
        ("Application/JSON; Charset=UTF-8", Media.JSON),
        ('application/json;charset="utf-8"', Media.JSON),
        ("application/json; version=1", Media.JSON),
        ("application/cbor", Media.CBOR),
    ],
)
def test_types_that_are_taken(kind: str, media: Media) -> None:
    assert body_media(headers(content_type=kind)) is media


def test_no_type_is_json() -> None:
    assert body_media(headers()) is Media.JSON
    assert body_media(headers(content_encoding="identity")) is Media.JSON


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json; charset=latin-1", "application/xml", "", "json"]
)
def test_types_that_are_refused(kind: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        body_media(headers(content_type=kind))


def test_a_coded_body_is_refused() -> None:
    with pytest.raises(UnsupportedMediaType):
        body_media(headers(content_encoding="gzip"))


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", Media.JSON),
        ("application/cbor", Media.CBOR),
        ("application/cbor, application/json;q=0.5", Media.CBOR),
        ("application/cbor;q=0.5, application/json", Media.JSON),
        ("application/cbor, */*;q=0.1", Media.CBOR),
        ("application/json, application/cbor", Media.JSON),
        ("text/html", Media.JSON),
        ("application/cbor;q=0", Media.JSON),
        ("application/cbor;q=x", Media.JSON),
    ],
)
def test_what_the_answer_is_in(accept: str, media: Media) -> None:
    assert answer_media(headers(accept=accept)) is media
