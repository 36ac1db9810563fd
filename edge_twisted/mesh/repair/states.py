# SPDX-License-Identifier: Apache-2.0
"""
The states of a repair at its receiver: which answer it waits for.

The receiver asks one question at a time, and waits for its answer; between two questions it works
(the database, a computation).  An answer that it does not wait for ends the link, but for one case:
REPAIR_BEGIN makes an earlier repair of the stream void, whose last answer may still be on its way.
So SUMMARY drops every other answer.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.state_machine import Event, NoState, Table

_DROP, _REFUSE, _NEVER = NoState.DROP, NoState.REFUSE, NoState.NEVER


class RepairState(Enum):
    """What a repair waits for."""

    #: This side: the database, a computation.
    WORKING = "working"
    SUMMARY = "summary"
    CELLS = "cells"
    ITEMS = "items"
    FATES = "fates"
    #: It is done, or was abandoned.
    OVER = "over"


class RepairEvent(Enum):
    """What happens to a repair beside answers."""

    BEGUN = "REPAIR_BEGIN sent"
    CELLS_ASKED = "REPAIR_CELLS sent"
    ITEMS_PULLED = "REPAIR_PULL sent"
    FATES_ASKED = "REPAIR_HAVE sent"
    #: The last REPAIR_ITEMS of an answer has come.
    ITEMS_COMPLETE = "items complete"
    ENDED = "ended"


_ANSWERS: Final[tuple[type, ...]] = (
    m.RepairSummary,
    m.RepairAnswer,
    m.RepairItems,
    m.RepairFates,
)


def _others(answers: NoState) -> dict[Event, RepairState | NoState]:
    """Return what is the same in many states; `answers` is what unexpected answers are."""
    return {
        **dict.fromkeys(_ANSWERS, answers),
        **dict.fromkeys(RepairEvent, _NEVER),
        RepairEvent.ENDED: RepairState.OVER,
    }


REPAIR: Final[Table[RepairState]] = {
    RepairState.WORKING: {
        **_others(_REFUSE),
        RepairEvent.BEGUN: RepairState.SUMMARY,
        RepairEvent.CELLS_ASKED: RepairState.CELLS,
        RepairEvent.ITEMS_PULLED: RepairState.ITEMS,
        RepairEvent.FATES_ASKED: RepairState.FATES,
    },
    RepairState.SUMMARY: {**_others(_DROP), m.RepairSummary: RepairState.WORKING},
    RepairState.CELLS: {**_others(_REFUSE), m.RepairAnswer: RepairState.WORKING},
    RepairState.ITEMS: {
        **_others(_REFUSE),
        m.RepairItems: RepairState.ITEMS,
        RepairEvent.ITEMS_COMPLETE: RepairState.WORKING,
    },
    RepairState.FATES: {**_others(_REFUSE), m.RepairFates: RepairState.WORKING},
    RepairState.OVER: _others(_REFUSE),
}
