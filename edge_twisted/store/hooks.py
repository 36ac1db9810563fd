# SPDX-License-Identifier: Apache-2.0
"""
Hooks: functions called after commits, and before documents are removed undeleted.

Who hears of a commit, on the reactor thread and after its fsync:

- the effects of its own units first (`UnitOfWork.after_commit`), before the units are answered;
- `services.replication` wakes the sessions of all links with the lsn and the collections' names;
- `replication.stored_documents` looks for new evictions, and for what is in transit;
- `database.database` ends the wait for a commit's number (`Database.reached`);
- `services.store_metrics` counts it.

`tests/unit/test_published.py` holds the list to the callers of `Store.on_commit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from twisted.logger import Logger

from edge_twisted.store.interface import RemovalHook, UnitOfWork
from edge_twisted.store.rows import Commit, StoredDocument

log = Logger()

F = TypeVar("F", bound=Callable[..., None])


def call_effect(effect: Callable[[], None]) -> None:
    """Call an effect of a unit of work on this thread; log what it raises, and raise nothing."""
    try:
        effect()
    except Exception:  # the boundary to the caller that gave the effect
        log.failure("An after-commit effect failed.")


class Hooks(Generic[F]):
    """Functions that are called in the order in which they were added."""

    def __init__(self) -> None:
        self._hooks: dict[object, F] = {}

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def add(self, hook: F) -> Callable[[], None]:
        """Add a hook; return a function that removes it again, harmless when repeated."""
        key = object()
        self._hooks[key] = hook

        def take_away() -> None:
            self._hooks.pop(key, None)

        return take_away


class CommitHooks(Hooks[Callable[[Commit], None]]):
    """Hooks after commits: one that fails is logged, and the others are called."""

    def call(self, commit: Commit) -> None:
        """Call all hooks with a commit; log what one raises, and call the others."""
        for hook in tuple(self._hooks.values()):
            call_effect(partial(hook, commit))


class RemovalHooks(Hooks[RemovalHook]):
    """Hooks that note facts of documents, within the unit of work that removes the documents."""

    def call(self, unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
        """
        Call all hooks with documents about to be removed, within the unit that removes them.

        What a hook raises is passed on: undo the unit, so that the documents stay.

        :param rows: the documents, all of `collection`, as they are stored.
        """
        for hook in tuple(self._hooks.values()):
            hook(unit, collection, rows)
