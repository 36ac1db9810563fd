# SPDX-License-Identifier: Apache-2.0
"""The tables of states: complete, followed to the letter, and no state without a way out."""

from __future__ import annotations

from enum import Enum
from typing import Any, get_args

import pytest

from edge_twisted.mesh.repair.states import REPAIR, RepairEvent, RepairState
from edge_twisted.mesh.session.states import (
    FROM_RECEIVER,
    FROM_SENDER,
    INCOMING,
    LINK,
    OUTGOING,
    QUEUE,
    IncomingEvent,
    IncomingState,
    LinkEvent,
    LinkState,
    OutgoingEvent,
    OutgoingState,
    QueueEvent,
    QueueState,
)
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.state_machine import Event, ImpossibleEvent, Machine, NoState, Table
from edge_twisted.mesh.wire.violations import PeerViolation

_ANSWERS = (m.RepairSummary, m.RepairAnswer, m.RepairItems, m.RepairFates)
#: Of each machine: its table, all its states, all its events, where it begins.
MACHINES: list[tuple[Table[Any], type[Enum], tuple[Event, ...], Enum]] = [
    (LINK, LinkState, (*get_args(m.Message), *LinkEvent), LinkState.WAIT_HELLO),
    (INCOMING, IncomingState, (*FROM_SENDER, *IncomingEvent), IncomingState.IDLE),
    (OUTGOING, OutgoingState, (*FROM_RECEIVER, *OutgoingEvent), OutgoingState.STREAMING),
    (QUEUE, QueueState, (*QueueEvent,), QueueState.READY),
    (REPAIR, RepairState, (*_ANSWERS, *RepairEvent), RepairState.WORKING),
]
CELLS = [
    (table, state, event)
    for table, states, events, _ in MACHINES
    for state in states
    for event in events
]


@pytest.mark.parametrize(("table", "states", "events", "start"), MACHINES)
def test_tables_are_complete(
    table: Table[Any], states: type[Enum], events: tuple[Event, ...], start: Enum
) -> None:
    assert set(table) == set(states)
    for state in states:
        assert set(table[state]) == set(events), state
        assert set(table[state].values()) <= set(states) | set(NoState)


@pytest.mark.parametrize(("table", "state", "event"), CELLS)
def test_every_cell_leads_on_or_says_why_not(table: Table[Any], state: Enum, event: Event) -> None:
    machine, cell = Machine(table, state), table[state][event]
    if cell is NoState.REFUSE:
        assert isinstance(event, type), "only peers can be refused"
        with pytest.raises(PeerViolation, match=event.__name__):
            machine.step(event)
    elif cell is NoState.NEVER:
        assert isinstance(event, Enum), "a peer can send anything at any time"
        with pytest.raises(ImpossibleEvent):
            machine.step(event)
    else:
        assert machine.step(event) is (cell is not NoState.DROP)
    assert machine.state is (state if isinstance(cell, NoState) else cell)


@pytest.mark.parametrize(("table", "states", "events", "start"), MACHINES)
def test_every_state_can_be_reached(
    table: Table[Any], states: type[Enum], events: tuple[Event, ...], start: Enum
) -> None:
    reached: set[Enum] = set()
    ahead = {start}
    while ahead:
        state = ahead.pop()
        reached.add(state)
        following = {each for each in table[state].values() if not isinstance(each, NoState)}
        ahead |= following - reached
    assert reached == set(states)


def test_what_has_ended_stays_ended() -> None:
    assert set(LINK[LinkState.CLOSED].values()) <= {LinkState.CLOSED, *NoState}
    assert set(REPAIR[RepairState.OVER].values()) <= {RepairState.OVER, *NoState}
    assert set(INCOMING[IncomingState.ENDED].values()) <= {IncomingState.ENDED, *NoState}
