# SPDX-License-Identifier: Apache-2.0
"""
Presence on all links of a node: records that come are checked, and news goes out at its pace.

To check a signature takes some 0.1 ms, and thousands of records may come at once.  So records wait,
for each link in their order, and are checked as steps of the node's computations; how many may wait
is bounded by the rate of PRESENCE (`limits.rates`).

A peer that signs presence has checked what it passes on: one record that is refused ends its link.
A server of version 1 passes on what it does not understand, so its link stays; but when it has
passed on more than `UNCHECKED_FAULTS`, nothing more is taken from it for a while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Final

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from edge_twisted.mesh.limits.buckets import Bucket, Rate
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.presence.gossip import (
    Giver,
    Gossip,
    RecordFault,
    RefusedRecord,
    Spread,
)
from edge_twisted.mesh.presence.graph import Claim
from edge_twisted.mesh.presence.spread import PresenceSpread
from edge_twisted.mesh.wire.end_reasons import EndReason

log = Logger()

#: Forged and damaged records from one server of version 1.  Each costs as much as a good one, and
#: nobody can be held to account for it.
UNCHECKED_FAULTS: Final = Rate(burst=64, per_second=1.0)
#: Faults on one link are logged at most this often.
REPEAT_SECONDS: Final = 60.0


@frozen(kw_only=True)
class PresenceParts:
    """
    What the exchange works with.

    :param compute: runs steps, see `LinkOwner.compute`.
    :param refused: called with each record that is refused, and its link.
    """

    gossip: Gossip
    compute: Callable[[Generator[None, None, object]], Deferred[object]]
    refused: Callable[[Link, RefusedRecord], None]
    clock: IReactorTime


@define(eq=False)
class _Hearing:
    """What came over one link and is not checked yet."""

    giver: Giver
    waiting: deque[bytes] = field(factory=deque)
    #: The check that runs.
    check: Deferred[object] | None = None
    faults: Bucket = field(factory=lambda: Bucket(UNCHECKED_FAULTS))
    logged_at: float = float("-inf")


class PresenceExchange:
    """Presence on the established links of a node; for the reactor thread."""

    def __init__(self, parts: PresenceParts) -> None:
        self._parts = parts
        self._pace: PresenceSpread[Link] = PresenceSpread()
        self._hearings: dict[Link, _Hearing] = {}

    def begins(self, link: Link) -> None:
        """Send all that is known over a link on which both HELLOs are in."""
        assert link.peer is not None
        signs = link.has_signed_presence
        self._hearings[link] = _Hearing(Giver(link.peer, signs))
        records = self._parts.gossip.everything(signed_only=signs)
        self._pace.begins(link, len(records), self._parts.clock.seconds())
        link.run(lambda session: session.send_presence(records))

    def ends(self, link: Link) -> None:
        """Forget a link that is gone, or replaced; harmless for any other."""
        self._pace.ends(link)
        hearing = self._hearings.pop(link, None)
        if hearing is not None:
            hearing.waiting.clear()
            if hearing.check is not None:
                hearing.check.cancel()

    def heard(self, link: Link, records: Sequence[bytes]) -> None:
        """Take encoded records that came over an established link; they are checked in steps."""
        hearing = self._hearings[link]
        hearing.waiting.extend(records)
        if hearing.check is None and hearing.waiting:
            check = hearing.check = self._parts.compute(self._steps(link, hearing))
            check.addErrback(_report)

    def publish(self, claims: Iterable[Claim]) -> None:
        """Set this server's links, and tell all peers if they have changed."""
        spread = self._parts.gossip.publish(claims)
        if spread is not None:
            self._send(spread, None)

    def tick(self, now: float) -> None:
        """Send what waited for its pace, and forget who is long gone."""
        for link in tuple(self._hearings):
            due = self._pace.due(link, now)
            if due:
                link.run(lambda session, due=due: session.send_presence(due))  # type: ignore[misc]
        self._parts.gossip.forget(now)

    # -- inner

    def _steps(self, link: Link, hearing: _Hearing) -> Generator[None, None, None]:
        """Check what waits, one record a step."""
        while hearing.waiting:
            self._take(link, hearing, hearing.waiting.popleft())
            yield
        hearing.check = None

    def _take(self, link: Link, hearing: _Hearing, data: bytes) -> None:
        now = self._parts.clock.seconds()
        if not hearing.giver.signs and hearing.faults.left(now) < 1:
            return
        heard = self._parts.gossip.hear(data, hearing.giver)
        match heard:
            case Spread():
                self._send(heard, None if heard.to_all else link)
            case RefusedRecord():
                self._refuse(link, hearing, heard, now)

    def _refuse(self, link: Link, hearing: _Hearing, refused: RefusedRecord, now: float) -> None:
        self._parts.refused(link, refused)
        about = refused.about or "nobody known"
        if hearing.giver.signs:
            hearing.waiting.clear()
            link.refuse(EndReason.PROTOCOL_VIOLATION, f"a {refused.fault} record of {about}")
            return
        # Servers of version 1 take signatures off what they tell a new peer.
        if refused.fault is RecordFault.UNSIGNED:
            return
        hearing.faults.take(1, now)
        if now - hearing.logged_at >= REPEAT_SECONDS:
            hearing.logged_at = now
            log.warn(
                "Presence of {about} that {peer} passed on is {fault}, and not believed",
                about=about,
                peer=hearing.giver.peer,
                fault=refused.fault,
            )

    def _send(self, spread: Spread, giver: Link | None) -> None:
        now = self._parts.clock.seconds()
        for link, hearing in tuple(self._hearings.items()):
            if link is giver or (hearing.giver.signs and not spread.is_signed):
                continue
            if self._pace.goes_now(link, spread.peer, spread.record, now):
                link.run(lambda session: session.send_presence((spread.record,)))


def _report(failure: Failure) -> None:
    """Log a check that failed, unless its link ended before it was through."""
    if failure.check(CancelledError) is None:
        log.failure("Presence could not be checked", failure)
