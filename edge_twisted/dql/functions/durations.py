# SPDX-License-Identifier: Apache-2.0
"""
Durations: texts like ``1h30m`` and ``-1.5s``, after Go's ``time.ParseDuration``, and numbers.

Units are ``ns``, ``us`` or ``µs``, ``ms``, ``s``, ``m``, ``h``, and ``d`` for 24 hours; numbers
count milliseconds unless the second argument names another unit, by these or by longer names.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Final

from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql.operators.arithmetic import INTEGER_MAX
from edge_twisted.dql.propagation import propagate

#: Nanoseconds in each unit of a text.
_UNITS: Final = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
    "d": 86_400 * 1_000_000_000,
}
#: Nanoseconds in each unit of an argument.
_NAMED_UNITS: Final = _UNITS | {
    name: _UNITS[unit]
    for unit, names in {
        "ns": "nanosecond",
        "us": "microsecond",
        "ms": "millis millisecond",
        "s": "sec second",
        "m": "min minute",
        "h": "hour",
        "d": "day",
    }.items()
    for name in names.split()
}
_DEFAULT_UNIT: Final = "ms"
#: Longest text, in characters; more digits than a duration can have.
_TEXT_LIMIT: Final = 128
#: Longest duration of a number, in nanoseconds: 64 bits of milliseconds.
_LONGEST: Final = INTEGER_MAX * _UNITS["ms"]
_TERM: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h|d)")


def duration_cast(text: Operand, unit: Operand = _DEFAULT_UNIT) -> Operand:
    """Return the number of whole ``unit`` in a duration such as ``1h30m``, cut off toward zero."""
    scale = _NAMED_UNITS.get(unit) if type(unit) is str else None
    nanoseconds = _read(text) if type(text) is str else None
    if scale is None or nanoseconds is None:
        return propagate(text, unit)
    whole = abs(nanoseconds) // scale
    if whole > INTEGER_MAX:
        return MISSING
    return -whole if nanoseconds < 0 else whole


def duration_format(value: Operand, unit: Operand = _DEFAULT_UNIT) -> Operand:
    """Return the text of a duration of ``value`` times ``unit``, as Go writes it: ``1h30m0s``."""
    scale = _NAMED_UNITS.get(unit) if type(unit) is str else None
    if scale is None or not (type(value) is int or type(value) is float):
        return propagate(value, unit)
    nanoseconds = value * scale
    if not isfinite(nanoseconds) or abs(nanoseconds) > _LONGEST:
        return MISSING
    return _write(round(nanoseconds))


def _read(text: str) -> int | None:
    """Return the nanoseconds that ``text`` denotes, or None."""
    sign, terms = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if terms == "0":
        return 0
    if not terms or len(terms) > _TEXT_LIMIT:
        return None
    total = position = 0
    while position < len(terms):
        term = _TERM.match(terms, position)
        if term is None:
            return None
        whole, fraction, unit = term[1], term[2] or "", term[3]
        if not whole and not fraction:
            return None
        total += int(whole + fraction) * _UNITS[unit] // 10 ** len(fraction)
        position = term.end()
    return sign * total


def _write(nanoseconds: int) -> str:
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest < _UNITS["s"]:
        unit = next(name for name in ("ms", "µs", "ns") if rest >= _UNITS[name] or name == "ns")
        return f"{sign}{_decimal(rest, _UNITS[unit])}{unit}" if rest else "0s"
    minutes, seconds = divmod(rest, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    written = f"{_decimal(seconds, _UNITS['s'])}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{written}"
    return f"{sign}{minutes}m{written}" if minutes else sign + written


def _decimal(number: int, scale: int) -> str:
    """Write ``number / scale``, a power of ten, exactly."""
    whole, fraction = divmod(number, scale)
    digits = str(scale + fraction)[1:].rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
