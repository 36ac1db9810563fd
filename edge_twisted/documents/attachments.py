# SPDX-License-Identifier: Apache-2.0
"""
Attachment tokens: the objects in documents that refer to attachments.

A token has exactly three keys: ``{"id": <SHA-256, base64url>, "len": <bytes>, "metadata": {...}}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from edge_twisted.documents.values import Operand

#: Base64url of a SHA-256 without padding.
_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_KEYS: Final = frozenset({"id", "len", "metadata"})


def is_token(value: Operand) -> bool:
    """Return whether a value is an attachment token: `id`, `len` and `metadata`, well-formed."""
    if not isinstance(value, dict) or value.keys() != _KEYS:
        return False
    name, length, metadata = value["id"], value["len"], value["metadata"]
    return (
        isinstance(name, str)
        and _ID.fullmatch(name) is not None
        and isinstance(length, int)
        and not isinstance(length, bool)
        and length >= 0
        and isinstance(metadata, dict)
        and all(isinstance(each, str) for each in metadata.values())
    )


def tokens_in(value: Operand) -> Iterator[str]:
    """Yield the ids of all attachment tokens in a value, at any depth, in no particular order."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if is_token(each):
                yield str(each["id"])
            else:
                waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
