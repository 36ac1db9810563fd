# SPDX-License-Identifier: Apache-2.0
"""A connection's requests in order, its limits in time and size, its flow, its end."""

from __future__ import annotations

import json
import re

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from edge_twisted.api.gate import ApiGate, GateRules
from edge_twisted.api.wire.chunks import ChunkDecoder
from edge_twisted.api.wire.connection import LINGER_BYTES, REQUESTS_PER_TURN
from edge_twisted.security.key_ring import KeyRing
from tests.support.wire import Echo, Gives, MemorySite, WireClient

GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"


def post(path: str, body: bytes, *fields: bytes, length: int | None = None) -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: x\r\n" % path.encode()
    lines = b"".join(field + b"\r\n" for field in fields)
    size = len(body) if length is None else length
    return head + lines + b"Content-Length: %d\r\n\r\n" % size + body


def chunked(path: str, *pieces: bytes, end: bool = True) -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + chunks + (b"0\r\n\r\n" if end else b"")


def statuses(data: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


def code(data: bytes) -> str:
    found: str = json.loads(data.rpartition(b"\r\n\r\n")[2])["error"]["code"]
    return found


# -- keep-alive and order


def test_requests_follow_each_other() -> None:
    memory = MemorySite()
    peer = memory.connect()
    for _ in range(3):
        answer = peer.send(GET)
        assert statuses(answer) == [200]
        assert b"Connection" not in answer
    assert not peer.transport.is_ending()
    ids = [finished.request.id for finished in memory.notes.finished]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("request_", "keeps", "says"),
    [
        (b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", False, b"close"),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Foo, CLOSE\r\n\r\n", False, b"close"),
        (b"GET /echo HTTP/1.0\r\n\r\n", False, b"close"),
        (b"GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True, b"keep-alive"),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", True, None),
    ],
)
def test_the_client_says_whether_it_goes_on(
    request_: bytes, keeps: bool, says: bytes | None
) -> None:
    peer = MemorySite().connect()
    answer = peer.send(request_)
    assert statuses(answer) == [200]
    found = re.search(rb"\r\nConnection: ([a-z-]+)\r\n", answer)
    assert (found and found[1]) == says
    assert peer.transport.is_ending() is not keeps
    assert statuses(peer.send(GET)) == ([200] if keeps else [])


def test_pipelined_requests_are_answered_in_order() -> None:
    memory = MemorySite()
    peer = memory.connect()
    answer = peer.send(post("/wait?1", b"a") + post("/echo?2", b"b") + GET)
    assert answer == b""
    assert len(memory.waits.waiting) == 1
    memory.waits.waiting.pop().callback(b"first")
    answer = peer.received()
    assert statuses(answer) == [200, 200, 200]
    assert answer.index(b"first") < answer.index(b"POST /echo 2 b") < answer.index(b"GET /echo")


def test_a_long_queue_lets_others_have_their_turn() -> None:
    memory = MemorySite()
    peer = memory.connect()
    count = 3 * REQUESTS_PER_TURN + 5
    answer = peer.send(GET * count)
    assert len(statuses(answer)) == REQUESTS_PER_TURN
    memory.clock.pump([0] * 4)
    assert len(statuses(answer + peer.received())) == count


def test_whoever_sends_too_much_ahead_is_not_read_from() -> None:
    memory = MemorySite()
    peer = memory.connect()
    peer.send(post("/wait", b"") + GET * 3000)
    assert not peer.transport.is_read_from()
    memory.waits.waiting.pop().callback(b"")
    while memory.clock.getDelayedCalls()[0].getTime() == 0.0:
        memory.clock.advance(0)
    assert len(statuses(peer.received())) == 3001
    assert peer.transport.is_read_from()


@pytest.mark.parametrize("before", range(REQUESTS_PER_TURN + 2))
def test_a_body_at_hand_is_taken_wherever_in_a_queue_it_is(before: int) -> None:
    memory = MemorySite()
    peer = memory.connect()
    answer = peer.send(GET * before + chunked("/echo", b"one", b"two") + GET)
    memory.clock.pump([0] * 3)
    answer += peer.received()
    assert statuses(answer) == [200] * (before + 2)
    assert b"onetwo" in answer


