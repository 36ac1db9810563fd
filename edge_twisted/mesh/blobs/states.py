# SPDX-License-Identifier: Apache-2.0
"""
The states of a blob fetch, and what each event makes of them.

    RESTING --START--> SEARCHING --SOURCE--> OPENING --OPENED--> OPEN --SOURCE--> QUEUED
    QUEUED --CREDIT--> PULLING --COMPLETE--> VERIFYING
    QUEUED, PULLING --LOST--> OPEN              (the next source goes on at the same offset)
    VERIFYING --CORRUPT--> SEARCHING            (from the beginning)

GIVE_UP leads from every state back to RESTING; END leads from every state to DONE, which is final.

An event is a decision that `fetches.Fetches` has made about one fetch, after it looked at the
sources, the credit and the bytes of it.  So one thing that happens outside can be two events: a
source that is lost while another one is known is LOST (PULLING to OPEN), then SOURCE (OPEN to
QUEUED).  A pair of state and event that `NEXT_STATE` does not have is a bug of `Fetches`, and
raises KeyError; what peers, the disk and the clock do at a wrong time is sorted out before.

`docs/mesh-attachments.md` prints the table (`tests/unit/mesh/test_blob_states.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class FetchState(Enum):
    """Where a fetch stands."""

    #: It waits for its turn, or for the next try.
    RESTING = "resting"
    #: The download is closed, and no source is known.
    SEARCHING = "searching"
    #: A source is known; the disk opens the download.
    OPENING = "opening"
    #: The download is open, and no source is chosen.
    OPEN = "open"
    #: A source is chosen; it has not been asked, for other blobs use up its window.
    QUEUED = "queued"
    #: The source was asked to send.
    PULLING = "pulling"
    #: All bytes have come; the disk compares their SHA-256 with the id.
    VERIFYING = "verifying"
    #: The blob is here, or nobody wants it any more; the fetch is forgotten.
    DONE = "done"


class FetchEvent(Enum):
    """What happens to a fetch; the value is its description in the documentation."""

    START = "its turn has come, or the next try is due"
    SOURCE = "a source can be used"
    OPENED = "the download is open, with the bytes that came earlier"
    CREDIT = "the window of the source's link has room"
    COMPLETE = "all bytes have come"
    LOST = "the source is gone, has left, is silent, or has lied"
    CORRUPT = "the bytes are not that blob, and are thrown away"
    GIVE_UP = "nobody can give it now, or the disk refuses"
    END = "it is here and verified, or nobody wants it any more"


_State, _Event = FetchState, FetchEvent
_ALWAYS: Final = {_Event.GIVE_UP: _State.RESTING, _Event.END: _State.DONE}

#: state -> event -> next state.  CORRUPT can be late: it tells of bytes that an earlier try gave to
#: the disk.  In the first three states no download of the present try is open, so nothing changes.
NEXT_STATE: Final[Mapping[FetchState, Mapping[FetchEvent, FetchState]]] = {
    _State.RESTING: {
        _Event.START: _State.SEARCHING,
        _Event.CORRUPT: _State.RESTING,
        **_ALWAYS,
    },
    _State.SEARCHING: {
        _Event.SOURCE: _State.OPENING,
        _Event.CORRUPT: _State.SEARCHING,
        **_ALWAYS,
    },
    _State.OPENING: {
        _Event.OPENED: _State.OPEN,
        _Event.CORRUPT: _State.OPENING,
        **_ALWAYS,
    },
    _State.OPEN: {
        _Event.SOURCE: _State.QUEUED,
        _Event.CORRUPT: _State.SEARCHING,
        **_ALWAYS,
    },
    _State.QUEUED: {
        _Event.CREDIT: _State.PULLING,
        _Event.COMPLETE: _State.VERIFYING,
        _Event.LOST: _State.OPEN,
        _Event.CORRUPT: _State.SEARCHING,
        **_ALWAYS,
    },
    _State.PULLING: {
        _Event.COMPLETE: _State.VERIFYING,
        _Event.LOST: _State.OPEN,
        _Event.CORRUPT: _State.SEARCHING,
        **_ALWAYS,
    },
    _State.VERIFYING: {
        _Event.CORRUPT: _State.SEARCHING,
        **_ALWAYS,
    },
    _State.DONE: {},
}

#: In these states the download is open on the disk.
OPEN_STATES: Final = frozenset({_State.OPEN, _State.QUEUED, _State.PULLING, _State.VERIFYING})
