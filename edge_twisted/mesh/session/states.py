# SPDX-License-Identifier: Apache-2.0
"""
The states of a link and of its streams, and what every message means in each of them.

`docs/mesh-protocol.md` prints these tables; a message is looked up here before anything reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from edge_twisted.mesh.wire import messages as m


class LinkState(Enum):
    """Where a link stands."""

    WAIT_HELLO = "wait hello"
    ESTABLISHED = "established"
    #: Nothing is heard and nothing is said any more.
    CLOSED = "closed"


class IncomingState(Enum):
    """Where a subscription of ours stands."""

    #: The database is asked for the cursor; the peer has not heard of it.
    FINDING = "finding"
    #: Batches come, and are applied.
    STREAMING = "streaming"
    #: Sets are reconciled; no batch comes.
    REPAIRING = "repairing"
    #: The sender does not serve it now.
    CLOSED = "closed"


class OutgoingState(Enum):
    """Where a subscription of the peer's stands."""

    STREAMING = "streaming"
    #: The receiver has to repair first, and says when it is done.
    WAITING = "waiting"
    #: The collection's sync scope is closed.
    CLOSED = "closed"
    #: It is no subscription that this server understands.
    REFUSED = "refused"


class MessageVerdict(Enum):
    """What becomes of a message."""

    TAKE = "take"
    #: It crossed with something that makes it void.
    DROP = "drop"
    #: No correct peer sends it: the link ends with ``protocol_violation``.
    REFUSE = "refuse"


_TAKE, _DROP, _REFUSE = MessageVerdict.TAKE, MessageVerdict.DROP, MessageVerdict.REFUSE

#: Allowed before both HELLOs are in.
GREETINGS: Final = (m.Hello, m.Bye)

#: Messages that name no subscription; all are taken once the link is established, but HELLO.
OF_THE_LINK: Final = (
    m.Hello,
    m.Met,
    m.Ready,
    m.KeepAlive,
    m.Presence,
    m.Blob,
    m.Announce,
    m.Bye,
    # They name one, in ways of their own: a new number, and either side's.
    m.Subscribe,
    m.Gone,
)


def _incoming(streaming: MessageVerdict, repairing: MessageVerdict) -> dict[Enum, MessageVerdict]:
    # What was on its way when the sender closed is void.
    return {
        IncomingState.STREAMING: streaming,
        IncomingState.REPAIRING: repairing,
        IncomingState.CLOSED: _DROP,
    }


#: What the sender of a stream sends, by the state at its receiver.  Numbers that the receiver has
#: given up are dropped; others that it never gave are refused.
FROM_SENDER: Final[Mapping[type, Mapping[Enum, MessageVerdict]]] = {
    m.Batch: _incoming(_TAKE, _DROP),
    m.Supply: _incoming(_TAKE, _DROP),
    m.Offer: _incoming(_TAKE, _TAKE),
    m.Stale: _incoming(_TAKE, _DROP),
    m.Closed: _incoming(_TAKE, _TAKE),
    m.Opened: {**_incoming(_REFUSE, _REFUSE), IncomingState.CLOSED: _TAKE},
    m.RepairSummary: _incoming(_REFUSE, _TAKE),
    m.RepairAnswer: _incoming(_REFUSE, _TAKE),
    m.RepairItems: _incoming(_REFUSE, _TAKE),
    # Streaming: the answer to a question that is asked beside the stream.
    m.RepairFates: _incoming(_TAKE, _TAKE),
}


def _outgoing(streaming: MessageVerdict, waiting: MessageVerdict) -> dict[Enum, MessageVerdict]:
    # The receiver may not know yet that it is not served.
    return {
        OutgoingState.STREAMING: streaming,
        OutgoingState.WAITING: waiting,
        OutgoingState.CLOSED: _DROP,
        OutgoingState.REFUSED: _DROP,
    }


#: What the receiver of a stream sends, by the state at its sender.  Numbers that the receiver
#: gave up, or never gave, are refused.
FROM_RECEIVER: Final[Mapping[type, Mapping[Enum, MessageVerdict]]] = {
    m.Unsubscribe: dict.fromkeys(OutgoingState, _TAKE),
    m.Ack: _outgoing(_TAKE, _DROP),
    m.Want: _outgoing(_TAKE, _DROP),
    m.RepairBegin: _outgoing(_TAKE, _TAKE),
    m.RepairCells: _outgoing(_REFUSE, _TAKE),
    m.RepairPull: _outgoing(_REFUSE, _TAKE),
    m.RepairHave: _outgoing(_TAKE, _TAKE),
    m.RepairDone: _outgoing(_REFUSE, _TAKE),
}
