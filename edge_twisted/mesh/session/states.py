# SPDX-License-Identifier: Apache-2.0
"""
The states of a link and of its streams: what each event does in each of them.

A link is one state machine, and so is each stream on it, at either end:

    LINK      this server's end of the connection, from the first byte to the end
    INCOMING  a subscription of this server, from the receiver's side
    OUTGOING  a subscription of the peer, from the sender's side

The two ends of a stream are never in step, for messages are on their way all the time.  So a table
has to answer for three kinds of events.

1. Messages that mean something now: the cell is the next state, often the same one.
2. Messages that crossed with another one.  The sender says CLOSED while a WANT is on its way to it:
   the WANT means nothing any more, and is dropped.  Crossing explains every `DROP`.
3. Messages that no crossing explains, as REPAIR_CELLS for a stream that repairs nothing: the peer
   is broken or hostile, and the link ends (`REFUSE`) before anything reads the message.

What happens on this side is an event too (`LinkEvent`, `IncomingEvent`, `OutgoingEvent`): an answer
of the database, a cursor that is lost.  Where such an event cannot happen, the cell is `NEVER`.

What the tables leave to the streams themselves: numbers.  A subscription that begins anew takes a
new number, and a message for a number that was given up is dropped before its table is asked; one
for a number that was never given is refused.  So INCOMING drops all messages while it has no
number.

The usual life of a stream: the receiver goes IDLE, FINDING, STREAMING, and the sender is STREAMING
from SUBSCRIBE on.  For a repair the receiver is REPAIRING and the sender WAITING, from REPAIR_BEGIN
to REPAIR_DONE.  When the sync scope of the collection closes, both are CLOSED; when it opens, the
sender says OPENED and is ENDED, and the receiver goes to IDLE and takes a new number.

QUEUE is a machine inside INCOMING that no peer sees: the first batch of the receiver's queue.

`docs/mesh-protocol.md` prints the other tables, and a test holds the page to them.  To add a
message, add its cells to the table of its role, or its kind to `OF_THE_LINK` if it names no
subscription.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, get_args

from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.state_machine import Event, NoState, Table

_DROP, _REFUSE, _NEVER = NoState.DROP, NoState.REFUSE, NoState.NEVER


class LinkState(Enum):
    """Where a link stands."""

    WAIT_HELLO = "wait hello"
    ESTABLISHED = "established"
    #: Nothing is heard and nothing is said any more.
    CLOSED = "closed"


class LinkEvent(Enum):
    """What happens to a link beside messages."""

    #: This side ends the link, or the connection is gone.
    ENDED = "ended"


class IncomingState(Enum):
    """Where a subscription of this server stands."""

    #: Not asked for yet: at the start, or while another SUBSCRIBE would count as a flood.
    IDLE = "idle"
    #: The database is asked for the cursor; the peer has not heard of the subscription.
    FINDING = "finding"
    #: Batches come, and are applied.
    STREAMING = "streaming"
    #: Sets are reconciled; no batch comes.
    REPAIRING = "repairing"
    #: The sender does not serve it now.
    CLOSED = "closed"
    #: The subscription is not wanted any more, or the link is gone.
    ENDED = "ended"


class IncomingEvent(Enum):
    """What happens to a subscription of this server beside messages."""

    #: It starts, or its cursor is of no use any more.
    BEGINS_ANEW = "begins anew"
    ASKS_FOR_CURSOR = "asks for its cursor"
    CURSOR_FOUND = "cursor found"
    #: The cursor is missing, fingerprints differ, or the last repair was incomplete.
    REPAIR_DUE = "repair due"
    REPAIR_OVER = "repair over"
    ENDED = "ended"


class OutgoingState(Enum):
    """Where a subscription of the peer stands."""

    STREAMING = "streaming"
    #: The receiver has to repair first, and says when it is done.
    WAITING = "waiting"
    #: The collection's sync scope is closed.
    CLOSED = "closed"
    #: Nothing is sent under this number any more: the query was not understood, the scope opened
    #: (the receiver takes a new number), or the peer unsubscribed.
    ENDED = "ended"


class OutgoingEvent(Enum):
    """What happens to a subscription of the peer beside messages."""

    #: The receiver's cursor is of no use, or it has documents and no cursor.
    REPAIR_NEEDED = "repair needed"
    NOT_UNDERSTOOD = "query not understood"
    SCOPE_CLOSED = "scope closed"
    SCOPE_OPENED = "scope opened"


class QueueState(Enum):
    """Where the first batch of a receiver's queue stands."""

    #: It can be applied, or the queue is empty.
    READY = "ready"
    APPLYING = "applying"
    #: Documents that the batch lacks are asked for.
    WANTING = "wanting"
    #: Some of them are asked for, others are being pulled over other links.
    WANTING_PART = "wanting part"
    #: What was asked for is applied, for those other links may wait for it in turn.
    APPLYING_PART = "applying part"
    #: All that the batch still lacks is being pulled over other links.
    WAITING = "waiting"
    #: The stream begins anew with another queue.
    STOPPED = "stopped"


