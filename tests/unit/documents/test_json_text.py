# SPDX-License-Identifier: Apache-2.0
"""Stored text: literal wherever it can be, and never mistaken where it cannot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_twisted.documents.json_text import InvalidJson, from_text, is_literal, parse, to_text
from edge_twisted.documents.values import Value, sort_key
from tests.support.strategies_documents import values

tricky: st.SearchStrategy[Value] = st.recursive(
    values | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["$binary", "$$binary", "a"]), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(tricky)
def test_round_trip(value: Value) -> None:
    text = to_text(value)
    assert sort_key(from_text(text)) == sort_key(value)
    if is_literal(text):
        assert sort_key(parse(text)) == sort_key(value)


def test_literal_text_is_the_document() -> None:
    assert to_text({"b": 1.0, "a": [None, True, "é"]}) == '{"a":[null,true,"é"],"b":1.0}'.encode()
    assert is_literal(to_text({"text": "about $binary values"}))
    assert not is_literal(to_text({"a": b"\x00"}))
    assert not is_literal(to_text({"$binary": "AA=="}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"9223372036854775808", float(2**63)),
        (b"[18446744073709551616]", [float(2**64)]),
        (b"1.0", 1.0),
    ],
)
def test_numbers(text: bytes, value: Value) -> None:
    found = parse(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b'"\\ud800"', b'"\xff"', b"[1,]", b"1 2"])
def test_no_json(text: bytes) -> None:
    with pytest.raises(InvalidJson):
        parse(text)
