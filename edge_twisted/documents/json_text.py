# SPDX-License-Identifier: Apache-2.0
"""
Documents as JSON text: how a store keeps what a document shows.

Keys are sorted, so equal documents have equal text.  JSON has no binary values: one is written
as ``{"$binary": "<base64>"}``, and an object of the user's that looks so, or like what is written
for one, gets another ``$``.  A text in which something was written so begins with a space, and
must be decoded before it is shown; any other text is the document, to the letter.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson

from edge_twisted.documents.values import INTEGER_MAX, INTEGER_MIN, Value
from edge_twisted.errors import EdgeError

_OPTIONS: Final = orjson.OPT_SORT_KEYS
_BINARY: Final = "$binary"
#: The sole key of an object that stands for something else, or that another ``$`` protects.
_PROTECTED: Final = re.compile(r"\$+binary")
#: Only a text with so many digits in a row can hold an integer beyond 64 bits; looked for in the
#: text with all digits made zeros, which takes a tenth of what a regular expression does.
_LONG_NUMBER: Final = b"0" * 19
_DIGITS: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_MARK: Final = b" "


class InvalidJson(EdgeError):
    """The bytes are no JSON text, or hold a number that is beyond floats."""

    code: ClassVar[str] = "invalid_json"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def is_literal(text: bytes) -> bool:
    """Return whether a stored text is the document to the letter, and may be shown undecoded."""
    return text[:1] != _MARK


def are_literal(texts: Sequence[bytes]) -> bool:
    """Return whether `is_literal` holds for all of them."""
    # A loop, for most answers have one text or a few: a comprehension is a call.
    for text in texts:  # noqa: SIM110
        if text[:1] == _MARK:
            return False
    return True


def to_text(value: Value) -> bytes:
    """Return the stored text of a value."""
    try:
        text = orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        return _MARK + orjson.dumps(_protected(value), option=_OPTIONS)
    # The first search is one for a single byte, which is quick, and ends most.
    if b"$" in text and b'binary"' in text and _protected(value) != value:
        return _MARK + orjson.dumps(_protected(value), option=_OPTIONS)
    return text


def from_text(text: bytes) -> Any:
    """Return the value of a stored text (in fact a `Value`); :raises InvalidJson: it is none."""
    if is_literal(text):
        return parse(text)
    return _restored(parse(text))


def parse(text: bytes) -> Any:
    """
    Return the value (in fact a `Value`) of any JSON text; integers beyond 64 bits become floats.

    :raises InvalidJson: it is no JSON in UTF-8, or a number in it is beyond floats.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(str(error)) from None
    return _bounded(value) if _LONG_NUMBER in text.translate(_DIGITS) else value


def _bounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_bounded(inner) for inner in value]
    if type(value) is int and not INTEGER_MIN <= value <= INTEGER_MAX:
        return float(value)
    return value


def _protected(value: Value) -> Any:
    if isinstance(value, bytes):
        return {_BINARY: base64.b64encode(value).decode("ascii")}
    if isinstance(value, list):
        return [_protected(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (key,) = value
        if _PROTECTED.fullmatch(key):
            return {f"${key}": _protected(value[key])}
    return {key: _protected(inner) for key, inner in value.items()}


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return [_restored(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (key,) = value
        if key == _BINARY:
            return base64.b64decode(value[key])
        if _PROTECTED.fullmatch(key):
            return {key[1:]: _restored(value[key])}
    return {key: _restored(inner) for key, inner in value.items()}
