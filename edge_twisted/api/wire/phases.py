# SPDX-License-Identifier: Apache-2.0
"""
The phases of an HTTP connection, and which phase follows which, for what reason.

    HEAD --request--> EXCHANGE --answered--> HEAD                (the next request)
                      EXCHANGE --answered early--> SKIP --> HEAD  (the rest of the body is dropped)
    HEAD, EXCHANGE, SKIP --last response--> LINGER --> GONE

The table is about the order of requests alone.  What the bytes of a request mean is for
`edge_twisted.api.wire.reader`; who reads, who writes and what is late is for
`edge_twisted.api.wire.connection`, which compares phases many times a request, so it does not look
anything up here.  `tests/unit/api/wire/test_phases.py` holds it to the table: no connection changes
its phase in another way, and every cell happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class Phase(Enum):
    """Where a connection stands."""

    #: The connection waits for a request, or for the rest of a request's head.
    HEAD = auto()
    #: A request is being answered.
    EXCHANGE = auto()
    #: The request is answered; the rest of its body is read and dropped.
    SKIP = auto()
    #: The last response is sent; incoming bytes are dropped until the client closes.
    LINGER = auto()
    #: The transport has reported the end of the connection.
    GONE = auto()


_LOST: Final = "the client is gone, or was cut off"

#: Phase -> the phases that follow it -> the reason.
NEXT_PHASE: Final[Mapping[Phase, Mapping[Phase, str]]] = {
    Phase.HEAD: {
        Phase.EXCHANGE: "the head of a request is whole",
        Phase.LINGER: "the head is malformed or late, no request came in time, or the server stops",
        Phase.GONE: _LOST,
    },
    Phase.EXCHANGE: {
        Phase.HEAD: "the response is sent, and the body was read to its end",
        Phase.SKIP: "the response is sent, and a short rest of the body is to come",
        Phase.LINGER: "the response is sent, and is the last: the client, the server or a body that"
        " is too long or malformed says so",
        Phase.GONE: _LOST,
    },
    Phase.SKIP: {
        Phase.HEAD: "the rest of the body has come",
        Phase.LINGER: "time was over while the response was sent, so this request is the last",
        Phase.GONE: _LOST,
    },
    Phase.LINGER: {Phase.GONE: "the client closed, or did not within `LINGER_SECONDS`"},
    Phase.GONE: {},
}
