# SPDX-License-Identifier: Apache-2.0
"""
Document ids: strings, integers, booleans, arrays, objects.

Ids are equal as values are: the order of an object's keys does not matter, ``1`` and TRUE are two.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import define, field

from edge_twisted.documents.values import Operand, Value, sort_key
from edge_twisted.errors import EdgeError


class InvalidDocumentId(EdgeError):
    """The value cannot be an id; ``reason`` has the documented wording where there is one."""

    code: ClassVar[str] = "invalid_document_id"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


# Not frozen, although never changed: one is made for every write, and frozen doubles its cost.
@define(order=False, unsafe_hash=True)
class DocumentId:
    """
    An id: its value as it was written, and its canonical key.

    Equal ids have equal keys, and keys compare as ids do in the total order of values.
    """

    value: Value = field(eq=False)
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, value: Operand) -> DocumentId:
        """
        Return the id that a value is.

        :raises InvalidDocumentId: it is null, missing or binary, or has a float somewhere inside.
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
