# SPDX-License-Identifier: Apache-2.0
"""
A subscription of the peer: the sender's side of one stream.

What it is and how far the peer has come with it is kept here; the log is read, and batches are
sent, by the course on which it travels, alone or with others (`course`).  Beside that it supplies
single documents.  The states are `states.OUTGOING`.
"""

from __future__ import annotations

from attrs import define, field

from edge_twisted.documents.versions import VersionVector
from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import Scope
from edge_twisted.mesh.repair.suppliers import Offerer, Supplier
from edge_twisted.mesh.session.bases import ReceiverBase
from edge_twisted.mesh.session.course import Course
from edge_twisted.mesh.session.courses import Courses
from edge_twisted.mesh.session.states import OUTGOING, OutgoingEvent, OutgoingState
from edge_twisted.mesh.wire.messages import Closed, Opened, Stale
from edge_twisted.mesh.wire.state_machine import Event, Machine


@define(eq=False)
class OutgoingStream:
    """The sender's side of one stream (a `CourseMember`); see the head of this module."""

    port: Port
    courses: Courses
    number: int
    scope: Scope
    #: What the peer has of the scope, which deltas build on.
    base: ReceiverBase
    #: The lsn up to which this stream was read, was sent, and is on the peer's disk.
    read_lsn: int = 0
    sent_lsn: int = 0
    acknowledged_lsn: int = 0
    #: Tombstones up to this lsn may be reaped, see `ScopeReading`.
    horizon: int = 0
    course: Course = field(init=False)
    _told_fingerprint: tuple[int, bytes] | None = None
    _machine: Machine[OutgoingState] = field(
        init=False, factory=lambda: Machine(OUTGOING, OutgoingState.STREAMING)
    )
    _supplier: Supplier = field(init=False)
    _offerer: Offerer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._supplier = Supplier(self.port, self.number, self.scope, self.scope_closed)
        self._offerer = Offerer(self.port, self.number, self.scope)
        self.course = self.courses.add(self)

    # -- life

    @property
    def state(self) -> OutgoingState:
        """Where the stream stands."""
        return self._machine.state

    def step(self, event: Event) -> bool:
        """Go to the next state; return False if nothing is to be done. See `Machine.step`."""
        return self._machine.step(event)

    def begin(self, position: int, *, resumes: bool, base: bytes | None = None) -> None:
        """
        Stream what comes after a cursor.

        :param resumes: whether this server gave out the cursor before.
        :param base: the digest of the base that the peer has.
        """
        self.halt()
        self.read_lsn = self.sent_lsn = self.acknowledged_lsn = position
        self.horizon = 0
        self.base.begin(resumes=resumes, digest=base)
        self.courses.settled(self.course)

    def halt(self) -> None:
        """Send nothing more of what was read, for none of it will be acknowledged."""
        self._forget()
        self.course = self.courses.part(self.course, self)

    def end(self) -> None:
        """Stop for good, because the peer has unsubscribed."""
        self._forget()
        self.courses.remove(self.course, self)

    def _forget(self) -> None:
        self._supplier.stop()
        self._told_fingerprint = None
        self.base.is_awaited = False

    def wait_for_repair(self) -> None:
        """Send nothing until the peer has repaired."""
        self.step(OutgoingEvent.REPAIR_NEEDED)
        self.halt()

    def refuse(self, problem: str) -> None:
        """Send CLOSED with the reason why the peer's query is no subscription."""
        self.step(OutgoingEvent.NOT_UNDERSTOOD)
        self.halt()
        self.port.send(Closed(self.number, problem[:1024]))

    def scope_closed(self) -> None:
        """Send CLOSED and stop, together with all members of the course."""
        self.course.close()

    # -- CourseMember

    def say_stale(self, reason: str) -> None:
        """Send STALE with this reason: the cursor is of no use."""
        self.port.send(Stale(self.number, reason[:1024]))

    def say_closed(self) -> None:
        """Send CLOSED: the collection may not be sent."""
        self.port.send(Closed(self.number, "the collection's sync scope is closed"))
        self.step(OutgoingEvent.SCOPE_CLOSED)
        self._forget()

    def say_opened(self) -> None:
        """Send OPENED: the collection may be sent again."""
        self.step(OutgoingEvent.SCOPE_OPENED)
        self.port.send(Opened(self.number))

    # -- what happens

    def acknowledged(self, lsn: int) -> None:
        """Note that the peer has stored the oldest batch on its way, which ends at `lsn`.

        :raises PeerViolation: the peer acknowledges what was not sent; see `Course.acknowledged`.
        """
        self.course.acknowledged(self, lsn)

    def take_base(self, base: VersionVector) -> None:
        """Take the answer to BASE_WANTED.

        :raises PeerViolation: SUBSCRIBE named another base; end the link.
        """
        self.base.take(base)
        self.courses.settled(self.course)

    def idle_fingerprint(self) -> tuple[int, int, bytes] | None:
        """Return what to tell of this stream in KEEP_ALIVE; None: nothing new, or not idle.

        It is (number of the subscription, lsn, fingerprint of 16 bytes), which the peer can
        compare.
        """
        fingerprint = self.course.fingerprint if self.scope.is_whole else None
        is_idle = self.course.is_current and self.sent_lsn >= self.read_lsn
        if fingerprint is None or not is_idle:
            return None
        now = (self.sent_lsn, fingerprint)
        if now == self._told_fingerprint:
            return None
        self._told_fingerprint = now
        return (self.number, *now)

    def look_at_clock(self) -> None:
        """Offer what was gathered, once all is quiet; called about every half second."""
        if self.course.is_current and self.sent_lsn >= self.read_lsn:
            self._offerer.send_gathered()

    # -- single documents

    def supply(self, id_keys: tuple[bytes, ...]) -> None:
        """Send documents of a batch whole, because the peer lacks what their deltas build on.

        :raises PeerViolation: the answer to the last WANT is not complete; end the link.
        """
        self._supplier.begin(id_keys)

    def older(self, id_keys: tuple[bytes, ...]) -> None:
        """Gather documents of which the peer showed older versions, to offer them when idle."""
        self._offerer.gather(id_keys)