def test_what_a_stranger_sends_along_is_not_looked_at() -> None:
    echo = Echo(route=evolve(Echo().route, needs_key=True))
    memory = MemorySite(gate=ApiGate(GateRules(keys=KeyRing([], lambda _: Deferred()))), echo=echo)
    peer = memory.connect()
    peer.send(chunked("/echo", *[b"x"] * 1000) + GET)
    peer.send(b"1\r\nx\r\n" * 1000)
    memory.clock.advance(0)
    assert statuses(peer.received()) == [401]
    assert [finished.bytes_in for finished in memory.notes.finished] == [0]


def test_small_chunks_are_not_taken_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = ChunkDecoder(100)
    whole = b"1\r\na\r\n" + b"002;x=y\r\nbc\r\n"
    with monkeypatch.context() as patch:
        patch.delattr(ChunkDecoder, "_read_line")
        assert decoder.decode(whole * 3, 0) == ([b"a", b"bc"] * 3, len(whole) * 3)
    assert decoder.decode(b"0\r\n\r\n", 0) == ([], 5)
    assert decoder.is_done


# -- responses


MANY = {
    "an answer": GET,
    "an error": b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
    "a stream": b"GET /give HTTP/1.1\r\nHost: x\r\n\r\n",
    "no request": b"\x16\x03\x01",
}


@pytest.mark.parametrize("request_", MANY.values(), ids=MANY)
def test_no_browser_guesses_what_an_answer_is(request_: bytes) -> None:
    answer = MemorySite().connect().send(request_)
    assert answer.count(b"\r\nX-Content-Type-Options: nosniff\r\n") == 1


@pytest.mark.parametrize("request_", MANY.values(), ids=MANY)
def test_over_tls_a_setting_keeps_browsers_there(request_: bytes) -> None:
    memory = MemorySite(settings={"hsts_max_age_secs": 86400})
    field = b"\r\nStrict-Transport-Security: max-age=86400\r\n"
    assert field in memory.connect(over_tls=True).send(request_)
    assert b"Strict" not in memory.connect().send(request_)
    assert b"Strict" not in MemorySite().connect(over_tls=True).send(request_)


