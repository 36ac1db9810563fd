# SPDX-License-Identifier: Apache-2.0
"""Values to JSON text and back; JSON knows no binary, which is written as its Base64."""

from __future__ import annotations

import re
from base64 import b64encode
from itertools import accumulate
from typing import Final

import orjson

from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.dql.errors import EvaluationError
from edge_twisted.dql.operators.arithmetic import INTEGER_MAX
from edge_twisted.dql.propagation import propagate
from edge_twisted.dql.result_limits import within_limit

#: Deepest nesting of arrays and objects in a text, as in statements and arguments.
NESTING_LIMIT: Final = 200

#: Digits that may be beyond 64 bits.
_MANY_DIGITS: Final = re.compile(r"[0-9]{19}")
#: All of a JSON text but its brackets.
_NO_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[^][{}"]+', re.DOTALL)


def to_json(value: Value) -> str:
    """Return the JSON text of ``value``, without white space; see `to_json_bytes`."""
    return to_json_bytes(value).decode()


def to_json_bytes(value: Value) -> bytes:
    """
    Return the JSON text of ``value`` in UTF-8, without white space.

    :raises EvaluationError: arrays and objects are nested some 250 deep.
    """
    try:
        return orjson.dumps(value, default=_binary_to_json)
    except orjson.JSONEncodeError as error:
        raise EvaluationError(f"the value has no JSON text: {error}") from None


def _binary_to_json(value: object) -> str:
    if type(value) is bytes:
        return b64encode(value).decode()
    raise TypeError(type(value))


def from_json(text: str) -> Operand:
    """
    Return the value of a JSON text; MISSING if it is invalid or has a number beyond floats.

    Integers beyond 64 bits become floats.

    :raises EvaluationError: arrays and objects are nested deeper than `NESTING_LIMIT`.
    """
    if text.count("[") + text.count("{") > NESTING_LIMIT and _depth(text) > NESTING_LIMIT:
        raise EvaluationError(f"JSON text nested deeper than {NESTING_LIMIT} levels")
    try:
        value: Value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return MISSING
    return _within_64_bits(value) if _MANY_DIGITS.search(text) else value


def _depth(text: str) -> int:
    """Return how deep arrays and objects are nested in a JSON text."""
    brackets = _NO_BRACKETS.sub("", text)
    return max(accumulate(1 if bracket in "[{" else -1 for bracket in brackets), default=0)


def serialize_json(value: Operand) -> Operand:
    """
    Return the JSON text of ``value``; that of NULL is ``'null'``.

    :raises EvaluationError: as `to_json`, or the text is larger than a document may be.
    """
    # JSON text of JSON text of JSON text ... doubles its backslashes each time.
    return MISSING if value is MISSING else within_limit(to_json(value), "serialize_json")


def deserialize_json(text: Operand) -> Operand:
    """
    Return the value of a JSON text; MISSING if it is invalid.

    :raises EvaluationError: as `from_json`.
    """
    return from_json(text) if type(text) is str else propagate(text)


def _within_64_bits(value: Value) -> Value:
    if type(value) is int:
        return value if value <= INTEGER_MAX else float(value)
    if type(value) is list:
        return [_within_64_bits(element) for element in value]
    if type(value) is dict:
        return {key: _within_64_bits(element) for key, element in value.items()}
    return value
