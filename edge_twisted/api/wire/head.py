# SPDX-License-Identifier: Apache-2.0
"""
Parses and checks the head of a request: the request line and the header fields.  Pure.

`httptools` (llhttp) splits the fields and refuses what request smuggling uses: bare CR or LF,
folded lines, blanks before a colon, control characters, and a Content-Length that is no plain
number, comes twice, or comes with a Transfer-Encoding.  This module checks what llhttp leaves open
(RFC 9112): single blanks in the request line, the HTTP version, Host, transfer codings other than
chunked, Transfer-Encoding under HTTP/1.0, and fields that must not come twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from attrs import define
from httptools import HttpParserError, HttpRequestParser

from edge_twisted.api.errors import (
    ExpectationFailed,
    HeadersTooLarge,
    HttpError,
    HttpVersionUnknown,
    MalformedRequest,
    TransferCodingUnknown,
)
from edge_twisted.api.request import Headers
from edge_twisted.api.wire.target import RequestTarget, target_of

#: Most header fields of a request, as in twisted.web; a browser sends about twenty.
MAX_FIELDS: Final = 500

#: The largest head that a connection remembers, because thousands of connections may be idle.
REMEMBERED_BYTES: Final = 4096

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^\x00-\x20\x7f-\xff]+) (HTTP/.*)")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
#: Matches the field itself only: no value contains a line break, as llhttp refuses folded lines.
_LENGTH_FIELD = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=\r\n)", re.IGNORECASE)
#: Digits of a Content-Length that are surely within what llhttp takes (64 bits).
_SAFE_DIGITS: Final = 15
_UPGRADE = re.compile(rb"\r\nupgrade(?=:)", re.IGNORECASE)
#: Methods that are handed to llhttp unchanged.  llhttp treats some others specially (CONNECT), so
#: it sees POST in their place; the routes decide which methods are answered.
_PLAIN_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
#: Fields that must not come twice: a proxy might obey the one value, and this server the other.
_ONCE = frozenset(
    {
        b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization",
        b"expect", b"origin", b"range", b"if-range", b"x-ditto-txn-id",
        b"access-control-request-method",
    }
)  # fmt: skip


@define(eq=False)
class RequestHead:
    """A request's head that was parsed and has one meaning only."""

    method: str
    target: RequestTarget
    #: Values by lower-case name; values of a name that came more than once are joined by ``", "``.
    fields: Mapping[bytes, bytes]
    #: The same fields in the form that endpoints use.
    headers: Headers
    #: Whether the client speaks HTTP/1.1, not 1.0.
    is_1_1: bool
    #: Whether the client wants to keep the connection open after the response.
    keeps_alive: bool
    #: Length of the body in bytes; None: the body is chunked.
    content_length: int | None
    #: Whether the client waits for 100 Continue, for a while, before it sends the body.
    expects_continue: bool


