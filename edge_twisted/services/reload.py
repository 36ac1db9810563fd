# SPDX-License-Identifier: Apache-2.0
"""
Reload in two phases: all parts verify the new configuration, then all commit it.

The scheme is syncthing's ``lib/config/wrapper.go``: if one part refuses, nothing changes.  A part
returns the keys that it cannot change while it runs, and applies the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import frozen
from twisted.logger import Logger

from edge_twisted.config.model import Configuration
from edge_twisted.errors import EdgeError

log = Logger()


class Reloadable(Protocol):
    """A part of the server that can take a new configuration while it runs."""

    def verify(self, new: Configuration) -> Sequence[str]:
        """Return the reasons against `new`, a sentence each; changes nothing."""

    def commit(self, new: Configuration) -> Sequence[str]:
        """Apply `new`; return the keys whose change takes effect only after a restart."""


@frozen(kw_only=True)
class ReloadOutcome:
    """The outcome of a reload: problems, or the keys that only a restart can apply."""

    problems: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()

    @property
    def applied(self) -> bool:
        """Whether the new configuration is in force."""
        return not self.problems


class Reloader:
    """Loads the file anew and takes it through both phases."""

    def __init__(self, load: Callable[[], Configuration], parts: Sequence[Reloadable]) -> None:
        self._load = load
        self._parts = tuple(parts)

    def reload(self) -> ReloadOutcome:
        """Reload now, on the calling (reactor) thread, and log what came of it."""
        outcome = self._two_phases()
        for problem in outcome.problems:
            log.error("Reload refused, nothing changed: {problem}", problem=problem)
        for key in outcome.needs_restart:
            log.warn("{key} changed: needs restart", key=key)
        if outcome.applied:
            log.info("Configuration reloaded", needs_restart=list(outcome.needs_restart))
        return outcome

    def _two_phases(self) -> ReloadOutcome:
        try:
            new = self._load()
        except EdgeError as error:
            return ReloadOutcome(problems=tuple(str(error).splitlines()))
        problems = [problem for part in self._parts for problem in part.verify(new)]
        if problems:
            return ReloadOutcome(problems=tuple(problems))
        keys = [key for part in self._parts for key in part.commit(new)]
        return ReloadOutcome(needs_restart=tuple(dict.fromkeys(keys)))