class QueueEvent(Enum):
    """What happens to the first batch of a receiver's queue."""

    APPLIES = "applies"
    APPLIED = "applied"
    LACKS = "lacks documents"
    LACKS_PULLED = "lacks documents, some pulled elsewhere"
    LACKS_ONLY_PULLED = "lacks documents, all pulled elsewhere"
    SUPPLIED = "all supplied"
    TRIES_AGAIN = "tries again"
    #: A stream left that the batch was for alone, or under whose number documents were asked for.
    STREAM_LEFT = "its stream left"
    STOPPED = "stopped"


#: Messages that name no subscription of a fixed side.
OF_THE_LINK: Final = (
    m.Hello,
    m.Met,
    m.Ready,
    m.KeepAlive,
    m.Presence,
    m.Blob,
    m.Announce,
    m.Bye,
    m.Clock,
    # They name one, in ways of their own: a new number, and either side's.
    m.Subscribe,
    m.Gone,
)
_MESSAGES: Final[tuple[type, ...]] = get_args(m.Message)

LINK: Final[Table[LinkState]] = {
    LinkState.WAIT_HELLO: {
        **dict.fromkeys(_MESSAGES, _REFUSE),
        m.Hello: LinkState.ESTABLISHED,
        m.Bye: LinkState.CLOSED,
        LinkEvent.ENDED: LinkState.CLOSED,
    },
    LinkState.ESTABLISHED: {
        **dict.fromkeys(_MESSAGES, LinkState.ESTABLISHED),
        m.Hello: _REFUSE,
        m.Bye: LinkState.CLOSED,
        LinkEvent.ENDED: LinkState.CLOSED,
    },
    LinkState.CLOSED: {
        **dict.fromkeys(_MESSAGES, _DROP),
        LinkEvent.ENDED: LinkState.CLOSED,
    },
}

#: What the sender of a stream sends.
FROM_SENDER: Final[tuple[type, ...]] = (
    m.Batch,
    m.Supply,
    m.Offer,
    m.Stale,
    m.Closed,
    m.Opened,
    m.RepairSummary,
    m.RepairAnswer,
    m.RepairItems,
    m.RepairFates,
    m.BaseWanted,
)


def _incoming(
    state: IncomingState, *, streaming: bool = False, repairing: bool = False
) -> dict[Event, IncomingState | NoState]:
    """Return what is the same in many states: void messages, beginning anew and the end."""
    served = streaming or repairing
    return {
        **dict.fromkeys(FROM_SENDER, _DROP),
        IncomingEvent.BEGINS_ANEW: IncomingState.IDLE,
        IncomingEvent.ASKS_FOR_CURSOR: _NEVER,
        IncomingEvent.CURSOR_FOUND: _NEVER,
        IncomingEvent.REPAIR_DUE: IncomingState.REPAIRING if streaming else _NEVER,
        IncomingEvent.REPAIR_OVER: IncomingState.STREAMING if repairing else _NEVER,
        IncomingEvent.ENDED: IncomingState.ENDED,
        **({m.Closed: IncomingState.CLOSED, m.Opened: _REFUSE, m.Offer: state} if served else {}),
        # While streaming: the answer to a question that is asked beside the stream.
        **({m.RepairFates: state} if served else {}),
    }


