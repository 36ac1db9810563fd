# SPDX-License-Identifier: Apache-2.0
"""
Tables of states: (state, event) -> next state, and the machine that follows one.

An event is a kind of message, or a member of an enum for what happens on this side.  A table has a
cell for every state and every event of its machine; a cell is the next state, or why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar, cast

from edge_twisted.mesh.wire.violations import PeerViolation

S = TypeVar("S", bound=Enum)

#: A kind of message, or what happens on this side.
Event = type | Enum


class NoState(Enum):
    """Why an event leads to no next state."""

    #: A message that crossed with one that makes it void: ignore it.
    DROP = "drop"
    #: A message that no correct peer sends now: the link ends with ``protocol_violation``.
    REFUSE = "refuse"
    #: This side does not do that in this state: a defect of this server.
    NEVER = "never"


Table = Mapping[S, Mapping[Event, S | NoState]]


class ImpossibleEvent(Exception):
    """An event for which the table has `NoState.NEVER`: a defect, so the link ends."""


class Machine(Generic[S]):
    """One thing's state, which only `step` changes, along its table."""

    def __init__(self, table: Table[S], state: S) -> None:
        self._table = table
        self.state = state

    def step(self, event: Event) -> bool:
        """Go to the next state; return False if the event is void, and nothing is to be done.

        :raises PeerViolation: the event is a message that cannot come in this state; end the link.
        :raises ImpossibleEvent: this side did what it does not do in this state: a bug; end the
            link.
        """
        following = self._table[self.state][event]
        if following is NoState.DROP:
            return False
        if following is NoState.REFUSE:
            raise PeerViolation(f"{cast(type, event).__name__} while {self.state.value}")
        if following is NoState.NEVER:
            raise ImpossibleEvent(f"{event} while {self.state.value}")
        self.state = following
        return True
