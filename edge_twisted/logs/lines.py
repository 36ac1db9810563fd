# SPDX-License-Identifier: Apache-2.0
"""
Renders an event as one line: its record, spelled as JSON or as text.

A record is what JSON lines hold: ``time``, ``level``, ``message``, ``logger``, then the event's own
fields, then ``failure`` with the traceback.  An own field that would hide one of these gets an
underscore behind its name.  A line never grows beyond `MAX_LINE_BYTES`, whatever was logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from string import Formatter
from typing import Final

import orjson
from twisted.logger import LogEvent, formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str

from edge_twisted.logs.fields import FAILURE, LEVEL, LOGGER, MESSAGE, TIME
from edge_twisted.logs.redaction import Redactor
from edge_twisted.logs.timestamps import rfc3339

Record = dict[str, object]

#: Longer lines are cut in their values: a document that found its way into a message must not fill
#: the disk, and journald splits at 48 KiB by default anyway.
MAX_LINE_BYTES: Final = 48 * 1024
#: Most own fields kept in a line that is too long.
MAX_CUT_FIELDS: Final = 16
#: Characters kept of each value in a line that is too long; the second cut is for characters that
#: JSON spells with six bytes.
_CUTS: Final = (2048, 256)
_MAX_NAME_CHARACTERS: Final = 64

_STANDARD = frozenset({TIME, LEVEL, MESSAGE, LOGGER, FAILURE})
#: Keys that ``twisted.python.log`` adds to events, or that wrappers for its observers add.
_LEGACY = frozenset(
    {"message", "time", "system", "isError", "format", "failure", "why", "printed", "logLevel"}
)
_JSON = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN_VALUE = re.compile(r"[^\s\"'=<>]+")


class Line:
    """An event rendered as JSON, with its secrets taken out, and able to render as text."""

    __slots__ = ("_shown", "json", "record")

    def __init__(self, event: LogEvent, level: str, redactor: Redactor) -> None:
        record = record_of(event, level)
        encoded = encode(record)
        if redactor.suspects(encoded):
            record = redactor.clean_record(orjson.loads(encoded))
            encoded = encode(record)
        # After redaction, because a secret that is cut in two would not be recognised.
        for characters in _CUTS:
            if len(encoded) <= MAX_LINE_BYTES:
                break
            record = _cut(orjson.loads(encoded), characters)
            encoded = encode(record)
        self.record = record
        #: One line of JSON with its line end.
        self.json = encoded
        template = event.get("log_format")
        self._shown = _names_in(template) if isinstance(template, str) else frozenset()

    def text(self, *, colour: bool) -> bytes:
        """
        Return the line for people in UTF-8, with a newline at its end.

        It has time, level, logger, message, and the fields that are not in the message.  Control
        characters are escaped, so that a client's text cannot move the cursor, and continuation
        lines are indented, so that a client's text cannot imitate a log line.

        :param colour: spell the level with the colours of a terminal.
        """
        record = self.record
        rest = "".join(
            f" {name}={_shown_value(value)}"
            for name, value in record.items()
            if name not in _STANDARD and name not in self._shown
        )
        level = f"{record[LEVEL]:8}"
        if colour:
            level = f"{_COLOURS.get(str(record[LEVEL]), '')}{level}\x1b[0m"
        logger = str(record[LOGGER]).removeprefix("edge_twisted.")
        body = _visible(f"{record[MESSAGE]}{rest}")
        if FAILURE in record:
            body = f"{body}\n{_visible(str(record[FAILURE]).rstrip())}"
        body = body.replace("\n", "\n    ")
        return f"{record[TIME]} {level} {logger}: {body}\n".encode("utf-8", "backslashreplace")


_COLOURS: Final = {
    "critical": "\x1b[1;31m",
    "error": "\x1b[31m",
    "warning": "\x1b[33m",
    "info": "\x1b[32m",
    "debug": "\x1b[36m",
    "verbose": "\x1b[2m",
}


def record_of(event: LogEvent, level: str) -> Record:
    """
    Return the record of an event, field name -> value.

    :param level: the level of the event as lines spell it.
    """
    record: Record = {
        TIME: rfc3339(event.get("log_time") or 0.0),
        LEVEL: level,
        MESSAGE: _message(event),
        LOGGER: event.get("log_namespace") or "-",
    }
    dropped = _LEGACY if "isError" in event else frozenset()
    for name, value in event.items():
        if name.startswith("log_") or name in dropped:
            continue
        record[f"{name}_" if name in _STANDARD else name] = value
    failure = event.get("log_failure")
    if failure is None and "isError" in event:
        failure = event.get("failure")
        if isinstance(failure, Failure):
            # `twisted.python.log.err` has put the traceback into the message as well.
            record[MESSAGE] = safe_str(event.get("why") or failure.value)
    if isinstance(failure, Failure):
        record[FAILURE] = _traceback(failure)
    return record


def encode(record: Record) -> bytes:
    """Return a record as one line of JSON in UTF-8 with a newline; values may be of any type."""
    try:
        return orjson.dumps(record, default=_plain, option=_JSON)
    except (TypeError, ValueError, RecursionError):
        # Fields with a lone surrogate, an integer beyond 64 bits or a cycle become text.
        spelled = {_text(name): _encodable(value) for name, value in record.items()}
        return orjson.dumps(spelled, default=_plain, option=_JSON)


# -- inner ------------------------------------------------------------------------------------


def _message(event: LogEvent) -> str:
    template = event.get("log_format")
    # Python's own formatting is ten times as fast; only calls in a template need Twisted's.
    if isinstance(template, str) and "()" not in template:
        try:
            return template.format_map(event)
        except Exception:
            # Twisted's formatter returns a text that names what could not be formatted.
            return formatEvent(event)
    return formatEvent(event)


def _traceback(failure: Failure) -> str:
    try:
        return str(failure.getTraceback())
    except Exception:
        return f"{safe_str(failure.type)}: {safe_str(failure.value)} (no traceback to be had)"


def _plain(value: object) -> object:
    """Convert a value that orjson cannot encode."""
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    return _text(safe_str(value))


def _encodable(value: object) -> object:
    try:
        orjson.dumps(value, default=_plain, option=_JSON)
    except (TypeError, ValueError, RecursionError):
        return _text(safe_str(value))
    return value


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def _cut(record: Record, characters: int) -> Record:
    kept = list(record.items())[: MAX_CUT_FIELDS + len(_STANDARD)]
    if FAILURE in record:
        kept.append((FAILURE, record[FAILURE]))
    return {name[:_MAX_NAME_CHARACTERS]: _cut_value(value, characters) for name, value in kept}


def _cut_value(value: object, characters: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    if len(text) <= characters:
        return text
    half = characters // 2
    return f"{text[:half]} ... {len(text) - 2 * half} characters cut ... {text[-half:]}"


@lru_cache(maxsize=1024)  # templates come from code
def _names_in(template: str) -> frozenset[str]:
    """Return the names of the fields in a message template."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError:
        return frozenset()
    return frozenset(re.split(r"[.\[(]", name, maxsplit=1)[0] for _, name, _, _ in parsed if name)


def _shown_value(value: object) -> str:
    text = value if isinstance(value, str) else _json_text(value)
    return text if _PLAIN_VALUE.fullmatch(text) else _json_text(text)


def _json_text(value: object) -> str:
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError, RecursionError):
        return safe_str(value)


def _visible(text: str) -> str:
    return _CONTROL.sub(_spelled_out, text)


def _spelled_out(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]
