# SPDX-License-Identifier: Apache-2.0
"""Requests that can be read in two ways, and others that are none: all are refused."""

from __future__ import annotations

import json

import pytest

from tests.support.wire import MemorySite

H = b"Host: x\r\n"
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

#: Status -> the code that stands for it; other statuses have more than one code.
CODES = {
    400: "malformed_request",
    417: "expectation_failed",
    431: "headers_too_large",
    501: "transfer_coding_unknown",
    505: "http_version_unknown",
}
#: What it is, the bytes, and the status.
MALFORMED: list[tuple[str, bytes, int]] = [
    # -- lengths
    ("both lengths", b"POST /echo HTTP/1.1\r\n" + H
     + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("both lengths, the other way", b"POST /echo HTTP/1.1\r\n" + H
     + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    ("differing lengths", b"POST /echo HTTP/1.1\r\n" + H
     + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    ("the same length twice", b"POST /echo HTTP/1.1\r\n" + H
     + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
    *[(f"length {text!r}", b"POST /echo HTTP/1.1\r\n" + H
       + b"Content-Length: " + text + b"\r\n\r\nabcde", 400)
      for text in (b"+5", b"-5", b"5, 5", b"5,5", b"0x5", b"5a", b"", b"5 5", b"1e1", b"5.0",
                   b"\xb2", b"18446744073709551616", b"99999999999999999999999", b"\"5\"")],
    # -- transfer codings
    *[(f"coding {text!r}", b"POST /echo HTTP/1.1\r\n" + H
       + b"Transfer-Encoding: " + text + b"\r\n\r\n0\r\n\r\n", status)
      for text, status in (
          (b"gzip", 400), (b"identity", 400), (b"xchunked", 400), (b"chunked, gzip", 400),
          (b"chunked, chunked", 400), (b"gzip, chunked", 501), (b"\"chunked\"", 400),
          (b"chunked;q=1", 400), (b"", 400), (b", chunked", 501), (b"chunked,", 400))],
    ("two codings", b"POST /echo HTTP/1.1\r\n" + H
     + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    ("coding hidden by a tab", b"POST /echo HTTP/1.1\r\n" + H
     + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400),
    ("coding after a vertical tab", b"POST /echo HTTP/1.1\r\n" + H
     + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("coding under 1.0", b"POST /echo HTTP/1.0\r\n" + H
     + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    # -- chunks
    *[(f"chunks {text!r}", CHUNKED + text, 400) for text in (
        b"x\r\n", b"\r\n", b"-1\r\n", b"+3\r\nabc\r\n", b"0x3\r\nabc\r\n", b" 3\r\nabc\r\n",
        b"3 \r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n", b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"3\rabc", b"3\r\nabc\n0\r\n\r\n", b"3\r\nabc\r0\r\n\r\n", b"fffffffff\r\n",
        b"3;\r\nabc\r\n",
        b"3;a=\"\r\nabc\r\n", b"3;a\x00\r\nabc\r\n", b"3" + b";a" * 200 + b"\r\nabc\r\n",
        b"1" * 400, b"0\r\nno colon\r\n\r\n", b"0\r\nA : b\r\n\r\n",
        b"0\r\nContent-Length: 1\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n", b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\nHost: y\r\n\r\n",
        b"0\r\nA: \x01\r\n\r\n", b"0\r\nA: b\n\r\n", b"3_0\r\n")],
    ("a trailer without end", CHUNKED + b"0\r\n" + b"A: b\r\n" * 4000, 431),
    # -- lines and fields
    ("LF alone", b"GET /echo HTTP/1.1\nHost: x\n\n\r\n\r\n", 400),
    ("LF alone after a field", b"GET /echo HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
    ("CR alone", b"GET /echo HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", 400),
    ("CR alone in a value", b"GET /echo HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400),
    ("CR alone in the target", b"GET /echo\rx HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("a folded line", b"GET /echo HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
    ("a folded line, by tab", b"GET /echo HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", 400),
    ("a folded first line", b"GET /echo HTTP/1.1\r\n A: b\r\nHost: x\r\n\r\n", 400),
    ("a blank before the colon", b"GET /echo HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    ("no colon", b"GET /echo HTTP/1.1\r\nHost: x\r\nabc\r\n\r\n", 400),
    ("no name", b"GET /echo HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", 400),
    *[(f"a name with {text!r}", b"GET /echo HTTP/1.1\r\nHost: x\r\nA" + text + b": b\r\n\r\n", 400)
      for text in (b"\x00", b"(", b",", b"@", b"[", b"\x7f", b"\xe9", b" b", b"\"")],
    *[(f"a value with {text!r}", b"GET /echo HTTP/1.1\r\nHost: x\r\nA: b" + text + b"\r\n\r\n", 400)
      for text in (b"\x00", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1f", b"\x7f")],
    # -- the request line
    ("HTTP/0.9", b"GET /echo\r\n\r\n", 400),
    ("two blanks", b"GET  /echo HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("two blanks before the version", b"GET /echo  HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("a tab", b"GET\t/echo HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("a blank at the end", b"GET /echo HTTP/1.1 \r\n" + H + b"\r\n", 400),
    ("a blank at the beginning", b" GET /echo HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("a blank in the target", b"GET /ec ho HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("no target", b"GET HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("a method that is no word", b"GE(T /echo HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("a method in lower case", b"get /echo HTTP/1.1\r\n" + H + b"\r\n", 405),
    *[(f"version {text!r}", b"GET /echo " + text + b"\r\n" + H + b"\r\n", status)
      for text, status in (
          (b"HTTP/2.0", 505), (b"HTTP/1.2", 505), (b"HTTP/0.9", 505), (b"HTTP/9.9", 505),
          (b"HTTP/1", 400), (b"HTTP/1.10", 400), (b"HTTP/1,1", 400), (b"http/1.1", 400),
          (b"HTTPS/1.1", 400), (b"HTTP/1.1x", 400), (b"HTTP/+1.1", 400), (b"ICE/1.1", 400))],
    ("HTTP/2 with prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    *[(f"target {text!r}", b"GET " + text + b" HTTP/1.1\r\n" + H + b"\r\n", 400)
      for text in (b"echo", b"*", b"ftp://x/echo", b"http:///echo", b"http://", b"x:80",
                   b"/echo#part", b"/e\x01cho", b"/e\x7fcho", b"/e\x00cho", b"/\xc3\xa9cho",
                   b"/e%zz",
                   b"/e%", b"/e%2", b"/e%00cho", b"http://u:p@x/echo", b"\\echo", b"?a=b")],
    ("CONNECT", b"CONNECT x:443 HTTP/1.1\r\n" + H + b"\r\n", 400),
    # -- Host
    ("no Host", b"GET /echo HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", b"GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    ("the same Host twice", b"GET /echo HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    *[(f"Host {text!r}", b"GET /echo HTTP/1.1\r\nHost: " + text + b"\r\n\r\n", 400)
      for text in (b"", b"x y", b"x/y", b"x,y", b"u@x", b"x:", b"x:a", b"x:999999", b"[::1", b"x?",
                   b"http://x", b"[x]", b"\xe9", b"x#", b"x:80:80")],
    # -- others
    ("two Authorizations", b"GET /echo HTTP/1.1\r\n" + H
     + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400),
    ("two Content-Types", b"POST /echo HTTP/1.1\r\n" + H
     + b"Content-Type: a/b\r\nContent-Type: a/c\r\nContent-Length: 0\r\n\r\n", 400),
    ("another expectation", b"POST /echo HTTP/1.1\r\n" + H
     + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", 417),
    ("too large a head", b"GET /echo HTTP/1.1\r\n" + H + b"A: " + b"b" * 17_000 + b"\r\n\r\n", 431),
    ("a head without end", b"GET /echo HTTP/1.1\r\n" + H + b"A: " + b"b" * 17_000, 431),
    ("too large a target", b"GET /" + b"e" * 17_000 + b" HTTP/1.1\r\n", 431),
    ("too many fields", b"GET /echo HTTP/1.1\r\n" + H + b"a:b\r\n" * 600 + b"\r\n", 431),
    ("TLS on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ("noise", b"\x00\xff\xfe\r\n\r\n", 400),
    ("two empty lines", b"\r\n\r\nGET /echo HTTP/1.1\r\n" + H + b"\r\n", 400),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "status"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED]
)
def test_it_is_refused(data: bytes, status: int) -> None:
    """With the error's JSON, an id, an end of the connection, and a note to observers."""
    memory = MemorySite()
    peer = memory.connect()
    answer = peer.send(data + b"GET /echo?smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nX-Request-Id: test0000" in head
    error = json.JSONDecoder().raw_decode(body.decode())[0]["error"]
    assert error["code"] == CODES.get(status, error["code"])
    assert error["description"]
    (*_, finished) = (f for f in memory.notes.finished if f.status == status)
    assert finished.error == error["code"]
    assert finished.request.id.encode() in head
    if status != 405:
        assert b"\r\nConnection: close" in head
        assert peer.transport.is_ending()
        assert b"smuggled" not in answer
        assert answer.count(b"X-Request-Id") == 1
        assert peer.send(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n") == b""


FINE: list[tuple[str, bytes, bytes]] = [
    ("one empty line before", b"\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /echo  "),
    ("blanks around a value", b"GET /echo HTTP/1.1\r\nHost:\t x \t\r\n\r\n", b"GET /echo  "),
    ("a query", b"GET /echo?a=%zz&b HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /echo a=%zz&b "),
    ("an escaped path", b"GET /%65cho HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /echo  "),
    ("HTTP/1.0 without Host", b"GET /echo HTTP/1.0\r\n\r\n", b"GET /echo  "),
    ("an absolute target", b"GET http://x/echo?q HTTP/1.1\r\nHost: y\r\n\r\n", b"GET /echo q "),
    ("an upgrade that is not granted", b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
     b"UPGRADE: h2c\r\nContent-Length: 2\r\n\r\nab", b"POST /echo  ab"),
    ("chunks", CHUNKED + b"3\r\nabc\r\n00a;x=\"y;\\\"\";z\r\n0123456789\r\n0\r\nA: b\r\n\r\n",
     b"POST /echo  abc0123456789"),
    ("Host with port", b"GET /echo HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", b"GET /echo  "),
    ("Latin-1 in a value", b"GET /echo HTTP/1.1\r\nHost: x\r\nA: \xe9\r\n\r\n", b"GET /echo  "),
    ("a field twice", b"GET /echo HTTP/1.1\r\nHost: x\r\nA: 1\r\nA: 2\r\n\r\n", b"GET /echo  "),
    ("an empty value", b"GET /echo HTTP/1.1\r\nHost: x\r\nA:\r\n\r\n", b"GET /echo  "),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "body"), [case[1:] for case in FINE], ids=[case[0] for case in FINE]
)
def test_it_is_answered(data: bytes, body: bytes) -> None:
    """What is merely unusual is not refused."""
    peer = MemorySite().connect()
    answer = peer.send(data)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.partition(b"\r\n\r\n")[2] == body
