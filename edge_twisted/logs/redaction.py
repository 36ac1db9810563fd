# SPDX-License-Identifier: Apache-2.0
"""
Secrets out of lines, in two steps: one fast search over the encoded line, and, only for a line that
looks as if it held a secret, a replacement in each of its texts.

The search runs on encoded JSON and may cry wolf; the replacement runs on decoded texts, so it never
breaks a line's encoding.  Both are RE2: linear in the line whatever a client put into it, and a
search of the alternatives below costs 0.4 us per line where ``re`` takes 35.
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

#: A registered secret shorter than this is not searched for: it would turn up in ordinary words.
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

#: What is replaced in a text; a group is what stays of it.
_REPLACED: Final = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
    rf"((?i:(?:(?:{_NAMES})[\"']?\s*[:=]\s*|\btoken=)(?:(?:bearer|basic)\s+)?))"
    r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s\"',;&}\]]+)",
    r"((?i:\bbearer(?:\s|%20|\+)+))[A-Za-z0-9._~+/=-]{6,}",
    r"edge_[0-9A-Za-z]{11}_[0-9A-Za-z]+",  # our own API keys
    r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*",  # JSON web tokens
    r"(://[^/\s:@]+:)[^@/\s]+@",  # the password of a URL
)
#: What makes an encoded line suspicious: whatever encoding leaves of each pattern above.
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
    Knows what is secret, and takes it out.  Reading is safe from any thread.

    Two kinds of secrets are known: texts that were registered with `add`, wherever they appear, and
    what looks like one (keys, tokens, PEM private keys, values of `SECRET_NAMES`).
    """

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._compile()

    def add(self, *secrets: str) -> None:
        """Register texts that must never be shown; those under `MIN_SECRET_LENGTH` are ignored."""
        new = {each for each in secrets if len(each) >= MIN_SECRET_LENGTH} - self._secrets
        if new:
            self._secrets |= new
            self._compile()

    def add_all_of(self, value: object) -> None:
        """Register every `Secret` inside a configuration, or any part of one."""
        self.add(*(secret.reveal() for secret in _secrets_in(value)))

    def suspects(self, encoded: bytes) -> bool:
        """Tell whether JSON, any number of lines of it, may hold a secret."""
        return self._search.search(encoded) is not None

    def clean(self, value: object) -> object:
        """Return decoded JSON with its secrets replaced, values under a secret's name included."""
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
        Return the decoded record of a line with its secrets replaced.

        Its published names stay, and its time and level: a secret may happen to be ``message``.
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
        """Return a text with its secrets replaced."""
        replaced: str = self._replace.sub(_kept, text)
        return replaced

    def clean_lines(self, lines: bytes) -> bytes:
        """Return JSON lines with their secrets replaced; cheap when there are none."""
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
        # A longer secret first, for one may begin with another.
        spelled = sorted({s for each in self._secrets for s in _spellings(each)}, key=len)[::-1]
        literals = [re2.escape(each) for each in spelled]
        escaped = [re2.escape(_json_escaped(each)) for each in spelled]
        self._replace = re2.compile("|".join([*literals, *_REPLACED]))
        self._search = re2.compile("|".join([*escaped, *_SUSPICIOUS]).encode())


def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name holds a secret."""
    return name.lower() in SECRET_NAMES


def _kept(match: Any) -> str:
    """Return what replaces a match: its one group that took part, if any, and the mark."""
    kept = next((group for group in match.groups() if group), "")
    return f"{kept}{REDACTED}" + ("@" if kept.startswith("://") else "")


def _spellings(secret: str) -> set[str]:
    """Return how a secret is spelled: as it is, in a URL, and quoted by Python or by JSON."""
    return {secret, quote(secret, safe=""), repr(secret)[1:-1], _json_escaped(secret)}


def _json_escaped(text: str) -> str:
    # As orjson writes it: only what must be escaped.
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
