# SPDX-License-Identifier: Apache-2.0
"""Whatever comes over a connection, however it is cut: the answers are the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from attrs import asdict
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_twisted.api.errors import HttpError
from edge_twisted.api.wire.chunks import ChunkDecoder
from edge_twisted.api.wire.head import HeadMemory, RequestHead, parse_head
from tests.support.wire import MemorySite
from tests.unit.api.wire.test_malformed import FINE, MALFORMED

_VARIES = re.compile(rb"Date: [^\r]*\r\n")

_field = st.sampled_from(
    [
        b"Host: x", b"Host: y:80", b"Content-Length: 3", b"Content-Length: 0",
        b"Content-Length: +3",
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: close", b"A: b",
        b"Connection: keep-alive", b"Expect: 100-continue", b"A : b", b" folded", b"A: \x00", b"",
        b"Content-Length: 70000", b"Upgrade: h2c", b"Connection: upgrade",
    ]
)  # fmt: skip
_line = st.sampled_from(
    [
        b"GET /echo HTTP/1.1", b"POST /echo HTTP/1.1", b"POST /nothing HTTP/1.1",
        b"HEAD /give HTTP/1.1",
        b"GET /give HTTP/1.1", b"GET /echo HTTP/1.0", b"POST http://x/echo HTTP/1.1", b"get /echo",
        b"DELETE /echo HTTP/1.1", b"GET  /echo HTTP/1.1",
    ]
)  # fmt: skip
_body = st.sampled_from(
    [
        b"",
        b"abc",
        b"3\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"0\r\nA: b\r\n\r\n",
        b"zz\r\n",
    ]
)
_ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])


@st.composite
def _request(draw: st.DrawFn) -> bytes:
    lines = [draw(_line), b"Host: x", *draw(st.lists(_field, max_size=4))]
    return b"".join(line + draw(_ends) for line in lines) + b"\r\n" + draw(_body)


_stream = st.one_of(
    st.lists(_request(), min_size=1, max_size=4).map(b"".join),
    st.lists(st.sampled_from([case[1] for case in FINE]), max_size=4).map(b"".join),
    st.binary(max_size=200),
    st.sampled_from([case[1] for case in MALFORMED if len(case[1]) < 1000]),
)


def _answers(pieces: list[bytes]) -> tuple[bytes, bool]:
    """Return all that a fresh site answers, and whether it ends the connection."""
    memory = MemorySite()
    peer = memory.connect()
    for piece in pieces:
        peer.server.dataReceived(piece)
    memory.clock.pump([0, 0])
    # A client whose body is late is told that it can send it.
    told = peer.received().replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    return _VARIES.sub(b"", told), peer.transport.is_ending()


def _cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[a:b] for a, b in pairwise(places)]


@settings(deadline=None, max_examples=150)
@given(_stream, st.lists(st.integers(min_value=0, max_value=1000), max_size=8))
@example(b"\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n", [1])
def test_cuts_do_not_matter(stream: bytes, cuts: list[int]) -> None:
    """Any split of the bytes gives the same answers, the splits into single bytes included."""
    assert _answers(_cut(stream, cuts)) == _answers([stream])


@settings(deadline=None, max_examples=60)
@given(_stream)
def test_single_bytes(stream: bytes) -> None:
    """The hardest cut of all."""
    single = [stream[at : at + 1] for at in range(len(stream))]
    assert _answers(single) == _answers([stream])


_framing = st.sampled_from(
    [
        b"Content-Length: %b", b"content-LENGTH:%b ", b"Content-Length:\t%b\t",
        b"X: Content-Length: %b", b"Transfer-Encoding: %b", b"Content-Length : %b", b"A: b%b",
    ]
)  # fmt: skip
_value = st.sampled_from(
    [
        b"0", b"7", b"12", b"0007", b"+3", b"-1", b"", b" ", b"1 2", b"1,2", b"9" * 15, b"9" * 16,
        b"9" * 30, b"1\r\nContent-Length: 1", b"1\r\nA: b", b"1\n", b"\xb2", b"chunked",
    ]
)  # fmt: skip
_more = st.sampled_from([b"", b"A: b\r\n", b"Content-Length: 3\r\n", b"Connection: close\r\n"])


@settings(deadline=None, max_examples=400)
@given(_line, _more, _framing, st.lists(_value, min_size=2, max_size=5), _more)
def test_a_remembered_head_is_understood_as_a_new_one(
    line: bytes, before: bytes, framing: bytes, values: list[bytes], after: bytes
) -> None:
    memory = HeadMemory()
    for value in values:
        head = b"%b\r\nHost: x\r\n%b%b\r\n%b\r\n" % (line, before, framing % value, after)
        head = head[: head.index(b"\r\n\r\n") + 4]
        assert _understood(memory.parse, head) == _understood(parse_head, head)


def _understood(parse: Callable[[bytes], RequestHead], head: bytes) -> object:
    try:
        parsed = parse(head)
    except HttpError as error:
        return type(error), str(error)
    assert {name: parsed.headers.get(name) for name in parsed.headers} == {
        name.decode("latin-1"): value.decode("latin-1") for name, value in parsed.fields.items()
    }
    return asdict(parsed, filter=lambda attribute, _: attribute.name != "headers")


@settings(deadline=None, max_examples=150)
@given(st.lists(st.binary(min_size=1, max_size=400), max_size=5))
def test_chunks_come_out_as_they_went_in(pieces: list[bytes]) -> None:
    coded = b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    decoder = ChunkDecoder(100)
    decoded, at = decoder.decode(coded + b"next", 0)
    assert b"".join(decoded) == b"".join(pieces)
    assert decoder.is_done
    assert at == len(coded)


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=60))
def test_broken_chunks_raise_nothing_but_refusals(data: bytes) -> None:
    decoder = ChunkDecoder(100)
    try:
        _, at = decoder.decode(b"3\r\nabc\r\n" + data, 0)
    except HttpError:
        return
    assert at == len(data) + 8 or decoder.is_done
