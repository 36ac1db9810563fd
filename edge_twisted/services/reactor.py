# SPDX-License-Identifier: Apache-2.0
"""
The only import of the global reactor; other modules are given their part of it.

Importing this module installs the reactor, unless twistd has done so, and makes its timers count
monotonic time, so only `tap` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet import reactor as _reactor
from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import (
    IReactorCore,
    IReactorPluggableNameResolver,
    IReactorSocket,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUNIX,
)

from edge_twisted.services.reactor_time import count_monotonic_time

if TYPE_CHECKING:

    class Reactor(
        IReactorCore,
        IReactorThreads,
        IReactorPluggableNameResolver,
        IReactorSocket,
        IReactorTCP,
        IReactorTime,
        IReactorUNIX,
    ):
        """What the server as a whole asks of a reactor; each part asks for less."""


count_monotonic_time(cast(ReactorBase, _reactor))
reactor = cast("Reactor", _reactor)