def test_a_refusal_of_head_has_no_body() -> None:
    memory = MemorySite()
    answer = memory.connect().send(b"HEAD * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses(answer) == [400]
    assert answer.endswith(b"\r\n\r\n")
    assert b"\r\nContent-Length: 0\r\n" not in answer
    assert memory.notes.finished[0].bytes_out == 0


def test_head_is_answered_without_body() -> None:
    peer = MemorySite().connect()
    answer = peer.send(b"HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert b"\r\nContent-Length: 12\r\n" in answer
    memory = MemorySite()
    peer = memory.connect()
    answer = peer.send(b"HEAD /give HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
    assert statuses(answer) == [200, 200]
    assert memory.gives.given == 0


def test_a_stream_of_unknown_length_is_chunked() -> None:
    memory = MemorySite()
    peer = memory.connect()
    request = b"GET /give HTTP/1.1\r\nHost: x\r\n\r\n"
    head, _, body = peer.send(request).partition(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert body == b"5\r\nxxxxx\r\n" * 3 + b"0\r\n\r\n"
    assert not peer.transport.is_ending()
    assert memory.notes.finished[0].bytes_out == 15
    old = memory.connect()
    head, _, body = old.send(b"GET /give HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == b"x" * 15
    assert old.transport.is_ending()


def test_a_stream_of_known_length() -> None:
    peer = MemorySite(gives=Gives(announces=True)).connect()
    answer = peer.send(b"GET /give HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
    assert b"\r\nContent-Length: 15\r\n" in answer
    assert statuses(answer) == [200, 200]


def test_a_stream_that_breaks_off_is_seen_to_break_off() -> None:
    memory = MemorySite(gives=Gives(fails_after=1))
    peer = memory.connect()
    answer = peer.send(b"GET /give HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
    assert peer.transport.is_aborted()
    assert answer.endswith(b"5\r\nxxxxx\r\n")
    assert memory.gives.closed == 1


def test_a_stream_waits_for_its_client() -> None:
    memory = MemorySite(gives=Gives(count=10))
    peer = memory.connect()
    peer.server.pauseProducing()
    assert peer.send(b"GET /give HTTP/1.1\r\nHost: x\r\n\r\n") == b"", "not even begun"
    peer.server.resumeProducing()
    assert memory.gives.given == 10


def test_a_client_that_reads_nothing_is_cut_off() -> None:
    memory = MemorySite(settings={"request_timeout_ms": 1000}, gives=Gives(count=10))
    peer = memory.connect()

    write = peer.transport.write

    def write_and_be_full(data: bytes) -> None:
        write(data)
        peer.server.pauseProducing()

    peer.transport.write = write_and_be_full  # type: ignore[method-assign]
    peer.send(b"GET /give HTTP/1.1\r\nHost: x\r\n\r\n")
    assert memory.gives.given == 1
    memory.pass_time(0.9)
    peer.server.resumeProducing()
    memory.pass_time(0.9)
    assert not peer.transport.is_aborted(), "it had made progress"
    memory.pass_time(0.5)
    assert peer.transport.is_aborted()
    peer.leave()
    assert memory.gives.closed == 1


# -- bodies


def test_bodies_of_both_kinds() -> None:
    peer = MemorySite().connect()
    answer = peer.send(post("/echo", b"abc") + chunked("/echo", b"de", b"f") + GET)
    assert statuses(answer) == [200, 200, 200]
    assert b"POST /echo  abc" in answer
    assert b"POST /echo  def" in answer


def test_a_body_has_to_say_how_long_it_is() -> None:
    peer = MemorySite().connect()
    answer = peer.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\n\r\n" + post("/echo", b""))
    assert statuses(answer) == [411, 200]
    assert b"length_required" in answer


def test_the_client_is_told_to_go_on_when_its_body_is_wanted() -> None:
    peer = MemorySite().connect()
    answer = peer.send(post("/echo", b"", b"Expect: 100-continue", length=3))
    assert answer == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert statuses(peer.send(b"abc")) == [200]
    assert statuses(peer.send(post("/echo", b"abc", b"Expect: 100-Continue"))) == [200], "all here"


def test_the_client_is_not_told_to_go_on_when_it_is_refused() -> None:
    peer = MemorySite().connect()
    answer = peer.send(post("/nothing", b"", b"Expect: 100-continue", length=3))
    assert statuses(answer) == [404]
    assert peer.transport.is_ending(), "nobody knows whether the body will come"


@pytest.mark.parametrize("length", [100_001, 10**15])
def test_a_body_that_is_announced_too_large_is_refused_unread(length: int) -> None:
    memory = MemorySite()
    peer = memory.connect()
    answer = peer.send(post("/echo", b"abc", length=length))
    assert statuses(answer) == [413]
    assert code(answer) == "body_too_large"
    assert b"\r\nConnection: close\r\n" in answer
    assert peer.transport.is_half_closed()
    assert memory.notes.finished[0].error == "body_too_large"


def test_chunks_that_become_too_large_are_refused() -> None:
    peer = MemorySite().connect()
    answer = peer.send(chunked("/echo", b"x" * 60_000, end=False))
    assert answer == b""
    answer = peer.send(b"c350\r\n" + b"y" * 50_000 + b"\r\n")
    assert statuses(answer) == [413]
    assert peer.transport.is_ending()


def test_a_small_body_that_nobody_wanted_is_skipped() -> None:
    memory = MemorySite()
    peer = memory.connect()
    answer = peer.send(post("/nothing", b"abc", length=1000))
    assert statuses(answer) == [404]
    assert not peer.transport.is_ending()
    assert peer.send(b"x" * 996) == b""
    assert statuses(peer.send(b"x" + GET)) == [200]
    assert statuses(peer.send(chunked("/nothing", b"abc") + GET)) == [404], (
        "nobody knows its length"
    )
    assert peer.transport.is_ending()


def test_a_large_body_that_nobody_wanted_ends_the_connection() -> None:
    peer = MemorySite().connect()
    answer = peer.send(post("/nothing", b"abc", length=1_000_000))
    assert statuses(answer) == [404]
    assert peer.transport.is_half_closed()
    assert not peer.transport.is_aborted(), "the client gets to read the answer"
    assert peer.send(b"x" * 100_000) == b""
    assert not peer.transport.is_aborted()
    for _ in range(LINGER_BYTES // 2**20 + 1):
        peer.server.dataReceived(b"x" * 2**20)
    assert peer.transport.is_aborted()


def test_an_upload_is_read_as_fast_as_it_is_taken() -> None:
    memory = MemorySite()
    peer = memory.connect()
    peer.send(post("/take", b"a" * 1000, length=2_000_000))
    assert peer.transport.is_read_from()
    peer.send(b"b" * 66_000)
    assert not peer.transport.is_read_from()
    memory.takes.turns.pop().callback(None)
    assert peer.transport.is_read_from()
    assert [len(piece) for piece in memory.takes.pieces] == [1000, 66_000]


# -- time


def test_a_head_must_come_in_time_from_the_connect_on() -> None:
    memory = MemorySite(settings={"header_timeout_ms": 2000})
    peer = memory.connect()
    for byte in b"GET /ec":
        peer.send(bytes([byte]))
        memory.pass_time(0.25)
    assert peer.received() == b""
    memory.pass_time(0.75)
    answer = peer.received()
    assert statuses(answer) == [408]
    assert code(answer) == "request_timeout"
    assert peer.transport.is_ending()


def test_silence_is_ended_without_a_word() -> None:
    memory = MemorySite(settings={"header_timeout_ms": 2000})
    peer = memory.connect()
    memory.pass_time(2.5)
    assert peer.received() == b""
    assert peer.transport.is_ending()


def test_an_idle_connection_is_kept_for_so_long() -> None:
    memory = MemorySite(settings={"keep_alive_timeout_ms": 4000, "header_timeout_ms": 1000})
    peer = memory.connect()
    for _ in range(3):
        peer.send(GET)
        memory.pass_time(3.5)
    assert not peer.transport.is_ending()
    memory.pass_time(1)
    assert peer.transport.is_ending()
    peer = memory.connect()
    peer.send(GET)
    memory.pass_time(3)
    assert statuses(peer.send(b"G")) == []
    memory.pass_time(1.5)
    assert statuses(peer.received()) == [408], "a head that began has its own time"


def test_a_body_must_come_in_time() -> None:
    memory = MemorySite(settings={"request_timeout_ms": 2000})
    peer = memory.connect()
    peer.send(post("/echo", b"", length=100))
    for _ in range(7):
        peer.send(b"x")
        memory.pass_time(0.25)
    memory.pass_time(0.75)
    answer = peer.received()
    assert statuses(answer) == [408]
    assert code(answer) == "request_timeout"
    assert peer.transport.is_ending()


def test_an_upload_has_its_time_anew_with_each_piece() -> None:
    memory = MemorySite(settings={"request_timeout_ms": 2000})
    peer = memory.connect()
    peer.send(post("/take", b"", length=100))
    for _ in range(10):
        peer.send(b"x")
        memory.takes.turns.pop().callback(None)
        memory.pass_time(1)
    assert peer.received() == b""
    memory.pass_time(1.5)
    assert statuses(peer.received()) == [408]


def test_work_that_takes_too_long_is_stopped() -> None:
    memory = MemorySite(settings={"request_timeout_ms": 2000})
    peer = memory.connect()
    peer.send(post("/wait", b"abc"))
    memory.pass_time(2.5)
    answer = peer.received()
    assert statuses(answer) == [408]
    assert code(answer) == "statement_timeout"
    assert memory.waits.cancelled == 1
    assert statuses(peer.send(GET)) == [200], "the connection is none the worse"


def test_without_a_limit_it_may_take_forever() -> None:
    memory = MemorySite(settings={"request_timeout_ms": 0})
    peer = memory.connect()
    peer.send(post("/wait", b"abc"))
    memory.pass_time(1000, 1)
    memory.waits.waiting.pop().callback(b"at last")
    assert statuses(peer.received()) == [200]


def drip(memory: MemorySite, peer: WireClient, piece: bytes, seconds: int) -> bytes:
    """Send a piece of body in each second, which the endpoint takes; return what came back."""
    answer = b""
    for _ in range(seconds):
        answer += peer.send(piece)
        if memory.takes.turns:
            memory.takes.turns.pop().callback(None)
        memory.pass_time(1, 0.5)
    return answer + peer.received()


@pytest.mark.parametrize("timeout_ms", [0, 10_000], ids=["without a timeout", "with a timeout"])
@pytest.mark.parametrize("path", ["/take", "/echo"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["a length", "chunks"])
def test_a_body_must_come_at_a_rate(timeout_ms: int, path: str, is_chunked: bool) -> None:
    limits = {"request_timeout_ms": timeout_ms, "min_body_bytes_per_sec": 100}
    memory = MemorySite(settings=limits)
    peer = memory.connect()
    peer.send(chunked(path, end=False) if is_chunked else post(path, b"", length=50_000))
    piece = b"1\r\nx\r\n" if is_chunked else b"x"
    assert drip(memory, peer, piece, 9) == b""
    answer = drip(memory, peer, piece, 23)
    assert statuses(answer) == [408]
    assert code(answer) == "request_timeout"
    assert peer.transport.is_ending()
    assert not memory.takes.turns, "the endpoint was told"


def test_a_body_that_comes_fast_enough_may_take_long() -> None:
    memory = MemorySite(settings={"min_body_bytes_per_sec": 100})
    peer = memory.connect()
    peer.send(post("/take", b"", length=20_000))
    assert drip(memory, peer, b"x" * 110, 150) == b""
    assert statuses(drip(memory, peer, b"", 31)) == [408], "each window counts for itself"


def test_a_body_without_a_least_rate_may_drip() -> None:
    memory = MemorySite(settings={"min_body_bytes_per_sec": 0})
    peer = memory.connect()
    peer.send(post("/take", b"", length=1000))
    assert drip(memory, peer, b"x", 200) == b""


def test_who_is_held_back_is_not_slow() -> None:
    memory = MemorySite(settings={"min_body_bytes_per_sec": 10_000, "request_timeout_ms": 0})
    peer = memory.connect()
    peer.send(post("/take", b"x" * 70_000, length=10**6))
    peer.send(b"x" * 70_000)
    memory.pass_time(200, 1)
    assert peer.received() == b""
    assert not peer.transport.is_ending()


@pytest.mark.parametrize(("rate", "seconds"), [(1024, 65), (10_000, 31)])
def test_an_answer_must_be_taken_at_a_rate(rate: int, seconds: float) -> None:
    limits = {"request_timeout_ms": 0, "min_body_bytes_per_sec": rate}
    memory = MemorySite(settings=limits, gives=Gives(count=1000))
    peer = memory.connect()
    transport = peer.transport
    peer.server.pauseProducing()
    peer.send(b"GET /give HTTP/1.1\r\nHost: x\r\n\r\n")
    peer.server.resumeProducing()
    peer.server.pauseProducing()
    memory.pass_time(seconds - 2, 0.5)
    assert not transport.is_aborted()
    memory.pass_time(3, 0.5)
    assert transport.is_aborted()


def test_a_body_that_nobody_wants_does_not_drip_for_ever() -> None:
    memory = MemorySite(settings={"request_timeout_ms": 0})
    peer = memory.connect()
    assert statuses(peer.send(post("/nothing", b"", length=1000))) == [404]
    for _ in range(32):
        peer.send(b"x")
        memory.pass_time(1, 0.5)
    assert peer.transport.is_ending()


def test_whoever_lingers_is_cut_off() -> None:
    memory = MemorySite()
    peer = memory.connect()
    peer.send(b"noise\r\n\r\n")
    assert not peer.transport.is_aborted()
    memory.pass_time(4)
    assert peer.transport.is_aborted()


# -- the end


def test_work_is_cancelled_when_its_client_goes_away() -> None:
    memory = MemorySite()
    peer = memory.connect()
    peer.send(post("/wait", b"abc"))
    peer.leave()
    assert memory.waits.cancelled == 1
    assert [finished.status for finished in memory.notes.finished] == [499]
    assert not memory.site.connections


def test_connections_above_the_limit_are_told_so() -> None:
    memory = MemorySite(settings={"max_connections": 2})
    first, second = memory.connect(), memory.connect()
    third = memory.connect()
    answer = third.received()
    assert statuses(answer) == [503]
    assert code(answer) == "too_many_connections"
    assert b"\r\nRetry-After: 1\r\n" in answer
    assert b"\r\nX-Request-Id: " in answer
    assert third.transport.is_ending()
    encrypted = memory.connect(over_tls=True)
    assert encrypted.received() == b""
    assert encrypted.transport.is_aborted()
    assert [f.error for f in memory.notes.finished] == ["too_many_connections"] * 2
    first.leave()
    assert statuses(memory.connect().send(GET)) == [200]
    assert statuses(second.send(GET)) == [200]


def test_draining() -> None:
    """Idle connections go at once, others after their request, the stubborn are cut off."""
    memory = MemorySite()
    idle, fresh, busy, stubborn = (memory.connect() for _ in range(4))
    idle.send(GET)
    busy.send(post("/wait", b""))
    stubborn.send(post("/wait", b""))
    gone: list[None] = []
    memory.site.drain(10).addCallback(gone.append)
    assert idle.transport.is_ending()
    assert fresh.transport.is_ending()
    assert not busy.transport.is_ending()
    memory.waits.waiting.pop(0).callback(b"done")
    answer = busy.received()
    assert statuses(answer) == [200]
    assert b"\r\nConnection: close\r\n" in answer
    assert busy.transport.is_ending()
    for peer in (idle, fresh, busy):
        peer.leave()
    assert not gone
    memory.pass_time(10)
    assert gone == [None]
    assert stubborn.transport.is_aborted()
    assert_no_timers(memory)


def test_a_request_that_arrives_while_the_server_drains_is_told_so() -> None:
    """Its head had begun when the drain did, or its connection came through at the last moment."""
    memory = MemorySite()
    slow = memory.connect()
    slow.send(GET[:-2])
    memory.site.drain(10)
    assert not slow.transport.is_ending()
    late = memory.connect()
    for peer, answer in ((slow, slow.send(GET[-2:])), (late, late.received())):
        assert statuses(answer) == [503]
        assert code(answer) == "stopping"
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert b"\r\nConnection: close\r\n" in answer
        assert peer.transport.is_ending()
    assert [f.error for f in memory.notes.finished] == ["stopping"] * 2
    assert memory.notes.finished[1].request.path == "/echo"
    assert statuses(slow.send(GET)) == []


def test_draining_does_not_wait_for_the_end_of_tls_to_be_confirmed() -> None:
    """An idle client need not read, and its system confirms nothing of TLS."""
    memory = MemorySite()
    silent, polite = memory.connect(over_tls=True), memory.connect(over_tls=True)
    memory.site.drain(10)
    below, other = silent.transport.transport, polite.transport.transport
    assert below is not None
    assert other is not None
    assert silent.transport.is_ending()
    assert not below.is_ending()
    polite.leave()
    memory.pass_time(0.3)
    assert below.is_ending()
    assert not below.is_aborted(), "what is under way still arrives"
    assert not other.is_ending()
    silent.leave()
    assert_no_timers(memory)


def test_nothing_ticks_when_nobody_is_there() -> None:
    memory = MemorySite()
    peer = memory.connect()
    peer.send(GET * 20)
    peer.leave()
    assert_no_timers(memory)


def assert_no_timers(memory: MemorySite) -> None:
    assert not memory.clock.getDelayedCalls()
