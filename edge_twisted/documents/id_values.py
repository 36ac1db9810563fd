# SPDX-License-Identifier: Apache-2.0
"""From the canonical key of a document id back to the id: see `edge_twisted.documents.ids`."""

from __future__ import annotations

from struct import Struct
from typing import Final

from edge_twisted.documents.values import Value

_NUMBER: Final = Struct(">QH")
_DOUBLE: Final = Struct(">d")
_WORD: Final = Struct(">Q")
_SIGN: Final = 1 << 63
_ALL: Final = (1 << 64) - 1
_MIDDLE: Final = 1 << 15
#: What begins an encoding, and what ends a list of them.
_END, _FALSE, _TRUE, _INTEGER, _STRING, _ARRAY, _OBJECT, _NULL = (
    0x00, 0x10, 0x11, 0x20, 0x40, 0x50, 0x60, 0x70,
)  # fmt: skip


def id_value(key: bytes) -> Value:
    """
    Return the id that a key stands for; an object has its keys sorted, as documents show them.

    :raises ValueError: it is no key of an id.
    """
    value, end = _read(key, 0)
    if end != len(key):
        raise ValueError("a key goes on behind its end")
    return value


def _read(key: bytes, at: int) -> tuple[Value, int]:
    kind = key[at] if at < len(key) else -1
    at += 1
    if kind == _STRING:
        return _string(key, at)
    if kind == _INTEGER:
        bits, distance = _NUMBER.unpack_from(key, at)
        (nearest,) = _DOUBLE.unpack(_WORD.pack(bits ^ (_SIGN if bits & _SIGN else _ALL)))
        return int(nearest) + distance - _MIDDLE, at + _NUMBER.size
    if kind in (_FALSE, _TRUE, _NULL):
        return {_FALSE: False, _TRUE: True, _NULL: None}[kind], at
    if kind == _ARRAY:
        elements: list[Value] = []
        while key[at] != _END:
            element, at = _read(key, at)
            elements.append(element)
        return elements, at + 1
    if kind == _OBJECT:
        return _object(key, at)
    raise ValueError("no key of an id")


def _string(key: bytes, at: int) -> tuple[str, int]:
    # A zero byte inside is followed by another byte than 1, so the first such pair is the end.
    end = key.index(b"\x00\x01", at)
    return key[at:end].replace(b"\x00\xff", b"\x00").decode("utf-8", "surrogatepass"), end + 2


def _object(key: bytes, at: int) -> tuple[Value, int]:
    names: list[str] = []
    while key[at] != _END:
        name, at = _string(key, at + 1)
        names.append(name)
    at += 1
    found: dict[str, Value] = {}
    for name in names:
        found[name], at = _read(key, at)
    return found, at
