# SPDX-License-Identifier: Apache-2.0
"""What a reader keeps of a connection that is idle, of which there may be thousands."""

from __future__ import annotations

import gc

import pytest

from edge_twisted.api.wire.head import REMEMBERED_BYTES
from edge_twisted.api.wire.reader import RequestReader

BODY = b"x" * 60_000
LONG = b"A: %b\r\n" % (b"y" * 12_000)


def kept(reader: RequestReader) -> int:
    """Return how many bytes of the connection are reached from a reader."""
    seen: dict[int, object] = {}
    ahead: list[object] = [reader]
    while ahead:
        each = ahead.pop()
        if id(each) in seen or isinstance(each, type):
            continue
        seen[id(each)] = each
        ahead.extend(gc.get_referents(each))
    return sum(len(each) for each in seen.values() if isinstance(each, bytes))


def head(*lines: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\n%b\r\n" % b"".join(lines)


def taken(*pieces: bytes) -> RequestReader:
    """Return a reader from which all of one request was taken as it arrived."""
    reader = RequestReader(16_384)
    has_begun = False
    for piece in pieces:
        reader.receive(piece)
        if not has_begun:
            has_begun = reader.next_head() is not None
            if reader.whole_body() is not None:
                continue
        while has_begun and reader.next_piece():
            pass
    assert has_begun
    assert reader.is_body_complete
    assert not reader.buffered
    return reader


@pytest.mark.parametrize(
    "pieces",
    [
        [head()],
        [head(LONG)],
        [head(b"Content-Length: 60000\r\n") + BODY],
        [head(b"Content-Length: 60000\r\n"), BODY],
        [head(LONG, b"Content-Length: 60000\r\n"), BODY[:100], BODY[100:]],
        [head(LONG, b"Transfer-Encoding: chunked\r\n") + b"ea60\r\n%b\r\n0\r\n\r\n" % BODY],
    ],
)
def test_little_is_kept_of_what_was_taken(pieces: list[bytes]) -> None:
    # The last head, its two halves, its fields.
    assert kept(taken(*pieces)) < 4 * REMEMBERED_BYTES


def test_what_follows_is_kept() -> None:
    reader = RequestReader(16_384)
    request = head(b"Content-Length: 3\r\n") + b"abc"
    reader.receive(request * 3 + head(LONG)[:-2])
    for _ in range(3):
        assert reader.next_head() is not None
        assert reader.whole_body() == b"abc"
    assert reader.next_head() is None
    reader.receive(b"\r\n")
    last = reader.next_head()
    assert last is not None
    assert len(last.fields[b"a"]) == 12_000
