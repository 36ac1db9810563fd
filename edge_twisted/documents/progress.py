# SPDX-License-Identifier: Apache-2.0
"""
Long work on a single value tells of its steps, so that whoever waits for it can end it.

A document may hold an array of a million numbers; comparing or encoding that takes seconds.  Such
functions are called from everywhere and know nothing of the statement that they work for.  Who runs
a statement hands in, for the thread at hand, what is to be told of steps (`told`); it raises to end
the work.  Nobody is told of values of the usual size, which cost nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar, Token
from typing import Any, Final, TypeVar

T = TypeVar("T")

Listener = Callable[[int], None]

#: Elements between two steps that are told of: a quarter of a millisecond of the slowest.
CHUNK: Final = 256
#: Elements that are sorted at a time: a few milliseconds.
_RUN: Final = 8_192

# Each thread has a context of its own.
_LISTENER: Final[ContextVar[Listener | None]] = ContextVar("listener", default=None)


#: Install a listener on this thread; pass the returned token to `end`.  The variable's own methods,
#: because every write calls them.
begin: Final[Callable[[Listener | None], Token[Listener | None]]] = _LISTENER.set
#: Restore the listener from before `begin`, on the same thread.
end: Final[Callable[[Token[Listener | None]], None]] = _LISTENER.reset


def iterate(listener: Listener, steps: Iterator[T]) -> Iterator[T]:
    """Yield the same, `spend` being told of the steps that each of them takes, and of no others."""
    while True:
        token = _LISTENER.set(listener)
        try:
            item = next(steps)
        except StopIteration:
            return
        finally:
            _LISTENER.reset(token)
        yield item


def current_listener() -> Listener | None:
    """Return what is told of steps on this thread, None if nobody is."""
    return _LISTENER.get()


def report(steps: int) -> None:
    """Tell of steps; raises whatever ends the work."""
    found = _LISTENER.get()
    if found is not None:
        found(steps)


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield a long sequence in pieces, telling of each before it comes."""
    listener = _LISTENER.get()
    for start in range(0, len(values), CHUNK):
        if listener is not None:
            listener(CHUNK)
        yield values[start : start + CHUNK]


def report_each(values: Iterable[T]) -> Iterator[T]:
    """Yield the same, telling of every `CHUNK` of them."""
    listener = _LISTENER.get()
    left = CHUNK
    for value in values:
        left -= 1
        if not left:
            left = CHUNK
            if listener is not None:
                listener(CHUNK)
        yield value


def sort_positions(keys: Sequence[Any]) -> list[int]:
    """
    Return the positions of `keys` in their order, equal keys as they came.

    What `sorted` would do at one go, in steps of some milliseconds: runs are sorted, and merged in
    pairs.  (A sort of two runs that are in order is a merge: Timsort finds them.)
    """
    key = keys.__getitem__
    runs = [
        sorted(range(start, min(start + _RUN, len(keys))), key=key)
        for start in report_before_each(_RUN, range(0, len(keys), _RUN))
    ]
    while len(runs) > 1:
        pairs = zip(runs[::2], [*runs[1::2], *([[]] if len(runs) % 2 else [])], strict=True)
        merged: list[list[int]] = []
        for left, right in pairs:
            report(len(left) + len(right))
            left.extend(right)
            left.sort(key=key)
            merged.append(left)
        runs = merged
    return runs[0] if runs else []


def report_before_each(steps: int, values: Iterable[T]) -> Iterator[T]:
    """Yield the same, telling of so many steps before each."""
    for value in values:
        report(steps)
        yield value
