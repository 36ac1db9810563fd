# SPDX-License-Identifier: Apache-2.0
"""
Removes secrets from lines: a fast search, then replacement in suspicious lines.

The search runs on the encoded JSON and may have false positives; the replacement runs on each
decoded text, so it never breaks the encoding.  Both use RE2, whose time is linear in the line
whatever a client put into it: a search costs 0.4 us per line where ``re`` takes 35.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, cast
from urllib.parse import quote

import orjson
import re2
from attrs import fields, has

from edge_twisted.config.model import Secret
from edge_twisted.logs.fields import LEVEL, PUBLISHED, TIME

REDACTED: Final = "<redacted>"

#: Shorter secrets are not searched for: they would match parts of ordinary words.
MIN_SECRET_LENGTH: Final = 6

#: Names whose values are secrets: as fields, as keys of nested objects, and before ``=`` or ``:``.
SECRET_NAMES: Final = frozenset(
    {
        "access_token", "api_key", "api-key", "apikey", "auth_token", "authorization", "credential",
        "key_b64", "license_token", "offline_license_token", "passwd", "password", "private_key",
        "refresh_token", "secret", "x-api-key",
    }
)  # fmt: skip

# The longest first: alternatives are tried in their order.
_NAMES = "|".join(sorted((re2.escape(name) for name in SECRET_NAMES), key=len, reverse=True))

#: Patterns that are replaced in decoded texts; the group of a pattern is kept.
_REPLACED: Final = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
    rf"((?i:(?:(?:{_NAMES})[\"']?\s*[:=]\s*|\btoken=)(?:(?:bearer|basic)\s+)?))"
    r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s\"',;&}\]]+)",
    r"((?i:\bbearer(?:\s|%20|\+)+))[A-Za-z0-9._~+/=-]{6,}",
    r"edge_[0-9A-Za-z]{11}_[0-9A-Za-z]+",  # our own API keys
    r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*",  # JSON web tokens
    r"(://[^/\s:@]+:)[^@/\s]+@",  # the password of a URL
)
#: Patterns that make an encoded line suspicious: one for each pattern above, as JSON spells it.
_SUSPICIOUS: Final = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY",
    rf"(?i:(?:{_NAMES})\\?[\"']?(?:\s|\\[nrt])*[:=])",
    r"(?i:\btoken=)",
    r"(?i:bearer(?:\s|\\[nrt]|%20|\+))",
    r"edge_[0-9A-Za-z]{11}_",
    r"eyJ[A-Za-z0-9_-]{10,}\.",
    r"://[^/\s:@\"]+:[^@/\s\"]+@",
)


class Redactor:
    """
    Finds and replaces secrets.  Safe to use from any thread, apart from `add`.

    Two kinds of secrets are found: texts that were registered with `add`, wherever they appear, and
    texts that look like secrets (keys, tokens, PEM private keys, values of `SECRET_NAMES`).
    """

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._compile()

    def add(self, *secrets: str) -> None:
        """Register secret texts; texts shorter than `MIN_SECRET_LENGTH` are ignored."""
        new = {each for each in secrets if len(each) >= MIN_SECRET_LENGTH} - self._secrets
        if new:
            self._secrets |= new
            self._compile()

    def add_all_of(self, value: object) -> None:
        """Register every `Secret` inside a configuration, or any part of one."""
        self.add(*(secret.reveal() for secret in _secrets_in(value)))

    def suspects(self, encoded: bytes) -> bool:
        """
        Return whether JSON in UTF-8, of one line or many, may hold a secret.

        True may be wrong, so clean what it is true of; False never is.
        """
        return self._search.search(encoded) is not None

    def clean(self, value: object) -> object:
        """
        Return a decoded JSON value with `REDACTED` in place of secrets.

        All values of `SECRET_NAMES` are secrets, besides the registered texts.
        """
        match value:
            case str():
                return self.clean_text(value)
            case list():
                return [self.clean(item) for item in value]
            case dict():
                return {
                    self.clean_text(key): REDACTED if is_secret_name(key) else self.clean(item)
                    for key, item in value.items()
                }
            case _:
                return value

    def clean_record(self, record: dict[str, object]) -> dict[str, object]:
        """
        Return the decoded record of a line, field name -> value, with its secrets replaced.

        Published field names, time and level are kept, even if a secret equals one of them.
        """
        cleaned = {}
        for name, value in record.items():
            if name in (TIME, LEVEL):
                cleaned[name] = value
            elif name in PUBLISHED:
                cleaned[name] = self.clean(value)
            else:
                cleaned |= cast("dict[str, object]", self.clean({name: value}))
        return cleaned

    def clean_text(self, text: str) -> str:
        """Return a text with `REDACTED` in place of each registered secret."""
        replaced: str = self._replace.sub(_kept, text)
        return replaced

    def clean_lines(self, lines: bytes) -> bytes:
        """
        Return JSON lines, bytes in UTF-8, with their secrets replaced.

        Lines without secrets are returned as they are, after one quick search.
        """
        if not self.suspects(lines):
            return lines
        return b"".join(
            orjson.dumps(self.clean_record(orjson.loads(line)), option=orjson.OPT_APPEND_NEWLINE)
            if self.suspects(line)
            else line
            for line in lines.splitlines(keepends=True)
        )

    # -- inner

    def _compile(self) -> None:
        # The longest first, because one secret may begin with another.
        spelled = sorted({s for each in self._secrets for s in _spellings(each)}, key=len)[::-1]
        literals = [re2.escape(each) for each in spelled]
        escaped = [re2.escape(_json_escaped(each)) for each in spelled]
        self._replace = re2.compile("|".join([*literals, *_REPLACED]))
        self._search = re2.compile("|".join([*escaped, *_SUSPICIOUS]).encode())


def is_secret_name(name: str) -> bool:
    """Return whether the value of a field of this name is a secret, by `SECRET_NAMES`."""
    return name.lower() in SECRET_NAMES


def _kept(match: Any) -> str:
    """Return the replacement of a match: its non-empty group, if any, and `REDACTED`."""
    kept = next((group for group in match.groups() if group), "")
    return f"{kept}{REDACTED}" + ("@" if kept.startswith("://") else "")


def _spellings(secret: str) -> set[str]:
    """Return the spellings of a secret: as it is, in a URL, quoted by Python, quoted by JSON."""
    return {secret, quote(secret, safe=""), repr(secret)[1:-1], _json_escaped(secret)}


def _json_escaped(text: str) -> str:
    # Like orjson, which escapes only what must be escaped.
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _secrets_in(value: object) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _secrets_in(item)
    elif has(kind := type(value)):
        for attribute in fields(kind):
            yield from _secrets_in(getattr(value, attribute.name))
