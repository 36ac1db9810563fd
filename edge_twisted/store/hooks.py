# SPDX-License-Identifier: Apache-2.0
"""Those who want to know of commits."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from edge_twisted.store.rows import Commit

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
