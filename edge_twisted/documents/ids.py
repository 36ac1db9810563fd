# SPDX-License-Identifier: Apache-2.0
"""
Document ids, and the keys by which stores order and find them.

An id is a string, integer, boolean, array or object.  Two ids are equal if they are equal as
values: the order of an object's keys does not matter; ``1`` and TRUE are different ids.  The key
of an id is its `values.sort_key`; `id_value` turns a key back into the id.
"""

from __future__ import annotations

from struct import Struct
from typing import ClassVar, Final

from attrs import define, field

from edge_twisted.documents.values import Operand, Value, sort_key
from edge_twisted.errors import Culprit, EdgeError

_NUMBER: Final = Struct(">QH")
_DOUBLE: Final = Struct(">d")
_WORD: Final = Struct(">Q")
_SIGN: Final = 1 << 63
_ALL: Final = (1 << 64) - 1
_MIDDLE: Final = 1 << 15
#: The first bytes of encoded values, and the end of a list (`edge_twisted.documents.values`).
_END, _FALSE, _TRUE, _INTEGER, _STRING, _ARRAY, _OBJECT, _NULL = (
    0x00, 0x10, 0x11, 0x20, 0x40, 0x50, 0x60, 0x70,
)  # fmt: skip


class InvalidDocumentId(EdgeError):
    """The value cannot be a document id; `reason` is the text for the caller."""

    code: ClassVar[str] = "invalid_document_id"
    culprit = Culprit.CALLER

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


# Never changed, yet not frozen: every write makes one, and frozen doubles its cost.
@define(order=False, unsafe_hash=True)
class DocumentId:
    """
    A document id: its value as written, and its key.

    Equal ids have equal keys; keys compare as the values do in the total order.
    """

    value: Value = field(eq=False)
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, value: Operand) -> DocumentId:
        """
        Return the id with this value.

        :raises InvalidDocumentId: the value is null or missing, or contains a float or binary.
        """
        kind = type(value)
        if kind is not str and kind is not int and kind is not bool:
            _check(value)
        return cls(value, sort_key(value))  # type: ignore[arg-type]


def _check(value: Operand) -> None:
    if value is None:
        raise InvalidDocumentId("Null document ID not allowed")
    if not isinstance(value, float | list | dict):
        kind = "binary values" if isinstance(value, bytes) else "missing values"
        raise InvalidDocumentId(f"Document IDs cannot be {kind}")
    waiting: list[Value] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, float):
            raise InvalidDocumentId("Floats are not supported in document IDs")
        if isinstance(each, bytes):
            raise InvalidDocumentId("Binary values are not supported in document IDs")
        if isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, dict):
            waiting.extend(each.values())


# -- from a key back to its id


def id_value(key: bytes) -> Value:
    """
    Return the id that has this sort key; the keys of an object come sorted.

    :raises ValueError: the bytes are not the key of an id.
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
    # A zero byte within the string is followed by 0xff, so the first ``00 01`` is its end.
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
