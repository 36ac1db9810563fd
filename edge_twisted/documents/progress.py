# SPDX-License-Identifier: Apache-2.0
"""
Progress of long work on a single value, reported so that a statement can be stopped in the middle.

A document may hold an array of a million numbers; comparing or encoding that takes seconds.  The
functions that do it are called from everywhere and know nothing of the statement they work for.
The runner of a statement installs a *listener* for its thread (`begin` and `end`, or `iterate`);
the functions report their steps to it, and it stops the work by raising, for example on a
deadline.  A step is one element of an array or object.  Values of at most `CHUNK` elements report
nothing and cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar, Token
from typing import Any, Final, TypeVar

T = TypeVar("T")

#: Is called with a number of steps; raises to stop the work.
Listener = Callable[[int], None]

#: Elements between two reports: a quarter of a millisecond of the slowest work.
CHUNK: Final = 256
#: Elements that are sorted between two reports: a few milliseconds.
_RUN: Final = 8_192

# Each thread has a context of its own, and so its own listener.
_LISTENER: Final[ContextVar[Listener | None]] = ContextVar("listener", default=None)


#: Install a listener on this thread; pass the returned token to `end`.  The variable's own methods,
#: because every write calls them.
begin: Final[Callable[[Listener | None], Token[Listener | None]]] = _LISTENER.set
#: Restore the listener from before `begin`, on the same thread.
end: Final[Callable[[Token[Listener | None]], None]] = _LISTENER.reset


def iterate(listener: Listener, steps: Iterator[T]) -> Iterator[T]:
    """
    Yield from an iterator; the listener is installed only while an item is computed.

    What the listener raises ends the iteration, and reaches the caller.
    """
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
    """Return the listener of this thread, or None."""
    return _LISTENER.get()


def report(steps: int) -> None:
    """
    Tell the listener of this thread of some steps, elements of arrays or objects.

    What the listener raises goes through: let it end the work.
    """
    found = _LISTENER.get()
    if found is not None:
        found(steps)


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield a sequence in slices of at most `CHUNK`, reporting `CHUNK` steps before each."""
    listener = _LISTENER.get()
    for start in range(0, len(values), CHUNK):
        if listener is not None:
            listener(CHUNK)
        yield values[start : start + CHUNK]


def report_each(values: Iterable[T]) -> Iterator[T]:
    """Yield the values, reporting `CHUNK` steps after every `CHUNK` of them."""
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
    Return the positions of `keys` in ascending order of the keys; stable.

    The same as ``sorted`` over the positions, but in steps of some milliseconds: runs are sorted,
    then merged in pairs.  Sorting two concatenated runs is a merge, because Timsort detects runs.
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
    """Yield the values, reporting `steps` before each."""
    for value in values:
        report(steps)
        yield value
