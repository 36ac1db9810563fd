# SPDX-License-Identifier: Apache-2.0
"""Bytes into text: marks, encodings, forbidden characters."""

from __future__ import annotations

import codecs

import pytest

from edge_twisted.config.problems import FilePosition
from edge_twisted.config.yaml.text import MAX_FILE_BYTES, UnreadableText, lines_of, text_of


@pytest.mark.parametrize(
    "data",
    [
        "a: ü".encode(),
        codecs.BOM_UTF8 + "a: ü".encode(),
        codecs.BOM_UTF16_LE + "a: ü".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "a: ü".encode("utf-16-be"),
        codecs.BOM_UTF32_LE + "a: ü".encode("utf-32-le"),
    ],
)
def test_a_byte_order_mark_says_the_encoding_and_is_left_out(data: bytes) -> None:
    assert text_of(data) == "a: ü"


@pytest.mark.parametrize(
    ("data", "position", "what"),
    [
        (b"a: 1\nb: \xff", FilePosition(2, 4), "these bytes are not UTF-8"),
        ("é: \xe9".encode("latin-1"), FilePosition(1, 1), "these bytes are not UTF-8"),
        (codecs.BOM_UTF16_LE + b"a", FilePosition(1, 1), "these bytes are not UTF-16-LE"),
        (b"a: 1\r\n\r\nb: \x00", FilePosition(3, 4), "the character U+0000 is not allowed in YAML"),
        (b"a: \x1b[0m", FilePosition(1, 4), "the character U+001B is not allowed in YAML"),
        ("a: \ufeff".encode(), FilePosition(1, 4), "the character U+FEFF is not allowed in YAML"),
        (b"a" * (MAX_FILE_BYTES + 1), FilePosition(1, 1), "the file has more than 1048576 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused_at_its_place(
    data: bytes, position: FilePosition, what: str
) -> None:
    with pytest.raises(UnreadableText) as caught:
        text_of(data)
    assert caught.value.position == position
    assert caught.value.what == what


def test_lines() -> None:
    assert lines_of("a\r\nb\rc\n\u2028d") == ["a", "b", "c", "", "d"]
