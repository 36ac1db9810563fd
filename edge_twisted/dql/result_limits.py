# SPDX-License-Identifier: Apache-2.0
"""Limits on the size of what an expression may build."""

from __future__ import annotations

from typing import Final

from edge_twisted.dql.errors import EvaluationError

#: The hard limit of a document.  A larger result could not be stored, and a short statement such
#: as ``repeat('x', 1000000000)`` must not exhaust a device's memory.
RESULT_LIMIT_BYTES: Final = 5_242_880

#: The most bytes that a code point takes in UTF-8.
_UTF8_MAX_BYTES: Final = 4


def utf8_length(text: str) -> int:
    """Return the number of bytes of ``text`` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def within_limit(text: str, function: str) -> str:
    """
    Return ``text`` if it is within the limit of what a function may return.

    :param function: the name of the function, for the message.
    :raises EvaluationError: the text is longer than `RESULT_LIMIT_BYTES` in UTF-8.
    """
    length = len(text)
    if length * _UTF8_MAX_BYTES > RESULT_LIMIT_BYTES and utf8_length(text) > RESULT_LIMIT_BYTES:
        raise too_large(function)
    return text


def too_large(function: str) -> EvaluationError:
    """
    Return, for the caller to raise, the error for a result beyond `RESULT_LIMIT_BYTES`.

    :param function: the name of the function that has the result, for the message.
    """
    return EvaluationError(f"the result of {function} exceeds limit of {RESULT_LIMIT_BYTES} bytes")
