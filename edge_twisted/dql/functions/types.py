# SPDX-License-Identifier: Apache-2.0
"""Functions that tell the types of values; those that ask hand on NULL and MISSING."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql.propagation import propagate

_NAMES: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    bytes: "binary",
    list: "array",
    dict: "object",
    type(MISSING): "missing",
}
_JSON_NAMES: Final = {
    kind: {"integer": "number", "float": "number", "missing": "null"}.get(name, name)
    for kind, name in _NAMES.items()
}


def type_of(value: Operand) -> Operand:
    """Return the name of a value's type, such as ``'integer'``, ``'null'`` or ``'missing'``."""
    return _NAMES[type(value)]


def json_type(value: Operand) -> Operand:
    """
    Return the name of a value's type in JSON.

    Integers and floats are ``'number'``; MISSING is ``'null'``, a binary ``'binary'``.
    """
    return _JSON_NAMES[type(value)]


def is_boolean(value: Operand) -> Operand:
    """Return whether ``value`` is a boolean."""
    return propagate(value) if value is None or value is MISSING else type(value) is bool


def is_number(value: Operand) -> Operand:
    """Return whether ``value`` is an integer or a float."""
    if value is None or value is MISSING:
        return propagate(value)
    return type(value) is int or type(value) is float


def is_string(value: Operand) -> Operand:
    """Return whether ``value`` is a string."""
    return propagate(value) if value is None or value is MISSING else type(value) is str
