# SPDX-License-Identifier: Apache-2.0
"""
Entry points for fuzzers of the mesh: arbitrary bytes in, nothing but refusals out.

Each takes bytes and raises `AssertionError` when something is wrong.  They run for a moment in the
test suite, and for as long as wanted under atheris::

    atheris.Setup(sys.argv, lambda data: fuzz_messages(data)); atheris.Fuzz()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from edge_twisted.mesh.ports.effects import Ask, Close, Compute, Effect, Send, Tell
from edge_twisted.mesh.ports.requests import ApplyBatch, DeleteGone
from edge_twisted.mesh.session.handshake import hello
from edge_twisted.mesh.session.session import Session
from edge_twisted.mesh.session.states import LinkState
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.frames import MAX_GREETING_BYTES, FrameReader, FrameWriter
from edge_twisted.mesh.wire.violations import PeerViolation
from tests.support.fake_documents import fake_scope
from tests.support.mesh_pair import LinkEnd, fake_key, fake_us, two
from tests.support.mesh_vectors import examples

#: Bytes that a message may become in a reader that the fuzzer feeds.
_LIMIT: Final = 1 << 16


def fuzz_frames(data: bytes) -> None:
    """Read bytes as frames, cut in two ways: the same messages, or a violation in both."""
    whole = _read(data, len(data) or 1)
    cut = _read(data, 1 + (data[0] % 7 if data else 0))
    assert whole == cut, "cuts of the stream change what is read"
    for payload in whole[0]:
        try:
            m.decode(payload)
        except PeerViolation:
            continue


def _read(data: bytes, piece: int) -> tuple[list[bytes], bool]:
    reader = FrameReader()
    reader.limit_bytes = _LIMIT
    found: list[bytes] = []
    for at in range(0, len(data), piece):
        reader.feed(data[at : at + piece])
        try:
            for payload in reader.messages():
                assert len(payload) <= _LIMIT
                found.append(payload)
        except PeerViolation:
            return found, True
    return found, False


def fuzz_greeting(data: bytes) -> None:
    """Bytes from a stranger: nothing is asked or told before HELLO, and nothing is kept."""
    left, right = two()
    session = Session(fake_us(left), fake_key(right), [fake_scope("tasks")])
    session.start(0.0)
    for effect in session.receive(data, 0.0):
        is_met = session.state is LinkState.ESTABLISHED or isinstance(effect, Send | Close)
        assert is_met or _says_hello(data), effect
    assert len(session._reader._buffer) <= MAX_GREETING_BYTES + 4 or not data


def _says_hello(data: bytes) -> bool:
    return b"d" * 32 in data


_BATCH: Final = 6
#: Where a BATCH names further subscriptions, after the number of its kind.
_OTHERS: Final = 1 + m.Batch.__struct_fields__.index("others")


class _Source:
    """Small choices out of the fuzzer's bytes; zeroes when they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        """Return the next byte."""
        if self.is_empty:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def below(self, bound: int) -> int:
        """Return a number from 0 to before `bound`."""
        return self.byte() % bound

    def some(self, size: int) -> bytes:
        """Return the next bytes, at most `size`."""
        found = self._data[self._at : self._at + size]
        self._at += size
        return found


#: Subscriptions that overlap, in both directions, and a batch for two of them.
_TOGETHER: Final = (
    m.Subscribe(1, "tasks", b"\x80", None, 0),
    m.Subscribe(2, "tasks red", b"\x80", 1, 0),
    m.Subscribe(3, "tasks 2", b"\x80", None, 1),
    m.Ready(),
    m.Batch(1, m.Items(), 3, True, others=[2]),
    m.Batch(2, m.Items(left=[(b"a", 7)]), 2, False, others=[1]),
    m.Ack(1, 1),
)


