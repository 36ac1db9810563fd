# SPDX-License-Identifier: Apache-2.0
"""
The reactor's time, taken from the monotonic clock.

Twisted counts its timers by the wall clock.  When that is set back by five minutes, no timer fires
for five minutes: no time-out, no keep-alive, no watchdog; when it is set forward, all of them fire
at once.  Twistd may have installed any reactor by the time we are asked, so the clock of the one
that is there is replaced.
"""

from __future__ import annotations

from time import monotonic

from twisted.internet.base import DelayedCall, ReactorBase


def count_monotonic_time(reactor: ReactorBase) -> None:
    """
    Make `reactor` count its timers by the monotonic clock, pending calls included.

    From here on `reactor.seconds()` is a time to measure with, and no date.
    """
    if reactor.seconds is monotonic:
        return
    waiting = [
        (call, max(0.0, call.getTime() - call.seconds()))
        for call in reactor.getDelayedCalls()
        if isinstance(call, DelayedCall)
    ]
    reactor.seconds = monotonic
    for call, left in waiting:
        call.seconds = monotonic
        call.reset(left)
