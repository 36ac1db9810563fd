# SPDX-License-Identifier: Apache-2.0
"""``CAST``: conversions between types.  What cannot be converted is MISSING."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import inf
from typing import Final

from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql.functions.json_text import to_json
from edge_twisted.dql.operators.arithmetic import INTEGER_MAX, INTEGER_MIN
from edge_twisted.dql.propagation import propagate

#: A decimal integer of 64 bits or little more; Python would read thousands of digits, slowly.
_INTEGER: Final = re.compile(r"[+-]?0*[0-9]{1,19}")
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def to_string(value: Operand) -> Operand:
    """Return a string itself, the JSON of a number or boolean, or a binary's UTF-8 text."""
    if type(value) is str:
        return value
    if type(value) is bool or type(value) is int or type(value) is float:
        return to_json(value)
    if type(value) is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return MISSING
    return propagate(value)


def to_integer(value: Operand) -> Operand:
    """
    Return the integer of a value: a number cut off, a decimal string, 1 for TRUE.

    Numbers are cut off toward zero.  MISSING if there is none within 64 bits.
    """
    if type(value) is str:
        number = int(value) if _INTEGER.fullmatch(value) else None
    elif type(value) is bool or type(value) is int or type(value) is float:
        number = int(value)
    else:
        return propagate(value)
    return number if number is not None and INTEGER_MIN <= number <= INTEGER_MAX else MISSING


def to_float(value: Operand) -> Operand:
    """Return the float of a value: a number, a decimal string, or 1 for TRUE."""
    if type(value) is str:
        number = float(value) if _FLOAT.fullmatch(value) else inf
        return number if -inf < number < inf else MISSING
    if type(value) is bool or type(value) is int or type(value) is float:
        return float(value)
    return propagate(value)


def to_boolean(value: Operand) -> Operand:
    """Return the boolean in the string ``'true'`` or ``'false'``, or whether a number is not 0."""
    if type(value) is str:
        return {"true": True, "false": False}.get(value, MISSING)
    if type(value) is bool or type(value) is int or type(value) is float:
        return bool(value)
    return propagate(value)


def to_binary(value: Operand) -> Operand:
    """Return the binary of a value: a binary itself, the UTF-8 of a string."""
    if type(value) is bytes:
        return value
    return value.encode() if type(value) is str else propagate(value)


#: The conversion of ``CAST(value AS type)`` by the name of the type, in lower case.
CASTS: Final[Mapping[str, Callable[[Operand], Operand]]] = {
    "string": to_string,
    "integer": to_integer,
    "float": to_float,
    "boolean": to_boolean,
    "binary": to_binary,
}
