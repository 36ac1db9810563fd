# SPDX-License-Identifier: Apache-2.0
"""The allocator is set up before there are threads, and trimmed off the reactor's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from edge_twisted.services.allocator import ARENAS, TRIM_SECONDS, Allocator, glibc


@define
class _Library:
    """Notes what it is asked."""

    calls: list[tuple[Any, ...]] = field(factory=list)

    def mallopt(self, name: int, value: int) -> None:
        self.calls.append(("mallopt", name, value))

    def malloc_trim(self, pad: int) -> None:
        self.calls.append(("malloc_trim", pad))


def test_it_is_trimmed_while_it_runs() -> None:
    clock, library = Clock(), _Library()
    threads: list[Callable[[], object]] = []
    part = Allocator(cast(IReactorTime, clock), threads.append, lambda: library)
    part.startService()
    assert library.calls == [("mallopt", -8, ARENAS)]
    clock.advance(TRIM_SECONDS - 1)
    assert threads == []
    clock.advance(1)
    assert library.calls == [("mallopt", -8, ARENAS)], "not on the reactor's thread"
    threads[0]()
    assert library.calls[1:] == [("malloc_trim", 0)]
    clock.advance(TRIM_SECONDS)
    assert len(threads) == 2
    part.stopService()
    clock.advance(TRIM_SECONDS)
    assert len(threads) == 2
    assert clock.getDelayedCalls() == []


def test_another_library_is_left_alone() -> None:
    clock = Clock()
    part = Allocator(cast(IReactorTime, clock), lambda work: None, lambda: None)
    part.startService()
    assert clock.getDelayedCalls() == []
    part.stopService()


def test_the_real_one_if_there_is_one() -> None:
    library = glibc()
    if library is not None:
        assert library.malloc_trim(0) in (0, 1)
