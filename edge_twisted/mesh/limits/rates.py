# SPDX-License-Identifier: Apache-2.0
"""
Rates: how much of each kind of message a link takes, so that a flood ends only its own link.

There are three bounds, which `docs/mesh-protocol.md` prints.  *Once*: HELLO, MET and READY come
once.  *Answers* come as often as they were asked for.  *Rates* bound what a peer says unasked: so
many at once and so many a second.  Other kinds have bounds elsewhere: BATCH the window, UNSUBSCRIBE
the number of subscriptions, the questions of a repair one at a time for each stream
(`repair.sender`), and after BYE nothing is heard.

Rates are far above what honest servers send: the start of a thousand subscriptions, half an hour of
keep-alives that waited while the connection was not read.  Where chance could bring an honest
server near a rate, that server keeps to half of the rate (`OWN_SUBSCRIPTIONS`, `OWN_PRESENCE`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge_twisted.mesh.limits.buckets import Bucket, Rate
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.end_reasons import EndReason
from edge_twisted.mesh.wire.violations import PeerViolation, Refused

#: Come once on a link; a second HELLO is refused by the table of the link's states.
ONCE: Final = (m.Met, m.Ready)

#: Kinds of answers, and the kinds of messages that each may answer.
ANSWERS: Final[Mapping[type, tuple[type, ...]]] = {
    m.Ack: (m.Batch,),
    #: At most one for each document of the WANT.
    m.Supply: (m.Want,),
    m.RepairSummary: (m.RepairBegin,),
    m.RepairAnswer: (m.RepairCells,),
    m.RepairItems: (m.RepairPull,),
    m.RepairFates: (m.RepairHave,),
    m.Stale: (m.Subscribe, m.RepairDone),
    m.Opened: (m.Subscribe,),
    m.BaseWanted: (m.Subscribe,),
    m.Base: (m.BaseWanted,),
    # GONE also comes unasked, at a rate.
    m.Gone: (m.Batch, m.Supply, m.Offer, m.RepairItems, m.RepairHave),
}
_GRANTS: Final[Mapping[type, tuple[type, ...]]] = {
    said: tuple(answer for answer, questions in ANSWERS.items() if said in questions)
    for questions in ANSWERS.values()
    for said in questions
}

#: Bounds of what comes unasked.
RATES: Final[Mapping[type, Rate]] = {
    # A query is parsed and its stream begins: milliseconds.  1,024 at the beginning, and again
    # after EVICT or a change of sync scopes.
    m.Subscribe: Rate(2560, 64.0),
    # The digests of a scope are read and sketched: a second for a million.  One for each scope at
    # the beginning, up to three in a row while documents change, then one in 30 s at most.
    m.RepairBegin: Rate(2560, 16.0),
    # Up to 4,096 documents are read.  Several for each batch, where documents are announced.
    m.Want: Rate(8192, 1024.0),
    # A transaction each.
    m.Offer: Rate(8192, 512.0),
    m.Gone: Rate(1024, 64.0),
    # The stream halts.  One for each subscription, or two.
    m.Closed: Rate(2560, 64.0),
    # All streams are looked at.  One in 1.5 s.
    m.KeepAlive: Rate(2048, 4.0),
    # All streams are told.  Two a second, when other links come and go all the time.
    m.Announce: Rate(256, 4.0),
    # A number is noted.  One for each time that what was declared is exceeded, which doubles.
    m.Clock: Rate(256, 4.0),
    # Counted by record: each is decoded, and sent on to all other links if it is news.  1,024 of
    # a mesh at the beginning.
    m.Presence: Rate(8192, 512.0),
    # A chunk of 64 KiB: 256 MiB/s.
    m.Blob: Rate(16_384, 4096.0),
}
#: The bound of unknown kinds, which are ignored.
UNKNOWN: Final = Rate(4096, 256.0)
#: Bytes that count as one more message of a kind.  Bytes of other kinds do not count, because those
#: carry documents.
BYTES_EACH: Final[Mapping[type, int]] = {
    m.Subscribe: 1 << 10,
    m.Gone: 1 << 16,
    m.KeepAlive: 1 << 12,
    m.Presence: 1 << 12,
    m.Closed: 1 << 10,
}

#: The rate of SUBSCRIBE that this server keeps to.  Subscriptions begin anew with each EVICT, and a
#: client may run EVICT in a loop.
OWN_SUBSCRIPTIONS: Final = Rate(1280, 32.0)
#: The rate at which presence is passed on, so that a flood that came in does not go out.
OWN_PRESENCE: Final = Rate(4096, 256.0)


def cost(message: m.Message, size: int) -> int:
    """Return how many tokens of the rate of its kind a message of `size` bytes costs."""
    count = max(1, len(message.records)) if isinstance(message, m.Presence) else 1
    each = BYTES_EACH.get(type(message))
    return count if each is None else count + size // each


class Intake:
    """Counts what came over one link; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._buckets: dict[type, Bucket] = {}
        self._came_once: set[type] = set()
        #: Kind of answer -> how many may still come.
        self._due: dict[type, int] = dict.fromkeys(ANSWERS, 0)
        self._unknown = Bucket(UNKNOWN)

    def said(self, kind: type, count: int = 1) -> None:
        """Note that a message was sent that may get `count` answers."""
        for answer in _GRANTS.get(kind, ()):
            self._due[answer] += count

    def take(self, message: m.Message, size: int, now: float) -> None:
        """Count a message of `size` bytes that came.

        :raises Refused: the message exceeds the rate of its kind; end the link with its reason.
        :raises PeerViolation: the message may not come again, or answers nothing; end the link.
        """
        kind = type(message)
        if self._due.get(kind):
            self._due[kind] -= 1
        elif (rate := RATES.get(kind)) is not None:
            bucket = self._buckets.get(kind) or self._buckets.setdefault(kind, Bucket(rate))
            if not bucket.take(cost(message, size), now):
                raise _flood(kind.__name__, rate)
        elif kind in ANSWERS:
            raise PeerViolation(f"{kind.__name__} that answers nothing")
        elif kind in ONCE:
            if kind in self._came_once:
                raise PeerViolation(f"a second {kind.__name__}")
            self._came_once.add(kind)

    def take_unknown(self, now: float) -> None:
        """Count a message of a kind that is ignored.

        :raises Refused: it exceeds the rate of unknown kinds; end the link with its reason.
        """
        if not self._unknown.take(1, now):
            raise _flood("messages of unknown kinds", UNKNOWN)


def _flood(what: str, rate: Rate) -> Refused:
    bound = f"more than {rate.burst} at once, or {rate.per_second:g} a second"
    return Refused(EndReason.RATE_EXCEEDED, f"{what}: {bound}")


def answers_to(message: m.Message) -> int:
    """Return how many answers a message of this server may get."""
    match message:
        case m.Want(id_keys=asked) | m.RepairPull(digests=asked):
            return len(asked)
        case _:
            return 1
