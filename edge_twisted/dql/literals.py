# SPDX-License-Identifier: Apache-2.0
"""The values of string and number literals."""

from __future__ import annotations

import re
from math import inf
from typing import Final

from edge_twisted.dql.errors import LexicalError

INTEGER_MAX: Final = 2**63 - 1
#: The one integer whose absolute value is beyond 64 bits.
INTEGER_MIN: Final = -(2**63)
#: An integer of more digits is beyond 64 bits.
_INTEGER_DIGITS: Final = 19
#: An integer of more bits is beyond floats.
_FLOAT_BITS: Final = 1023

_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))|''", re.DOTALL)
_SHORT_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LOW_SURROGATE: Final = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")


def decode_number(text: str, start: int) -> int | float:
    """
    Return the value of a number literal; an integer beyond 64 bits is the nearest float.

    :param start: the offset of ``text`` in the statement, for errors.
    :raises LexicalError: no float is that large.
    """
    if text.isdecimal():
        digits = text.lstrip("0") or "0"
        integer = int(digits) if len(digits) <= _INTEGER_DIGITS else INTEGER_MAX + 1
        number = float(digits) if integer > INTEGER_MAX else 0.0
    elif text[1] in "xX":
        integer = int(text, 16)
        number = float(integer) if integer.bit_length() <= _FLOAT_BITS else inf
    else:
        integer = INTEGER_MAX + 1
        number = float(text)
    if integer <= INTEGER_MAX:
        return integer
    if number < inf:
        return number
    raise LexicalError("number is too large", (start, start + len(text)))


def negate(value: int | float, text: str) -> int | float:
    """
    Return the number after a minus sign; ``text`` is how the number was written.

    The text tells the least integer of 64 bits from a float of the same size.
    """
    if value == -INTEGER_MIN and text.lstrip("0") == str(-INTEGER_MIN):
        return INTEGER_MIN
    return -value


def decode_string(text: str, start: int) -> str:
    """
    Return the value of a string literal, its quotes included in ``text``.

    Escapes are JSON's; an unknown one stands for its character, and so does ``''`` for one quote.

    :param start: the offset of ``text`` in the statement, for errors.
    :raises LexicalError: the text has a malformed Unicode escape, or one half of a surrogate pair.
    """
    body = text[1:-1]
    if "\\" not in body and "'" not in body:
        return body
    doubled = "''" if text[0] == "'" else ""
    pieces: list[str] = []
    position = 0
    while match := _ESCAPE.search(body, position):
        begin, end = match.span()
        pieces.append(body[position:begin])
        if match[0] == "''":
            pieces.append("'" if doubled else match[0])
        elif match[1] is not None:
            character, end = _code_point(body, match, start + 1)
            pieces.append(character)
        elif match[2] == "u":
            raise _bad_escape(r"\u needs four hexadecimal digits", begin, 2, start + 1)
        else:
            pieces.append(_SHORT_ESCAPES.get(match[2], match[2]))
        position = end
    pieces.append(body[position:])
    return "".join(pieces)


def _code_point(body: str, match: re.Match[str], offset: int) -> tuple[str, int]:
    """Return the character of a ``\\u`` or of a pair of them, and where the text goes on."""
    unit = int(match[1], 16)
    if not 0xD800 <= unit <= 0xDFFF:
        return chr(unit), match.end()
    low = _LOW_SURROGATE.match(body, match.end()) if unit <= 0xDBFF else None
    if low is None:
        raise _bad_escape("half of a surrogate pair stands alone", match.start(), 6, offset)
    return chr(0x10000 + ((unit - 0xD800) << 10) + (int(low[1], 16) - 0xDC00)), low.end()


def _bad_escape(message: str, begin: int, length: int, offset: int) -> LexicalError:
    return LexicalError(message, (offset + begin, offset + begin + length))
