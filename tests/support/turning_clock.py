# SPDX-License-Identifier: Apache-2.0
"""A clock that takes one turn at a time, as a reactor does."""

from __future__ import annotations

from twisted.internet.task import Clock


class TurningClock(Clock):
    """
    Twisted's clock calls in one `advance` also what is put off meanwhile; a reactor does not.

    `turn` calls what is due, and leaves what that puts off for the next turn.
    """

    def turn(self) -> None:
        """Call everything that is due now."""
        due = [call for call in self.calls if call.getTime() <= self.seconds()]
        for call in due:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
