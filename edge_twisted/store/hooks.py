# SPDX-License-Identifier: Apache-2.0
"""Those who want to know of commits, and of tombstones that are reaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from edge_twisted.store.interface import ReapHook, WriteTransaction
from edge_twisted.store.rows import Commit, Document

log = Logger()


def call_effect(effect: Callable[[], None]) -> None:
    """Call something that a unit of work asked for; what it raises is logged and ends there."""
    try:
        effect()
    except Exception:  # the boundary to whoever asked for it
        log.failure("An after-commit effect failed.")


class Hooks:
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


class ReapHooks:
    """Those who note something of tombstones before they go; in the unit that reaps them."""

    def __init__(self) -> None:
        self._hooks: dict[object, ReapHook] = {}

    def add(self, hook: ReapHook) -> Callable[[], None]:
        """Add a hook; return a function that takes it away again, harmless when repeated."""
        key = object()
        self._hooks[key] = hook
        return lambda: self._hooks.pop(key, None) and None

    def call(self, unit: WriteTransaction, collection: str, rows: Sequence[Document]) -> None:
        """Tell them all; what one raises is the caller's to handle, for nothing may be reaped."""
        for hook in tuple(self._hooks.values()):
            hook(unit, collection, rows)
