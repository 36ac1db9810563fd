# SPDX-License-Identifier: Apache-2.0
"""
A course: one reading of a collection's log, for all subscriptions of a link that stand together.

The course reads the log batch by batch, each from the lsn where the last one ended, and shares the
peer's window with the other courses of the link (`send_window`).  While the peer is behind, several
batches are on their way.  Once it has caught up, one is: commits made meanwhile gather into the
next batch, so that a burst of small changes becomes few messages.

A document that matches several subscriptions of the course is read, made and sent once, in one
BATCH that names them all.  Subscriptions come together while nothing of theirs is read or on its
way (`absorb`), and leave one by one (`remove`); `courses` decides when.  A subscription that stands
further on than others is not concerned by a batch before the others have come as far.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
from attrs import define, field

from edge_twisted.documents.versions import VersionVector
from edge_twisted.mesh.ports.effects import Withheld
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import (
    Changes,
    ChangesAnswer,
    CursorUnknown,
    Delivered,
    ReadChanges,
    Scope,
    ScopeClosed,
    ScopeReading,
)
from edge_twisted.mesh.session.bases import ReceiverBase, with_news
from edge_twisted.mesh.session.send_window import SendWindow
from edge_twisted.mesh.session.states import OutgoingState
from edge_twisted.mesh.wire.items import Item
from edge_twisted.mesh.wire.messages import BaseWanted, Batch, encode
from edge_twisted.mesh.wire.values import (
    ENTRY_BYTES,
    pieces,
    size_of,
    withheld,
    write_items,
)
from edge_twisted.mesh.wire.violations import PeerViolation

#: Larger documents are announced to peers that have other sources.
ANNOUNCE_ABOVE_BYTES: Final = 512
#: What one batch comes to, unless a single commit is larger.
BATCH_BYTES: Final = 256 * 1024
#: Versions remembered because the peer itself sent them, so they are not sent back.  The bound is
#: for memory only: a forgotten version is sent back, and merging it changes nothing.
MAX_ECHOES: Final = 8192
#: Commits between two cursors that still count as the same place, before anything is read: whoever
#: is ahead waits for about one batch.
NEAR_COMMITS: Final = 256
_UNSERVED: Final = (OutgoingState.ENDED, OutgoingState.CLOSED)


class CourseMember(Protocol):
    """A subscription of the peer, as its course sees it."""

    number: int
    scope: Scope
    #: The lsn up to which it was read, was sent, and is on the peer's disk.
    read_lsn: int
    sent_lsn: int
    acknowledged_lsn: int
    #: What the peer has of the scope, which deltas build on.
    base: ReceiverBase
    #: Tombstones up to this lsn may be reaped, see `ScopeReading`.
    horizon: int
    #: The course on which it travels.
    course: Course

    @property
    def state(self) -> OutgoingState:
        """Where the subscription stands."""

    def say_stale(self, reason: str) -> None:
        """Send STALE: the cursor is of no use, for this reason; the peer has to repair."""

    def say_closed(self) -> None:
        """Send CLOSED: the collection may not be sent."""

    def say_opened(self) -> None:
        """Send OPENED: the collection may be sent again."""

    def wait_for_repair(self) -> None:
        """Leave the course, and send nothing until the peer has repaired."""


class CourseHost(Protocol):
    """What a course needs of the other courses of its link."""

    @property
    def may_read(self) -> bool:
        """Whether the peer has named all that it subscribes to at first."""

    def is_awaited(self, course: Course) -> bool:
        """Return whether the course is to wait for another one, to go on together."""

    def delivered(self, course: Course) -> tuple[Delivered, ...]:
        """Return up to which lsn the peer has which other scopes of the collection."""

    def settled(self, course: Course) -> None:
        """Join a course that has come to rest with others; let all courses that waited read."""

    def newest_apply(self, collection: str) -> int:
        """Return the number of the newest `ApplyBatch` that runs for a collection, else 0."""

    def is_applied(self, collection: str, number: int) -> bool:
        """Return whether the `ApplyBatch` of this number and all before it are done."""


@define(eq=False)
class _Sent:
    """
    A batch that waits for room in the window, or for its acknowledgement.

    :ivar members: whom it is for, in the order in which it names them; who leaves is taken out.
    :ivar knowledge: what the peer has of the scopes once it has applied it; None if unknown.
    """

    message: Batch
    size: int
    members: list[CourseMember]
    knowledge: VersionVector | None

    @classmethod
    def of(
        cls, message: Batch, members: Sequence[CourseMember], knowledge: VersionVector | None
    ) -> _Sent:
        """Return a batch that is still to be sent."""
        return cls(message, len(encode(message)), list(members), knowledge)

    def rename(self) -> None:
        """Take those who left out of the message, which is not sent yet."""
        number, *others = (each.number for each in self.members)
        self.message = msgspec.structs.replace(self.message, number=number, others=others)
        self.size = len(encode(self.message))


@define(eq=False)
class Course:
    """One reading of the log for one or more subscriptions; see the head of this module."""

    port: Port
    window: SendWindow
    host: CourseHost
    collection: str
    members: list[CourseMember]
    #: Whether the peer has other sources, so that large documents are announced, not sent.
    announces: bool = False
    _is_dirty: bool = True
    _is_reading: bool = False
    _held: deque[_Sent] = field(factory=deque)
    _in_flight: deque[_Sent] = field(factory=deque)
    #: Whether the last read came to the end of the log, and whether the last batch sent said so.
    is_caught_up: bool = False
    _said_caught_up: bool = False
    #: Of the collection as of the last read, when caught up.
    _knowledge: VersionVector | None = None
    fingerprint: bytes | None = None
    _echoes: dict[bytes, int] = field(factory=dict)
    #: The number of the `ApplyBatch` to wait for before reading: its echoes are known only then.
    _after_apply: int = 0
    #: Counts how often the course stopped: answers to older questions are ignored.
    _generation: int = 0

    # -- members

    def alone(self, member: CourseMember) -> Course:
        """Return a new course for one that leaves this one; what is known of the peer stays."""
        return Course(
            self.port,
            self.window,
            self.host,
            self.collection,
            [member],
            announces=self.announces,
            echoes=dict(self._echoes),
            after_apply=self._after_apply,
        )

    def remove(self, member: CourseMember) -> None:
        """Forget a member; nothing that was read or sent for it alone will be acknowledged."""
        self.members.remove(member)
        if not self.members:
            self.stop()
            return
        self._held = deque(each for each in self._held if self._is_left(each, member))
        for held in self._held:
            held.rename()
        before = sum(each.size for each in self._in_flight)
        self._in_flight = deque(each for each in self._in_flight if self._is_left(each, member))
        if not self._held and not self._is_reading:
            self.window.release(self)
        self.window.took(sum(each.size for each in self._in_flight) - before)

    @staticmethod
    def _is_left(sent: _Sent, member: CourseMember) -> bool:
        if member in sent.members:
            sent.members.remove(member)
        return bool(sent.members)

    def stop(self) -> None:
        """Forget what was read and sent, for none of it will be acknowledged."""
        self._generation += 1
        self._is_reading = self.is_caught_up = self._said_caught_up = False
        self._held.clear()
        self.fingerprint = None
        sizes = sum(each.size for each in self._in_flight)
        self._in_flight.clear()
        self.window.release(self)
        if sizes:
            self.window.took(-sizes)

    def restart(self) -> None:
        """Drop what was read and sent, and read again from the member's new cursor."""
        self.stop()
        self._is_dirty = True

    def can_absorb(self, other: Course) -> bool:
        """Return whether two courses, both at rest, stand at the same place."""
        if self.is_caught_up and other.is_caught_up:
            return True
        # Most courses that are not at the same place are found out by two of their members.
        if abs(self.members[0].read_lsn - other.members[0].read_lsn) > NEAR_COMMITS:
            return False
        places = [each.read_lsn for each in (*self.members, *other.members)]
        return max(places) - min(places) <= NEAR_COMMITS

    def absorb(self, other: Course) -> None:
        """Take over the members of another course; both are at rest."""
        apart = self.read_lsn != other.read_lsn
        self.members += other.members
        self.members.sort(key=lambda each: each.number)
        other.members = []
        self._is_dirty = self._is_dirty or other._is_dirty or apart
        self.is_caught_up = self.is_caught_up and other.is_caught_up
        self._said_caught_up = self._said_caught_up and other._said_caught_up
        self._knowledge = None if apart else self._knowledge or other._knowledge
        self.fingerprint = None if apart else self.fingerprint or other.fingerprint
        self._after_apply = max(self._after_apply, other._after_apply)
        self.came_from_peer(tuple(other._echoes.items()))
        other.stop()

    # -- where it stands

    @property
    def state(self) -> OutgoingState:
        """The state that all members have in common."""
        return self.members[0].state if self.members else OutgoingState.ENDED

    @property
    def read_lsn(self) -> int:
        """The lsn from which the next read begins."""
        return min((each.read_lsn for each in self.members), default=0)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is read, held or on its way."""
        return self._is_quiet and not self._in_flight

    @property
    def is_current(self) -> bool:
        """Whether the peer has acknowledged everything in the scopes."""
        return self.is_at_rest and self.is_caught_up and not self._is_dirty

    @property
    def _is_quiet(self) -> bool:
        streaming = self.state is OutgoingState.STREAMING
        return streaming and not self._is_reading and not self._held

    def passed(self, newest: int) -> int:
        """Return the lsn here, at most `newest`, up to which the peer has what it wants."""
        # Asked in every step, for each of a thousand courses: what costs least is looked at first.
        is_at_end = self.is_caught_up and not self._is_dirty and not self._in_flight
        # A closed scope sends nothing: whoever waits for its peer would wait for ever.
        if (is_at_end and self.is_current) or self.state in _UNSERVED:
            return newest
        return min(each.acknowledged_lsn for each in self.members)

    # -- what happens

    def committed(self) -> None:
        """Read on: something in the collection became durable here, or may be sent now."""
        self._is_dirty = True
        self._after_apply = self.host.newest_apply(self.collection)
        self.window.request(self)

    def acknowledged(self, member: CourseMember, lsn: int) -> None:
        """
        Note that the peer has stored the oldest batch on its way, which ends at `lsn`.

        :raises PeerViolation: no batch is on its way, or the oldest ends elsewhere, or another
            member acknowledges it.
        """
        sent = self._in_flight[0] if self._in_flight else None
        if sent is None or sent.message.lsn != lsn or sent.members[0] is not member:
            raise PeerViolation("an acknowledgement of what was not sent")
        self._in_flight.popleft()
        for each in sent.members:
            if sent.knowledge is not None:
                each.base.reached(sent.knowledge)
            if not sent.message.is_part:
                each.acknowledged_lsn = lsn
        self.window.took(-sent.size)
        self.host.settled(self)

    def came_from_peer(self, echoes: tuple[tuple[bytes, int], ...]) -> None:
        """Remember versions (id key, digest) that came from the peer: they are not sent back."""
        self._echoes.update(echoes)
        self._bound_echoes()

    def _bound_echoes(self) -> None:
        while len(self._echoes) > MAX_ECHOES:
            del self._echoes[next(iter(self._echoes))]

    # -- reading

    @property
    def wants_turn(self) -> bool:
        """Whether there is something to read now, and nothing to wait for; see `WindowTaker`."""
        if not self._is_dirty or self._is_reading or self._held or not self.host.may_read:
            return False
        if not self.host.is_applied(self.collection, self._after_apply):
            return False
        if any(each.base.is_awaited for each in self.members):
            return False
        if self.state is OutgoingState.CLOSED:
            return True
        # One batch at a time once the peer is up to date, for the next to gather.
        is_pacing = self.is_caught_up and bool(self._in_flight)
        is_streaming = self.state is OutgoingState.STREAMING
        return is_streaming and not is_pacing and not self.host.is_awaited(self)

    def read(self) -> None:
        """Begin to read the next batch from the lowest cursor; see `WindowTaker`."""
        self._is_reading, self._is_dirty = True, False
        generation, skipped = self._generation, self._echoes
        self._echoes = {}
        first, *others = (
            ScopeReading(m.scope, m.read_lsn, m.base.current, m.horizon) for m in self.members
        )
        request = ReadChanges(
            scope=first.scope,
            after=first.after,
            base=first.base,
            horizon=first.horizon,
            others=tuple(others),
            delivered=self.host.delivered(self),
            skip=skipped,
            announce_above=ANNOUNCE_ABOVE_BYTES if self.announces else None,
            limit_bytes=min(BATCH_BYTES, max(self.window.limit_bytes // 4, 1)),
        )
        self.port.ask(request, lambda answer: self._have_read(generation, skipped, answer))

    def _have_read(self, generation: int, skipped: dict[bytes, int], answer: ChangesAnswer) -> None:
        if generation != self._generation:
            return
        self._is_reading = False
        if self.state is OutgoingState.CLOSED:
            self._have_probed(answer)
        elif isinstance(answer, Changes):
            unknown = [each for each in self.members if each.base.is_needed_for(answer.items)]
            if unknown:
                self._ask_for_bases(unknown, skipped)
            else:
                self._take(skipped, answer)
        elif isinstance(answer, CursorUnknown):
            self._cannot_read(answer.reason)
        else:
            self.close()

    def _cannot_read(self, reason: str) -> None:
        # STALE goes first: stopping frees the window, and other courses then send at once.
        members = tuple(self.members)
        for each in members:
            each.say_stale(reason)
        for each in members:
            each.wait_for_repair()

    def close(self) -> None:
        """Send CLOSED for all members and stop; the next commit in the collection asks again."""
        # CLOSED goes first, as STALE above.
        for each in self.members:
            each.say_closed()
        self.stop()
        self.host.settled(self)

    def _have_probed(self, answer: ChangesAnswer) -> None:
        self.window.release(self)
        if not isinstance(answer, ScopeClosed):
            # The receiver subscribes anew, from its cursor by then.
            self.stop()
            for each in self.members:
                each.say_opened()

    def _ask_for_bases(self, members: list[CourseMember], skipped: dict[bytes, int]) -> None:
        """Drop what was read; read it again once the peer has said what deltas may build on."""
        self._is_dirty = True
        self._keep_echoes(skipped)
        for each in members:
            each.base.is_awaited = True
            self.port.send(BaseWanted(each.number))
        self.window.release(self)

    def _keep_echoes(self, skipped: dict[bytes, int]) -> None:
        """Skip these versions again in the next read, which comes to them."""
        self._echoes = {**skipped, **self._echoes}
        self._bound_echoes()

    def _take(self, skipped: dict[bytes, int], changes: Changes) -> None:
        # Who stands further on waits for the others.
        concerned = [m for m in self.members if m.read_lsn < changes.lsn or not changes.more]
        for each in concerned:
            each.read_lsn = changes.lsn
            each.horizon = max(each.horizon, changes.reaped_lsn)
        self.is_caught_up = not changes.more
        if changes.more:
            self._is_dirty = True
            # Versions that this read did not meet come later in the log.
            self._keep_echoes(skipped)
        else:
            self._knowledge, self.fingerprint = changes.knowledge, changes.fingerprint
        if changes.items or (self.is_caught_up and not self._said_caught_up):
            self._hold(changes, concerned)
            self.window.hold(self)
        else:
            self.window.release(self)
        self.host.settled(self)

    # -- sending

    def _hold(self, changes: Changes, concerned: Sequence[CourseMember]) -> None:
        for item in withheld(changes.items):
            self.port.tell(Withheld(self.collection, item.id_key, size_of(item)))
        runs = list(pieces(changes.items))
        for number, run in enumerate(runs, 1):
            is_last = number == len(runs)
            caught_up = is_last and not changes.more
            batch = self._batch(run, changes.lsn, caught_up, not is_last, concerned)
            knowledge = changes.knowledge if caught_up else None
            if knowledge is not None:
                batch = with_news(batch, knowledge, concerned)
            self._held.append(_Sent.of(batch, concerned, knowledge))

    @staticmethod
    def _batch(
        items: Sequence[Item],
        lsn: int,
        caught_up: bool,
        is_part: bool,
        members: Sequence[CourseMember],
    ) -> Batch:
        number, *others = (each.number for each in members)
        return Batch(number, write_items(items), lsn, caught_up, is_part, None, others)

    @property
    def held_bytes(self) -> int | None:
        """The bytes of the oldest batch that waits to be sent; None if none waits."""
        return self._held[0].size if self._held else None

    def send_held(self) -> None:
        """Send the oldest batch that waits for room in the window."""
        self._send(self._held.popleft())

    def _send(self, sent: _Sent) -> None:
        message = sent.message
        for each in sent.members:
            each.sent_lsn = message.lsn
        self._said_caught_up = message.caught_up
        self._in_flight.append(sent)
        self.window.took(sent.size)
        self.port.send_batch(encode(message))

    def look_at_clock(self) -> None:
        """Send an empty batch, if cursors are to pass commits that did not concern them."""
        if not self.is_at_rest or not self.host.may_read:
            return
        lsn, caught_up = self.read_lsn, self.is_caught_up
        behind = [each for each in self.members if each.sent_lsn < lsn]
        if behind:
            batch = self._batch((), lsn, caught_up, False, behind)
            knowledge = self._knowledge if caught_up else None
            if self.window.fits(len(encode(batch)) + ENTRY_BYTES * len(knowledge or ())):
                if knowledge is not None and behind[0].base.features.has_bases:
                    batch = with_news(batch, knowledge, behind)
                self._send(_Sent.of(batch, behind, knowledge))