def fuzz_messages(data: bytes) -> None:
    """
    Hold a conversation that begins well and goes wrong as the bytes say.

    A peer that says hello sends valid messages, mutated ones, and noise, while the session's
    questions are answered late and in odd orders.  Only the protocol's own refusals may come of it;
    after the end nothing is asked; what is kept stays within bounds.
    """
    source = _Source(data)
    left, right = two()
    left.write("tasks", {"a": "1", "b": "x" * 700})
    scopes = [fake_scope("tasks"), fake_scope("tasks red")]
    end = LinkEnd(left, Session(fake_us(left), fake_key(right), scopes))
    end.take(end.session.start(0.0))
    peer = FrameWriter()
    _say(end, peer, m.encode(hello(fake_us(right), right.replica, None)))
    assert end.session.state is LinkState.ESTABLISHED
    catalogue = [*list(examples())[1:], *_TOGETHER]
    now = 0.0
    for _ in range(200):
        if source.is_empty or end.closed is not None:
            break
        match source.below(8):
            case 0:
                now += 0.5
                end.take(end.session.tick(now))
            case 1:
                left.write(
                    "tasks", {chr(97 + source.below(8)): "red" if source.byte() & 1 else "2"}
                )
                end.tell_commits(now)
            case 2 | 3:
                _answer(end, source, now)
            case 4:
                _say(end, peer, source.some(source.below(64)), now)
            case _:
                message = catalogue[source.below(len(catalogue))]
                _say(end, peer, _mutated(message, source), now)
        _check(end)


def _answer(end: LinkEnd, source: _Source, now: float) -> None:
    """Answer one of the questions, not always the oldest."""
    if end.asked:
        end.asked.rotate(-source.below(len(end.asked)))
        end.step(now)


def _say(end: LinkEnd, peer: FrameWriter, payload: bytes, now: float = 0.0) -> None:
    before = end.documents.lsn
    effects = end.session.receive(peer.message(payload), now)
    assert end.documents.lsn == before
    _check_refusal(effects)
    end.take(effects)


def _check_refusal(effects: list[Effect]) -> None:
    closes = [at for at, effect in enumerate(effects) if isinstance(effect, Close)]
    if closes:
        assert closes == [len(effects) - 1], "something after the end"
        for effect in effects:
            asks = isinstance(effect, Ask) and isinstance(effect.request, ApplyBatch | DeleteGone)
            assert not asks, "a refused link changes the database"
            assert isinstance(effect, Send | Close | Tell) or not isinstance(effect, Compute)


def _check(end: LinkEnd) -> None:
    session = end.session
    if end.closed is not None:
        assert session.state is LinkState.CLOSED
        assert end.closed.reason in {
            "protocol_violation", "goodbye", "lost", "clock_skew",
        } or len(end.closed.reason) <= 64  # fmt: skip
        return
    streams = session._streams
    assert streams is not None
    assert 0 <= streams._credit.pending_bytes <= max(streams._credit.window_bytes, 1 << 25)
    assert streams._window._in_flight >= 0
    assert len(streams._outgoing) <= m.MAX_SCOPES


#: What a field may become.
_VALUES: Final[tuple[Any, ...]] = (
    None, True, 0, 1, 2, 3, 44, -1, 2**31, 2**62, 2**63, b"", b"\x40a\x00\x01", "tasks", "", [],
    [[]], [[], [], [], []], [[b"a", b"{}", b"\x90"]], {}, 1.5, b"\x00" * 16,
)  # fmt: skip


def _mutated(message: m.Message, source: _Source) -> bytes:
    """Return a message as it is, with a field changed, cut, extended, or with bytes flipped."""
    payload = m.encode(message)
    how = source.below(6)
    if how <= 1:
        return _renumbered(payload, source)
    fields = msgspec.msgpack.decode(payload)
    if how == 2:
        fields[source.below(len(fields))] = _VALUES[source.below(len(_VALUES))]
    elif how == 3:
        del fields[1 + source.below(len(fields)) :]
    elif how == 4:
        fields.append(_VALUES[source.below(len(_VALUES))])
    else:
        flipped = bytearray(payload)
        flipped[source.below(len(flipped))] ^= 1 << source.below(8)
        return bytes(flipped)
    return msgspec.msgpack.encode(fields)