class _Fields:
    """Collects the header fields that llhttp finds."""

    __slots__ = ("count", "fields", "is_complete", "repeated")

    def __init__(self) -> None:
        self.fields: dict[bytes, bytes] = {}
        self.count = 0
        self.repeated: bytes | None = None
        self.is_complete = False

    # -- httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add one header field; note a second one of a name that may come only once."""
        name = name.lower()
        fields = self.fields
        self.count += 1
        if name not in fields:
            fields[name] = value.strip(b" \t")
        elif name in _ONCE:
            self.repeated = name
        elif self.count <= MAX_FIELDS:
            fields[name] = b"%b, %b" % (fields[name], value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        """Note that llhttp has seen the end of the head."""
        self.is_complete = True


def parse_head(head: bytes) -> RequestHead:
    """
    Parse the bytes of a head, which end with the first empty line.

    :raises HttpError: `head` is malformed, or a request that this server does not take.  Where the
        next request of the connection begins is then unknown: answer the error and close.
    """
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise MalformedRequest("the request line is malformed")
    method, target, version = line.groups()
    is_1_1 = version == b"HTTP/1.1\r"
    if not is_1_1 and version != b"HTTP/1.0\r":
        raise _version_refusal(version)
    parsed = _parsed(method, head)
    fields = parsed.fields
    place = target_of(method, target)
    if place.host is not None:
        # RFC 9112, 3.2.2: the host of an absolute target replaces the Host field.
        fields[b"host"] = place.host
    host = fields.get(b"host")
    if host is None:
        if is_1_1:
            raise MalformedRequest("a request of HTTP/1.1 must have a Host")
    elif _HOST.fullmatch(host) is None:
        raise MalformedRequest("Host is malformed")
    connection = fields.get(b"connection")
    expect = fields.get(b"expect") if is_1_1 else None
    if expect is not None and expect.lower() != b"100-continue":
        raise ExpectationFailed
    return RequestHead(
        method.decode("ascii"),
        place,
        fields,
        Headers(fields),
        is_1_1,
        is_1_1 if connection is None else _keeps_alive(connection, is_1_1),
        _length(fields, is_1_1),
        expect is not None,
    )


class HeadMemory:
    """
    Parses the heads of one connection, and recognizes a repetition of the last one at once.

    A client that keeps its connection sends the same head again and again, apart from the digits of
    Content-Length.  The last head is remembered unless it is larger than `REMEMBERED_BYTES`.  A
    head contains the caller's key, so the memory belongs to one connection and ends with it.
    """

    __slots__ = ("_after", "_before", "_known", "_last")

    def __init__(self) -> None:
        self._last = b""
        self._known: RequestHead | None = None
        #: The last head before and after the digits of its Content-Length; empty without one.
        self._before = self._after = b""

    def parse(self, head: bytes) -> RequestHead:
        """Return what `parse_head` returns for `head`, at once if it repeats the last one.

        :raises HttpError: as `parse_head`: answer the error and close.
        """
        known = self._known
        if known is not None:
            if head == self._last:
                return known
            before, after = self._before, self._after
            if before and head.startswith(before) and head.endswith(after):
                digits = head[len(before) : len(head) - len(after)]
                if digits.isdigit() and len(digits) <= _SAFE_DIGITS:
                    self._last, self._known = head, _with_length(known, digits)
                    return self._known
        parsed = parse_head(head)
        self._before = self._after = b""
        if len(head) > REMEMBERED_BYTES:
            self._last, self._known = b"", None
            return parsed
        self._last, self._known = head, parsed
        found = _LENGTH_FIELD.search(head)
        if found is not None and parsed.content_length is not None:
            self._before, self._after = head[: found.start(1)], head[found.end(1) :]
        return parsed


def _with_length(head: RequestHead, digits: bytes) -> RequestHead:
    """Return a copy of `head` with the Content-Length `digits`."""
    fields = {**head.fields, b"content-length": digits}
    return RequestHead(
        head.method,
        head.target,
        fields,
        Headers(fields),
        head.is_1_1,
        head.keeps_alive,
        int(digits),
        head.expects_continue,
    )


def request_line_of(head: bytes) -> tuple[str, str]:
    """Return (method, path) of a refused head, each empty if it cannot be parsed."""
    line = _REQUEST_LINE.match(head)
    if line is None:
        return "", ""
    try:
        return line[1].decode("ascii"), target_of(line[1], line[2]).path
    except HttpError:
        return line[1].decode("ascii"), ""


def _version_refusal(version: bytes) -> HttpError:
    if version.endswith(b"\r") and _VERSION.fullmatch(version[:-1]):
        return HttpVersionUnknown()
    return MalformedRequest("the request line is malformed")


def _parsed(method: bytes, head: bytes) -> _Fields:
    if method not in _PLAIN_METHODS:
        head = b"POST" + head[len(method) :]
    if b"pgrade" in head or b"PGRADE" in head:
        # A server may ignore Upgrade (RFC 9110, 7.8).  llhttp must not see the field, or it would
        # take the bytes after the head for the other protocol.
        head = _UPGRADE.sub(b"\r\nx-upgrade", head)
    found = _Fields()
    try:
        HttpRequestParser(found).feed_data(head)
    except HttpParserError as error:
        raise MalformedRequest(f"the request is malformed: {error}".strip()) from None
    if not found.is_complete:
        raise MalformedRequest("the header fields are malformed")
    if found.count > MAX_FIELDS:
        raise HeadersTooLarge(f"there are more than {MAX_FIELDS} header fields")
    if found.repeated is not None:
        name = found.repeated.decode("ascii").title()
        raise MalformedRequest(f"{name} must not come twice")
    return found


def _length(fields: Mapping[bytes, bytes], is_1_1: bool) -> int | None:
    coding = fields.get(b"transfer-encoding")
    if coding is None:
        # llhttp accepts nothing but digits here.
        return int(fields.get(b"content-length", b"0"))
    if not is_1_1:
        raise MalformedRequest("HTTP/1.0 has no Transfer-Encoding")
    if b"content-length" in fields:
        raise MalformedRequest("Transfer-Encoding must not come with Content-Length")
    if coding.lower() != b"chunked":
        raise TransferCodingUnknown("only the transfer coding chunked is understood")
    return None


def _keeps_alive(connection: bytes, is_1_1: bool) -> bool:
    options = [option.strip() for option in connection.lower().split(b",")]
    if b"close" in options:
        return False
    return is_1_1 or b"keep-alive" in options
