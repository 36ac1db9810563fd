# SPDX-License-Identifier: Apache-2.0
"""
Functions that build longer strings, within the hard limit of a document.

For arguments of wrong types they return NULL or MISSING (`propagate`).
"""

from __future__ import annotations

from typing import cast

from edge_twisted.documents.values import Operand
from edge_twisted.dql.propagation import propagate
from edge_twisted.dql.result_limits import RESULT_LIMIT_BYTES, too_large, utf8_length, within_limit


def concat(*texts: Operand) -> Operand:
    """
    Return the texts joined to one.

    :raises EvaluationError: the result is larger than a document may be.
    """
    try:
        return within_limit("".join(cast(tuple[str, ...], texts)), "concat")
    except TypeError:
        return propagate(*texts)


def repeat(text: Operand, count: Operand) -> Operand:
    """
    Return ``text`` repeated ``count`` times; the empty string for a negative count.

    :raises EvaluationError: the result is larger than a document may be.
    """
    if type(text) is str and type(count) is int:
        if count > 1 and utf8_length(text) * count > RESULT_LIMIT_BYTES:
            raise too_large("repeat")
        return text * count
    return propagate(text, count)


def lpad(text: Operand, length: Operand, padding: Operand = " ") -> Operand:
    """
    Return ``text`` padded on the left to ``length`` characters, or cut to ``length``.

    An empty ``padding`` adds nothing; a negative length counts as 0.

    :raises EvaluationError: the result is larger than a document may be.
    """
    if type(text) is str and type(length) is int and type(padding) is str:
        return within_limit(
            _filling(text, length, padding, "lpad") + text[: max(0, length)], "lpad"
        )
    return propagate(text, length, padding)


def rpad(text: Operand, length: Operand, padding: Operand = " ") -> Operand:
    """
    Return ``text`` padded on the right to ``length`` characters, or cut to ``length``.

    An empty ``padding`` adds nothing; a negative length counts as 0.

    :raises EvaluationError: the result is larger than a document may be.
    """
    if type(text) is str and type(length) is int and type(padding) is str:
        return within_limit(
            text[: max(0, length)] + _filling(text, length, padding, "rpad"), "rpad"
        )
    return propagate(text, length, padding)


def _filling(text: str, length: int, padding: str, function: str) -> str:
    """Return the padding that ``text`` lacks to have ``length`` characters."""
    wanted = length - len(text)
    if wanted <= 0 or not padding:
        return ""
    if length > RESULT_LIMIT_BYTES:
        raise too_large(function)
    return (padding * (wanted // len(padding) + 1))[:wanted]
