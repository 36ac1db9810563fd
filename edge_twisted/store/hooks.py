# SPDX-License-Identifier: Apache-2.0
"""Those who want to know of commits, and of documents that are removed without being deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from edge_twisted.store.interface import RemovalHook, UnitOfWork
from edge_twisted.store.rows import Commit, StoredDocument

log = Logger()


def call_effect(effect: Callable[[], None]) -> None:
    """Call something that a unit of work asked for; what it raises is logged and ends there."""
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
        """Tell them all; one that fails is logged and keeps nobody else from hearing."""
        for hook in tuple(self._hooks.values()):
            call_effect(lambda hook=hook: hook(commit))  # type: ignore[misc]


class RemovalHooks:
    """Those who note something of documents before they go; in the unit that removes them."""

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
        """Tell them all; what one raises is the caller's to handle, for nothing may go."""
        for hook in tuple(self._hooks.values()):
            hook(unit, collection, rows)
