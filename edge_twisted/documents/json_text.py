# SPDX-License-Identifier: Apache-2.0
"""
JSON texts of documents: the form in which a store keeps what a document shows.

Keys are sorted, so equal documents have equal texts.  JSON has no binary values: a binary value is
written as ``{"$binary": "<base64>"}``, and a user's object of this form gets one more ``$`` in its
key.  A text that contains either begins with a space and must be decoded before it is shown.  Any
other text is *literal*: it is the document's JSON as it is.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson

from edge_twisted.documents.values import INTEGER_MAX, INTEGER_MIN, Value
from edge_twisted.errors import Culprit, EdgeError

_OPTIONS: Final = orjson.OPT_SORT_KEYS
_BINARY: Final = "$binary"
#: The only key of an object that stands for a binary value or that has been escaped.
_PROTECTED: Final = re.compile(r"\$+binary")
#: A text without so many digits in a row has no integer beyond 64 bits.  It is searched for in the
#: text with all digits made zeros, which takes a tenth of the time of a regular expression.
_LONG_NUMBER: Final = b"0" * 19
_DIGITS: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_MARK: Final = b" "


class InvalidJson(EdgeError):
    """The bytes are not JSON in UTF-8, or contain a number beyond the range of floats."""

    code: ClassVar[str] = "invalid_json"
    culprit = Culprit.CALLER

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def is_literal(text: bytes) -> bool:
    """Return whether a stored text is literal JSON, which may be shown undecoded."""
    return text[:1] != _MARK


def are_literal(texts: Sequence[bytes]) -> bool:
    """Return whether all stored texts are literal JSON, which may be shown undecoded."""
    # A loop, because most answers have one text or a few: a comprehension is a call.
    for text in texts:  # noqa: SIM110
        if text[:1] == _MARK:
            return False
    return True


def to_text(value: Value) -> bytes:
    """
    Return the stored text of a value: JSON in UTF-8, with marks where the value holds binary.

    The module's docstring has the form.
    """
    try:
        text = orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        return _MARK + orjson.dumps(_protected(value), option=_OPTIONS)
    # The search for a single byte is quick and rules out most texts.
    if b"$" in text and b'binary"' in text and _protected(value) != value:
        return _MARK + orjson.dumps(_protected(value), option=_OPTIONS)
    return text


def from_text(text: bytes) -> Any:
    """
    Return the `Value` of a stored text, as `to_text` returns it.

    :raises InvalidJson: the text is not JSON: `to_text` did not make it.
    """
    if is_literal(text):
        return parse(text)
    return _restored(parse(text))


def parse(text: bytes) -> Any:
    """
    Return the `Value` of any JSON text; integers beyond 64 bits become floats.

    :raises InvalidJson: the text is not JSON in UTF-8, or has a number beyond floats.
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
