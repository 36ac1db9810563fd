# SPDX-License-Identifier: Apache-2.0
"""
How much of each kind of message a link takes: a member that floods ends its own link.

Three bounds (`docs/mesh-protocol.md` prints them).  *Once*: HELLO, MET, READY.
*Answers*: as many as were asked for.  *Rates*: what a peer says unasked, so many at once and so
many a second.  The kinds that are left have bounds of their own: BATCH the window, UNSUBSCRIBE a
subscription that there has to be, the questions of a repair one at a time for each stream
(`repair_sender`), BYE the end.

Rates are far above what honest servers send: the start of a thousand subscriptions, half an hour of
keep-alives that waited while the connection was not read.  Where chance could bring an honest
server near a rate, it keeps to half of it by itself (`OWN_SUBSCRIPTIONS`, `OWN_PRESENCE`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge_twisted.mesh.limits.buckets import Bucket, Rate
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.end_reasons import EndReason
from edge_twisted.mesh.wire.violations import PeerViolation, Refused

#: Sent once on a link; HELLO is counted by the state of the link.
ONCE: Final = (m.Met, m.Ready)

#: What answers something that we said, and how many answers each of ours is good for.
ANSWERS: Final[Mapping[type, tuple[type, ...]]] = {
    m.Ack: (m.Batch,),
    #: One or more for each document that was wanted, and never more than that.
    m.Supply: (m.Want,),
    m.RepairSummary: (m.RepairBegin,),
    m.RepairAnswer: (m.RepairCells,),
    m.RepairItems: (m.RepairPull,),
    m.RepairFates: (m.RepairHave,),
    m.Stale: (m.Subscribe, m.RepairDone),
    m.Opened: (m.Subscribe,),
    # It also comes unasked, at a rate.
    m.Gone: (m.Batch, m.Supply, m.Offer, m.RepairItems, m.RepairHave),
}
_GRANTS: Final[Mapping[type, tuple[type, ...]]] = {
    said: tuple(answer for answer, questions in ANSWERS.items() if said in questions)
    for questions in ANSWERS.values()
    for said in questions
}

#: What comes unasked.
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
    # Counted by record: each is decoded, and sent on to all other links if it is news.  1,024 of
    # a mesh at the beginning.
    m.Presence: Rate(8192, 512.0),
    # A chunk of 64 KiB: 256 MiB/s.
    m.Blob: Rate(16_384, 4096.0),
}
#: Kinds that are not known, and ignored.
UNKNOWN: Final = Rate(4096, 256.0)
#: Bytes that count as one more message of a kind; those of kinds that are left out do not count,
#: for they carry documents.
BYTES_EACH: Final[Mapping[type, int]] = {
    m.Subscribe: 1 << 10,
    m.Gone: 1 << 16,
    m.KeepAlive: 1 << 12,
    m.Presence: 1 << 12,
    m.Closed: 1 << 10,
}

#: What an honest server keeps to.  Subscriptions begin anew with each EVICT, and a client may run
#: that in a loop.
OWN_SUBSCRIPTIONS: Final = Rate(1280, 32.0)
#: Presence that is passed on: a flood that came in must not go out as ours.
OWN_PRESENCE: Final = Rate(4096, 256.0)


def cost(message: m.Message, size: int) -> int:
    """Return for how many a message of so many bytes counts against the rate of its kind."""
    count = max(1, len(message.records)) if isinstance(message, m.Presence) else 1
    each = BYTES_EACH.get(type(message))
    return count if each is None else count + size // each


class Intake:
    """What came over one link so far; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._buckets: dict[type, Bucket] = {}
        self._came_once: set[type] = set()
        #: How many answers of a kind may still come.
        self._due: dict[type, int] = dict.fromkeys(ANSWERS, 0)
        self._unknown = Bucket(UNKNOWN)

    def said(self, kind: type, count: int = 1) -> None:
        """We sent a message that may be answered so many times."""
        for answer in _GRANTS.get(kind, ()):
            self._due[answer] += count

    def take(self, message: m.Message, size: int, now: float) -> None:
        """
        Count a message of so many bytes.

        :raises Refused: it is one of a flood.
        :raises PeerViolation: it cannot come again, or answers nothing.
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
        """
        Count a message of a kind that is ignored.

        :raises Refused: it is one of a flood.
        """
        if not self._unknown.take(1, now):
            raise _flood("messages of unknown kinds", UNKNOWN)


def _flood(what: str, rate: Rate) -> Refused:
    bound = f"more than {rate.burst} at once, or {rate.per_second:g} a second"
    return Refused(EndReason.RATE_EXCEEDED, f"{what}: {bound}")


def answers_to(message: m.Message) -> int:
    """Return how many answers a message of ours may get."""
    match message:
        case m.Want(id_keys=asked) | m.RepairPull(digests=asked):
            return len(asked)
        case _:
            return 1
