# SPDX-License-Identifier: Apache-2.0
"""The fuzzers' entry points for some seconds, and on what they found before."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fuzz_dql import fuzz_arguments, fuzz_bytes, fuzz_grammar

_SETTINGS = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
_WORDS = [
    b"SELECT ", b"* ", b"FROM ", b"a ", b"WHERE ", b"(", b")", b"[", b"]", b"{", b"}", b",", b":p ",
    b"'", b'"', b"`", b"\\", b"--", b"/*", b"*/", b"/*+", b"NOT ", b"- ", b"AND ", b"1e", b"0x",
    b"\xf0\x9f\x98\x80", b"\xff", b"\xed\xa0\x80", b"\r\n", b"\x00", b"INSERT INTO ", b"DOCUMENTS ",
    b"UPDATE ", b"SET ", b"=", b"ORDER BY ", b"LIMIT ", b"USE IDS ", b"CASE ", b"END ", b"ANY ",
]  # fmt: skip


@given(st.lists(st.sampled_from(_WORDS) | st.binary(max_size=4), max_size=30).map(b"".join))
@_SETTINGS
def test_any_bytes(data: bytes) -> None:
    fuzz_bytes(data)


@given(st.binary(min_size=20, max_size=120))
@_SETTINGS
def test_what_the_grammar_makes(data: bytes) -> None:
    fuzz_grammar(data)


@given(st.binary(max_size=60))
@_SETTINGS
def test_any_arguments(data: bytes) -> None:
    fuzz_arguments(data)


@pytest.mark.parametrize(
    "body",
    [
        b'{"v": 18446744073709551616}',
        b'{"v": 1e999}',
        b'{"v": NaN}',
        b'{"v": "\\ud800"}',
        b'{"v": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"v": ' + b"[" * 120 + b"]" * 120 + b"}",
        b'{"v": ' + b'{"a":' * 120 + b"1" + b"}" * 121,
        b'{"v": {"_id": 1.5}}',
        b'{"v": [{"_id": null}, 7]}',
        b'{"v": ""}',
        b'{"v": {"": {"": ""}}}',
        b'{"v": {"id": "x", "len": -1, "metadata": {}}}',
        b'{"statement": "SELECT :a AS a", "args": {"a": [[[[1]]]], "b": 2}}',
        b"\xff\xa1avI" + b"\x00" * 9,
        b"\xff\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00",
        b"\xff\xd8\x1c\x00",
    ],
)  # fmt: skip
def test_odd_arguments(body: bytes) -> None:
    fuzz_arguments(body)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT " + "(" * 100_000,
        "SELECT " + "NOT " * 100_000 + "a",
        "SELECT " + "- " * 100_000 + "1",
        "SELECT " + "[" * 250 + "]" * 250,
        "SELECT " + "CASE WHEN " * 250,
        "SELECT * FROM a WHERE " + "a OR " * 60_000 + "a",
        "SELECT " + "'" * 99_999,
        "SELECT " + ", ".join(f":p{n}" for n in range(10_001)),
        "/*" * 100_000,
        "UPDATE a SET " + "o -> (" * 300,
        "SELECT * FROM COLLECTION a (" + "o MAP(" * 300,
        "SELECT '" + "\\" * 100_001,
        "SELECT 1" + "0" * 50_000,
        "SELECT a" + ".a" * 50_000 + " FROM a",
        "x" * 1_048_577,
    ],
)  # fmt: skip
def test_odd_statements(statement: str) -> None:
    fuzz_bytes(statement.encode())


@pytest.mark.parametrize(
    "data",
    [
        b"SHOW ALL ILIKE 'T' ESCAPE 'MEDIAN!'",
        b"SHOW ALL LIKE '%' ESCAPE ''",
        b"EXPLAIN DELETE FROM\xd2 orders",
        b"SELE" + b"\r" * 48 + b"\xb1" + b"\r" * 31 + b"CT LECT 1 AS a",
        b"SELECT '\xed\xa0\x80' AS a",
        b"UPDATE a SET " + b"a." * 5_000 + b"a = 1",
        b"UPDATE a SET " + b", ".join(b"f%d = 1" % n for n in range(5_000)),
        b"SELECT * FROM a WHERE " + b" AND ".join(b"n != %d" % n for n in range(2_000)),
    ],
)
def test_what_was_found(data: bytes) -> None:
    fuzz_bytes(data)
