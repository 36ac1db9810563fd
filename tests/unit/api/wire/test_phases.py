# SPDX-License-Identifier: Apache-2.0
"""The table of phases is what connections do: no other change, and no cell without its case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_twisted.api.wire.connection import Connection
from edge_twisted.api.wire.phases import NEXT_PHASE, Phase
from tests.support.wire import MemorySite
from tests.unit.api.wire.test_malformed import FINE, MALFORMED

GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
#: Answered with 404 before its body is read.
EARLY = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"

Change = tuple[Phase, Phase]


class RecordedPhase:
    """Stands in for the attribute `Connection._phase`, and keeps its changes."""

    def __init__(self) -> None:
        self.changes: set[Change] = set()

    def __get__(self, connection: Connection, _kind: type[Connection]) -> Phase:
        phase: Phase = vars(connection)["_phase"]
        return phase

    def __set__(self, connection: Connection, phase: Phase) -> None:
        before = vars(connection).get("_phase")
        if before is not None:
            self.changes.add((before, phase))
        vars(connection)["_phase"] = phase


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedPhase]:
    """Record the phases of all connections."""
    phase = RecordedPhase()
    monkeypatch.setattr(Connection, "_phase", phase, raising=False)
    yield phase
    table = {(before, after) for before, cells in NEXT_PHASE.items() for after in cells}
    assert phase.changes <= table


#: What is sent, and the change that follows; b"" stands for a client that leaves.
CASES: list[tuple[Change, list[bytes]]] = [
    ((Phase.HEAD, Phase.EXCHANGE), [GET]),
    ((Phase.HEAD, Phase.LINGER), [b"get\r\n\r\n"]),
    ((Phase.HEAD, Phase.GONE), [b""]),
    ((Phase.EXCHANGE, Phase.HEAD), [GET]),
    ((Phase.EXCHANGE, Phase.SKIP), [EARLY]),
    ((Phase.EXCHANGE, Phase.LINGER), [LAST]),
    ((Phase.EXCHANGE, Phase.GONE), [WAIT, b""]),
    ((Phase.SKIP, Phase.HEAD), [EARLY, b"abcde"]),
    ((Phase.SKIP, Phase.GONE), [EARLY, b"ab", b""]),
    ((Phase.LINGER, Phase.GONE), [LAST, b"more", b""]),
]
#: The change of `test_a_rest_of_a_body_that_comes_too_late_is_not_waited_for`.
BROKEN: Change = (Phase.SKIP, Phase.LINGER)


@pytest.mark.parametrize(("change", "pieces"), CASES, ids=lambda each: str(each)[:60])
def test_every_cell_happens(recorded: RecordedPhase, change: Change, pieces: list[bytes]) -> None:
    peer = MemorySite().connect()
    for piece in pieces:
        if piece:
            peer.send(piece)
        else:
            peer.leave()
    assert change in recorded.changes


def test_a_rest_of_a_body_that_comes_too_late_is_not_waited_for(recorded: RecordedPhase) -> None:
    """Only a time-out while the response is sent does that, so the mark is set by hand."""
    peer = MemorySite().connect()
    peer.send(EARLY)
    peer.server._is_broken = True
    peer.send(b"ab")
    assert BROKEN in recorded.changes


def test_the_table_has_no_cell_without_a_case() -> None:
    assert set(NEXT_PHASE) == set(Phase)
    cells = {(before, after) for before, row in NEXT_PHASE.items() for after in row}
    assert cells == {BROKEN, *(change for change, _ in CASES)}


def test_no_request_leads_anywhere_else(recorded: RecordedPhase) -> None:
    """Requests that are in order and others, whole and byte by byte, with time running out."""
    for _, stream, *_ in [*FINE, *MALFORMED]:
        for size in (len(stream), 7):
            memory = MemorySite()
            peer = memory.connect()
            for start in range(0, min(len(stream), 2000), size or 1):
                peer.send(stream[start : start + size])
            memory.clock.advance(3600)
            peer.leave()
    assert {(Phase.HEAD, Phase.LINGER), (Phase.EXCHANGE, Phase.HEAD)} <= recorded.changes
