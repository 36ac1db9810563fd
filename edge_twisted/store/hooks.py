# SPDX-License-Identifier: Apache-2.0
"""Hooks: functions called after commits, and before documents are removed undeleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from edge_twisted.store.interface import RemovalHook, UnitOfWork
from edge_twisted.store.rows import Commit, StoredDocument

log = Logger()


def call_effect(effect: Callable[[], None]) -> None:
    """Call an effect of a unit of work; log what it raises."""
    try:
        effect()
    except Exception:  # the boundary to whoever asked for it
        log.failure("An after-commit effect failed.")


class CommitHooks:
    """After-commit hooks, called in the order in which they were added."""

    def __init__(self) -> None:
        self._hooks: dict[object, Callable[[Commit], None]] = {}

    def add(self, hook: Callable[[Commit], None]) -> Callable[[], None]:
        """Add a hook; return a function that takes it away again, harmless when repeated."""
        key = object()
        self._hooks[key] = hook
        return lambda: self._hooks.pop(key, None) and None

    def call(self, commit: Commit) -> None:
        """Call all hooks; one that fails is logged, and the others are called."""
        for hook in tuple(self._hooks.values()):
            call_effect(lambda hook=hook: hook(commit))  # type: ignore[misc]


class RemovalHooks:
    """Hooks that note facts of documents, within the unit of work that removes them."""

    def __init__(self) -> None:
        self._hooks: dict[object, RemovalHook] = {}

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def add(self, hook: RemovalHook) -> Callable[[], None]:
        """Add a hook; return a function that takes it away again, harmless when repeated."""
        key = object()
        self._hooks[key] = hook
        return lambda: self._hooks.pop(key, None) and None

    def call(self, unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
        """Call all hooks; an exception is passed on, and the documents must stay."""
        for hook in tuple(self._hooks.values()):
            hook(unit, collection, rows)
