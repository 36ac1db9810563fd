# SPDX-License-Identifier: Apache-2.0
"""Request targets (RFC 9112, 3.2): the path and the query in them.  Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from attrs import define

from edge_twisted.api.errors import MalformedRequest

_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)([/?].*)?", re.DOTALL)
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


@define
class RequestTarget:
    """The parts of a request target."""

    #: The path with its escapes decoded; begins with a slash, or is ``*``.
    path: str
    #: The query as it was sent, without the question mark.
    query: str
    #: The host and port of an absolute target; None for other forms.
    host: bytes | None = None


def target_of(method: bytes, raw: bytes) -> RequestTarget:
    """Parse the target of a request line into path, query and host.

    `raw` has no blanks, control characters or bytes beyond ASCII; the caller has checked that.

    :raises MalformedRequest: `raw` is malformed, or not a target for `method`.
    """
    host = None
    if not raw.startswith(b"/"):
        if raw == b"*" and method == b"OPTIONS":
            return RequestTarget("*", "")
        absolute = _ABSOLUTE.fullmatch(raw)
        if absolute is None:
            raise MalformedRequest("the request target must be a path")
        host, rest = absolute[1], absolute[2] or b"/"
        raw = rest if rest.startswith(b"/") else b"/" + rest
    if b"#" in raw:
        raise MalformedRequest("a request target has no fragment")
    text, _, query = raw.decode("ascii").partition("?")
    return RequestTarget(_decoded(text) if "%" in text else text, query, host)


def _decoded(path: str) -> str:
    if _BROKEN_ESCAPE.search(path) is not None:
        raise MalformedRequest("the path has a % that begins no escape")
    decoded = unquote(path, errors="replace")
    if "\x00" in decoded:
        raise MalformedRequest("the path has a zero byte")
    return decoded
