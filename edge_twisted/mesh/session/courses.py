# SPDX-License-Identifier: Apache-2.0
"""
The courses of a link: which subscriptions of the peer travel together (`course`).

Subscriptions of one collection come together when both are at rest and stand at the same place: at
the beginning, before anything is read, and later whenever both have caught up.  So that they meet
although commits go on, a course at rest waits for others that have caught up and whose batch is on
its way: each then waits for one acknowledgement of each other course, once.

While courses of a collection are apart, each leaves out what the peer has by another.  The peer's
cursor says what that is: all of a scope, up to that lsn.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from itertools import chain
from typing import Final, Protocol

from edge_twisted.mesh.ports.port import Port
from edge_twisted.mesh.ports.requests import Delivered
from edge_twisted.mesh.session.course import Course, CourseMember
from edge_twisted.mesh.session.send_window import SendWindow
from edge_twisted.mesh.session.states import OutgoingState

#: Scopes that a read looks at to leave out what the peer has by them: each costs time for each
#: document, and the first few find nearly all.
MAX_DELIVERED: Final = 8


class ApplyProgress(Protocol):
    """The `ApplyBatch` requests that run for what the peer sent."""

    def newest_apply(self, collection: str) -> int:
        """Return the number of the newest `ApplyBatch` that runs for a collection, else 0."""

    def is_applied(self, collection: str, number: int) -> bool:
        """Return whether the `ApplyBatch` of this number and all before it are done."""


class Courses:
    """
    All courses of one link (a `CourseHost`).

    :param is_shared: whether one batch may serve several subscriptions.  If not, each has a course
        of its own, and what another one delivers is not looked at.
    """

    def __init__(
        self, port: Port, window: SendWindow, applies: ApplyProgress, *, is_shared: bool
    ) -> None:
        self._port = port
        self._window = window
        self._applies = applies
        self._is_shared = is_shared
        self._is_ready = False
        self._announces = False
        #: By collection, in the order in which they began: a link may have a thousand courses, and
        #: what happens in a collection concerns only those of this collection.
        self._courses: dict[str, dict[Course, None]] = {}
        #: By collection, courses at rest that were told to wait for others, in that order.
        self._waiting: dict[str, dict[Course, None]] = {}

    # -- subscriptions

    def add(self, member: CourseMember) -> Course:
        """Return a course of its own for a new subscription, or for one that begins anew."""
        collection = member.scope.collection
        course = Course(self._port, self._window, self, collection, [member], self._announces)
        self._add(course)
        return course

    def part(self, course: Course, member: CourseMember) -> Course:
        """Return a course of its own for a subscription that leaves a course or begins anew."""
        if course.members == [member]:
            course.restart()
            return course
        alone = course.alone(member)
        self.remove(course, member)
        self._add(alone)
        return alone

    def remove(self, course: Course, member: CourseMember) -> None:
        """End the part of a subscription in its course."""
        course.remove(member)
        if not course.members:
            self._drop(course)
        self.settled(course)

    def _add(self, course: Course) -> None:
        self._courses.setdefault(course.collection, {})[course] = None

    def _drop(self, course: Course) -> None:
        left = self._courses[course.collection]
        del left[course]
        if not left:
            del self._courses[course.collection]

    # -- what happens

    def ready(self) -> None:
        """Begin to read: the peer has named all that it subscribes to at first."""
        self._is_ready = True
        for course in tuple(self):
            self._window.request(course)

    def announce(self, wanted: bool) -> None:
        """Announce large documents to the peer instead of sending them, if that is `wanted`."""
        self._announces = wanted
        for course in self:
            course.announces = wanted

    def committed(self, collection: str) -> None:
        """Tell the courses of a collection that something became durable here."""
        for course in tuple(self._of(collection)):
            course.committed()

    def applied(self, collection: str) -> None:
        """Let the courses of a collection read on, because an `ApplyBatch` committed something."""
        for course in tuple(self._of(collection)):
            self._window.request(course)

    def came_from_peer(self, collection: str, echoes: tuple[tuple[bytes, int], ...]) -> None:
        """Remember versions (id key, digest) that came from the peer: they are not sent back."""
        for course in self._of(collection):
            course.came_from_peer(echoes)

    def look_at_clock(self) -> None:
        """Send what is not urgent; called about every half second."""
        for course in tuple(self):
            course.look_at_clock()

    def passed(self, newest: int) -> int:
        """Return the lsn here, at most `newest`, up to which the peer has what it wants."""
        return min((each.passed(newest) for each in self), default=newest)

    def __iter__(self) -> Iterator[Course]:
        return chain.from_iterable(self._courses.values())

    def _of(self, collection: str) -> Iterator[Course]:
        return (each for each in self._courses.get(collection, ()) if each.members)

    # -- CourseHost

    @property
    def may_read(self) -> bool:
        """Whether the peer has named all that it subscribes to at first, or need not."""
        # A peer that speaks an older version is served as it always was.
        return self._is_ready or not self._is_shared

    def is_awaited(self, course: Course) -> bool:
        """Return whether a course is to wait for others; see `CourseHost.is_awaited`."""
        if not self._is_shared or not course.is_caught_up or not course.is_at_rest:
            return False
        is_awaited = any(
            other is not course
            and other.is_caught_up
            and not other.is_at_rest
            and other.state is OutgoingState.STREAMING
            for other in self._of(course.collection)
        )
        if is_awaited:
            self._waiting.setdefault(course.collection, {})[course] = None
        return is_awaited

    def delivered(self, course: Course) -> tuple[Delivered, ...]:
        """See `CourseHost.delivered`; the scopes that help most come first."""
        if not self._is_shared:
            return ()
        found = (
            member
            for other in self._of(course.collection)
            if other is not course and other.state is OutgoingState.STREAMING
            for member in other.members
            if member.acknowledged_lsn
        )
        first = nsmallest(
            MAX_DELIVERED, found, key=lambda each: (not each.scope.is_whole, -each.acknowledged_lsn)
        )
        return tuple(Delivered(each.scope, each.acknowledged_lsn) for each in first)

    def settled(self, course: Course) -> None:
        """Bring a resting course together with others; see `CourseHost.settled`."""
        if not self._is_shared:
            self._window.request(course)
            return
        if course.is_at_rest:
            course = self._bring_together(course)
        waiting = self._waiting.pop(course.collection, {})
        for each in (course, *waiting):
            self._window.request(each)

    def _bring_together(self, course: Course) -> Course:
        """Return the course in which one, at rest, goes on together with others."""
        for other in tuple(self._of(course.collection)):
            # One that was just taken over has no members any more.
            if other is course or not other.members:
                continue
            if not other.can_absorb(course) or not other.is_at_rest:
                continue
            for member in course.members:
                member.course = other
            self._drop(course)
            other.absorb(course)
            course = other
        return course

    def newest_apply(self, collection: str) -> int:
        """Return the number of the newest `ApplyBatch` that runs for a collection, else 0."""
        return self._applies.newest_apply(collection)

    def is_applied(self, collection: str, number: int) -> bool:
        """Return whether the `ApplyBatch` of this number and all before it are done."""
        return self._applies.is_applied(collection, number)
