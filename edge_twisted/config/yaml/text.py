# SPDX-License-Identifier: Apache-2.0
"""Decodes the bytes of a YAML file: encodings, byte order marks, forbidden characters."""

from __future__ import annotations

import codecs
import re
from typing import Final

from edge_twisted.config.problems import FilePosition

#: More than any configuration needs; bounds the time of a check.
MAX_FILE_BYTES: Final = 2**20

_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: c-printable of YAML, negated.
_FORBIDDEN: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff"
)
_LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class UnreadableText(ValueError):
    """Bytes that cannot be decoded as YAML text; `position` is that of the first bad byte."""

    def __init__(self, position: FilePosition, what: str, right: str) -> None:
        super().__init__(what)
        self.position = position
        self.what = what
        self.right = right


def text_of(data: bytes) -> str:
    """
    Return the text in `data`, bytes in UTF-8 or in the encoding of their byte order mark.

    The mark, as YAML allows it, is left out.

    :raises UnreadableText: `data` is too long, or has invalid bytes or forbidden characters.
    """
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableText(
            FilePosition(1, 1),
            f"the file has more than {MAX_FILE_BYTES} bytes",
            "shorten it",
        )
    encoding = "utf-8"
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            data, encoding = data[len(mark) :], name
            break
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "replace")
        raise UnreadableText(
            end_of(before), f"these bytes are not {encoding.upper()}", "save the file as UTF-8"
        ) from None
    found = _FORBIDDEN.search(text)
    if found is not None:
        raise UnreadableText(
            end_of(text[: found.start()]),
            f"the character U+{ord(found[0]):04X} is not allowed in YAML",
            "remove it, or write it as an escape in double quotes",
        )
    return text


def end_of(text: str) -> FilePosition:
    """Return the position just after `text`, which begins at line 1, column 1."""
    line, start = 1, 0
    for found in _LINE_BREAK.finditer(text):
        line, start = line + 1, found.end()
    return FilePosition(line, len(text) - start + 1)


def lines_of(text: str) -> list[str]:
    """Return the lines of `text`, without the line breaks, which are those of YAML."""
    return _LINE_BREAK.split(text)