INCOMING: Final[Table[IncomingState]] = {
    IncomingState.IDLE: {
        **_incoming(IncomingState.IDLE),
        IncomingEvent.ASKS_FOR_CURSOR: IncomingState.FINDING,
    },
    IncomingState.FINDING: {
        **_incoming(IncomingState.FINDING),
        IncomingEvent.CURSOR_FOUND: IncomingState.STREAMING,
    },
    IncomingState.STREAMING: {
        **_incoming(IncomingState.STREAMING, streaming=True),
        m.Batch: IncomingState.STREAMING,
        m.Supply: IncomingState.STREAMING,
        m.BaseWanted: IncomingState.STREAMING,
        m.Stale: IncomingState.REPAIRING,
        m.RepairSummary: _REFUSE,
        m.RepairAnswer: _REFUSE,
        m.RepairItems: _REFUSE,
    },
    IncomingState.REPAIRING: {
        **_incoming(IncomingState.REPAIRING, repairing=True),
        m.RepairSummary: IncomingState.REPAIRING,
        m.RepairAnswer: IncomingState.REPAIRING,
        m.RepairItems: IncomingState.REPAIRING,
    },
    IncomingState.CLOSED: {
        **_incoming(IncomingState.CLOSED),
        m.Opened: IncomingState.IDLE,
    },
    IncomingState.ENDED: {
        **_incoming(IncomingState.ENDED),
        IncomingEvent.BEGINS_ANEW: _NEVER,
    },
}


def _queue(following: Mapping[QueueEvent, QueueState]) -> dict[Event, QueueState | NoState]:
    cells: dict[Event, QueueState | NoState] = {
        event: following.get(event, _NEVER) for event in QueueEvent
    }
    cells[QueueEvent.STREAM_LEFT] = QueueState.READY
    cells[QueueEvent.STOPPED] = QueueState.STOPPED
    return cells


#: Inside INCOMING, while it is STREAMING or REPAIRING: the batch that is to be applied next.
QUEUE: Final[Table[QueueState]] = {
    QueueState.READY: _queue({QueueEvent.APPLIES: QueueState.APPLYING}),
    QueueState.APPLYING: _queue(
        {
            QueueEvent.APPLIED: QueueState.READY,
            QueueEvent.LACKS: QueueState.WANTING,
            QueueEvent.LACKS_PULLED: QueueState.WANTING_PART,
            QueueEvent.LACKS_ONLY_PULLED: QueueState.WAITING,
        }
    ),
    QueueState.WANTING: _queue({QueueEvent.SUPPLIED: QueueState.READY}),
    QueueState.WANTING_PART: _queue({QueueEvent.SUPPLIED: QueueState.APPLYING_PART}),
    QueueState.APPLYING_PART: _queue({QueueEvent.APPLIED: QueueState.READY}),
    QueueState.WAITING: _queue({QueueEvent.TRIES_AGAIN: QueueState.READY}),
    QueueState.STOPPED: {**_queue({}), QueueEvent.STREAM_LEFT: _NEVER},
}

#: What the receiver of a stream sends.
FROM_RECEIVER: Final[tuple[type, ...]] = (
    m.Unsubscribe,
    m.Ack,
    m.Want,
    m.RepairBegin,
    m.RepairCells,
    m.RepairPull,
    m.RepairHave,
    m.RepairDone,
    m.Base,
)


def _outgoing() -> dict[Event, OutgoingState | NoState]:
    """Return what is the same in many states; the receiver may not know yet that it is void."""
    return {
        **dict.fromkeys(FROM_RECEIVER, _DROP),
        m.Unsubscribe: OutgoingState.ENDED,
        **dict.fromkeys(OutgoingEvent, _NEVER),
        # A question of a repair that is still read may find the scope closed, in any state.
        OutgoingEvent.SCOPE_CLOSED: OutgoingState.CLOSED,
    }


OUTGOING: Final[Table[OutgoingState]] = {
    OutgoingState.STREAMING: {
        **_outgoing(),
        m.Ack: OutgoingState.STREAMING,
        m.Want: OutgoingState.STREAMING,
        m.Base: OutgoingState.STREAMING,
        m.RepairBegin: OutgoingState.WAITING,
        m.RepairCells: _REFUSE,
        m.RepairPull: _REFUSE,
        m.RepairHave: OutgoingState.STREAMING,
        m.RepairDone: _REFUSE,
        OutgoingEvent.REPAIR_NEEDED: OutgoingState.WAITING,
        OutgoingEvent.NOT_UNDERSTOOD: OutgoingState.ENDED,
    },
    OutgoingState.WAITING: {
        **_outgoing(),
        m.RepairBegin: OutgoingState.WAITING,
        m.RepairCells: OutgoingState.WAITING,
        m.RepairPull: OutgoingState.WAITING,
        m.RepairHave: OutgoingState.WAITING,
        m.RepairDone: OutgoingState.STREAMING,
    },
    OutgoingState.CLOSED: {**_outgoing(), OutgoingEvent.SCOPE_OPENED: OutgoingState.ENDED},
    OutgoingState.ENDED: _outgoing(),
}
