# SPDX-License-Identifier: Apache-2.0
"""
Values of documents, and their total order.

A `Value` is what a document can contain: None, bool, int (64 bits, signed), float (finite), str,
bytes, list, or dict with str keys.  `MISSING` is the absence of a value: expressions compute with
it, documents never contain it.  An `Operand` is a `Value` or `MISSING`.

The order, ascending: false, true, numbers, binary, strings, arrays, objects, null, missing.
Numbers compare exactly, whether integer or float; strings and binary values by bytes; arrays by
elements, then by length; objects by their sorted keys, then by the values of these.  ``1`` equals
``1.0``, and ``0.0`` equals ``-0.0``.
"""

from __future__ import annotations

from enum import Enum
from struct import Struct
from typing import Final, Literal, TypeAlias

from edge_twisted.documents.progress import CHUNK, chunks, report_each

Value: TypeAlias = "bool | int | float | str | bytes | list[Value] | dict[str, Value] | None"


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Literal[Missing.MISSING]] = Missing.MISSING
Operand: TypeAlias = "Value | Literal[Missing.MISSING]"

INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1

# The first byte of an encoded value; each differs from _END, which ends an array.
_END: Final = b"\x00"
_FALSE: Final = b"\x10"
_TRUE: Final = b"\x11"
_NUMBER: Final = b"\x20"
_BINARY: Final = b"\x30"
_STRING: Final = b"\x40"
_ARRAY: Final = b"\x50"
_OBJECT: Final = b"\x60"
_NULL: Final = b"\x70"
_MISSING: Final = b"\x80"

#: The end of a string; less than an escaped zero byte, so that a prefix sorts before its extension.
_STRING_END: Final = b"\x00\x01"
_ZERO_INSIDE: Final = b"\x00\xff"

_DOUBLE: Final = Struct(">d")
_WORD: Final = Struct(">Q")
_ENCODED_NUMBER: Final = Struct(">cQH")
_SIGN: Final = 1 << 63
_ALL: Final = (1 << 64) - 1
#: The encoded distance of an integer that equals its nearest float.
_MIDDLE: Final = 1 << 15
_EXACT: Final = 2**53


def sort_key(value: Operand) -> bytes:
    """
    Return bytes that compare as the values do in the total order.

    Values have equal keys if and only if they are equal.  Keys are prefix-free, so concatenated
    keys compare like the tuples of their values.  A number takes 11 bytes, a string 3 more than
    its UTF-8.
    """
    kind = type(value)
    if kind is str:
        # Most ids are strings, and most strings are ASCII, which has no surrogates.
        text: str = value  # type: ignore[assignment]
        data = text.encode() if text.isascii() else text.encode("utf-8", "surrogatepass")
        if b"\x00" in data:
            data = data.replace(b"\x00", _ZERO_INSIDE)
        return _STRING + data + _STRING_END
    if kind is int or kind is float:
        return _number(value)  # type: ignore[arg-type]
    return _other(value)


#: Bytes by which DISTINCT and GROUP BY tell values apart.
canonical = sort_key


def compare(left: Operand, right: Operand) -> int:
    """Return -1, 0 or 1 as the left value is less than, equal to or greater than the right."""
    a, b = sort_key(left), sort_key(right)
    return (a > b) - (a < b)


def equal(left: Operand, right: Operand) -> bool:
    """Return whether two values are equal in the total order."""
    return sort_key(left) == sort_key(right)


def _terminated(data: bytes) -> bytes:
    if b"\x00" in data:
        data = data.replace(b"\x00", _ZERO_INSIDE)
    return data + _STRING_END


def _number(value: int | float) -> bytes:
    # Adding zero turns -0.0 into 0.0.
    nearest = float(value) + 0.0
    (bits,) = _WORD.unpack(_DOUBLE.pack(nearest))
    bits = bits ^ (_ALL if bits & _SIGN else _SIGN)
    distance = 0
    if type(value) is int and not -_EXACT <= value <= _EXACT:
        # Several integers share one nearest float, at a distance of at most 512.
        distance = value - int(nearest)
    return _ENCODED_NUMBER.pack(_NUMBER, bits, _MIDDLE + distance)


def _other(value: Operand) -> bytes:
    if value is None:
        return _NULL
    if value is MISSING:
        return _MISSING
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    if isinstance(value, dict | list) and len(value) > CHUNK:
        return _long(value)
    if isinstance(value, dict):
        names = sorted(value)
        keys = [_STRING + _terminated(name.encode("utf-8", "surrogatepass")) for name in names]
        return b"".join((_OBJECT, *keys, _END, *[sort_key(value[name]) for name in names]))
    if isinstance(value, list):
        return b"".join((_ARRAY, *map(sort_key, value), _END))
    if isinstance(value, bytes):
        return _BINARY + _terminated(value)
    raise TypeError(f"a document cannot hold {type(value).__name__}")


def _long(value: list[Value] | dict[str, Value]) -> bytes:
    """Encode a long array or object, reporting progress."""
    if isinstance(value, list):
        parts = [b"".join(map(sort_key, piece)) for piece in chunks(value)]
        return b"".join((_ARRAY, *parts, _END))
    names = sorted(value)
    keys = [
        _STRING + _terminated(name.encode("utf-8", "surrogatepass")) for name in report_each(names)
    ]
    return b"".join((_OBJECT, *keys, _END, *[sort_key(value[name]) for name in report_each(names)]))