def _renumbered(payload: bytes, source: _Source) -> bytes:
    """Return the message for other small subscriptions, with another small lsn."""
    fields = msgspec.msgpack.decode(payload)
    if fields[0] == _BATCH and source.byte() & 1:
        fields[_OTHERS] = [source.below(4) for _ in range(source.below(4))]
    for at in (1, 2, 3):
        if at < len(fields) and type(fields[at]) is int and source.byte() & 1:
            fields[at] = source.below(6)
    return msgspec.msgpack.encode(fields)


_SCOPES: Final = ("tasks", "tasks red", "tasks 2")


def fuzz_courses(data: bytes) -> None:
    """
    Serve and be served by a peer that knows the protocol and lies about overlapping subscriptions.

    Its messages are well formed, mostly of numbers that exist, and come in any order.
    """
    source = _Source(data)
    left, right = two()
    left.write("tasks", {"a": "red 2", "b": "2"})
    scopes = [fake_scope(query) for query in _SCOPES]
    left.cursors = {(right.replica, scope.key): 1 for scope in scopes if data[:1] > b"\x20"}
    end = LinkEnd(left, Session(fake_us(left), fake_key(right), scopes))
    end.take(end.session.start(0.0))
    peer, heard = FrameWriter(), FrameReader()
    heard.limit_bytes = 1 << 25
    _say(end, peer, m.encode(hello(fake_us(right), right.replica, None)))
    while end.step(0.0):
        pass
    now, newest = 0.0, 0
    while not source.is_empty and end.closed is None:
        what = source.below(6)
        if what == 0:
            now += 0.5
            end.take(end.session.tick(now))
        elif what == 1:
            left.write("tasks", {chr(97 + source.below(4)): ("red", "2")[source.below(2)]})
            end.tell_commits(now)
        elif what <= 3:
            _answer(end, source, now)
        else:
            message = _lie(end, source, heard, newest)
            newest = max(newest, message.number if isinstance(message, m.Subscribe) else 0)
            _say(end, peer, m.encode(message), now)
        _check(end)


def _lie(end: LinkEnd, source: _Source, heard: FrameReader, newest: int) -> m.Message:
    """Return a message that may be right, and often is."""
    number, lsn = 1 + source.below(3), source.below(8)
    match source.below(12):
        case 0 | 1 | 2:
            position = (None, 0, 1, end.documents.lsn)[source.below(4)]
            query = _SCOPES[source.below(3)]
            return m.Subscribe(newest + 1, query, b"\x80", position, source.below(2))
        case 3:
            return m.Ready()
        case 4 | 5 | 6:
            while end.log:
                heard.feed(end.log.pop(0))
            sent = [m.decode(payload) for payload in heard.messages()]
            batches = [each for each in sent if isinstance(each, m.Batch)]
            return m.Ack(batches[-1].number, batches[-1].lsn) if batches else m.KeepAlive([])
        case 7 | 8:
            others = {1 + source.below(3) for _ in range(source.below(3))} - {number}
            items = m.Items(whole=[(b"z", b"red 2", b"\x90")] if lsn & 1 else [])
            return m.Batch(number, items, lsn, True, others=sorted(others))
        case 9:
            return m.Unsubscribe(1 + source.below(max(newest, 1)))
        case 10:
            return (m.RepairBegin(number, b"s" * 16), m.RepairDone(number, lsn))[lsn & 1]
        case _:
            return (m.Stale(number, ""), m.Closed(number, ""), m.Opened(number))[lsn % 3]


ENTRY_POINTS: Final[tuple[Callable[[bytes], None], ...]] = (
    fuzz_frames,
    fuzz_greeting,
    fuzz_messages,
    fuzz_courses,
)
