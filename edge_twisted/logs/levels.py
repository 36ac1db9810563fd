# SPDX-License-Identifier: Apache-2.0
"""
Log levels per part, changeable at run time, with ``verbose`` below debug.

An event is verbose when it has level debug and the field `fields.VERBOSE` is true; rooms that may
not import this one write it as ``log.debug("...", log_verbose=True)``.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Final

from twisted.logger import LogEvent, LogLevel

from edge_twisted.config.model import Level, Logging
from edge_twisted.logs.fields import VERBOSE


class Part(Enum):
    """A part of the server with a log level of its own."""

    #: The HTTP API, configuration, services, twistd itself: ``logging.edge_server.level``.
    EDGE_SERVER = "edge-server"
    #: Store, query and mesh, replication among it: ``logging.ditto_sdk``.
    DATA = "ditto_sdk"


#: The rooms of `Part.DATA`.
DATA_NAMESPACES: Final = tuple(
    f"edge_twisted.{room}"
    for room in ("store", "database", "dql", "documents", "mesh", "replication")
)

#: Importance of a level; a part shows lines whose rank is at least that of its level.
RANK: Final = {
    Level.ERROR: 40,
    Level.WARNING: 30,
    Level.INFO: 20,
    Level.DEBUG: 10,
    Level.VERBOSE: 5,
}
VERBOSE_RANK: Final = RANK[Level.VERBOSE]
DEBUG_RANK: Final = RANK[Level.DEBUG]
_INFO_RANK = RANK[Level.INFO]

_BY_NAME = {
    "critical": (50, "critical"),
    "error": (RANK[Level.ERROR], "error"),
    "warn": (RANK[Level.WARNING], "warning"),
    "info": (_INFO_RANK, "info"),
    "debug": (DEBUG_RANK, "debug"),
}
# Keyed by the constants, because `LogLevel.x.name` costs more than all the rest.
_BY_LEVEL = {constant: _BY_NAME[constant.name] for constant in LogLevel.iterconstants()}
_VERBOSE = (VERBOSE_RANK, "verbose")
_UNKNOWN = (_INFO_RANK, "info")


def rank_and_name(event: LogEvent) -> tuple[int, str]:
    """
    Return the rank and the spelled level of an event, such as (30, "warning").

    An event without a level counts as info.
    """
    known = _BY_LEVEL.get(event.get("log_level"), _UNKNOWN)
    if known[0] == DEBUG_RANK and event.get(VERBOSE):
        return _VERBOSE
    return known


@lru_cache(maxsize=4096)  # namespaces come from code; the bound is for those that do not
def part_of(namespace: str) -> Part:
    """Return the part of the server, with a level of its own, that a logger's namespace is in."""
    for room in DATA_NAMESPACES:
        if namespace == room or namespace.startswith(f"{room}."):
            return Part.DATA
    return Part.EDGE_SERVER


class Levels:
    """The levels in force.  Reading is safe from any thread."""

    def __init__(self, logging: Logging) -> None:
        self._ranks: dict[Part, int] = {}
        #: Whether the server part shows debug lines; an attribute, because every request asks.
        self.debugs_server = False
        self.apply(logging)

    def apply(self, logging: Logging) -> None:
        """Take over the levels of a configuration; they hold for the next line."""
        self._ranks = {
            Part.EDGE_SERVER: RANK[logging.level],
            Part.DATA: RANK[logging.ditto_sdk],
        }
        self.debugs_server = self.shows(Part.EDGE_SERVER, Level.DEBUG)

    def shows(self, part: Part, level: Level) -> bool:
        """
        Return whether lines of `level` by `part` are logged.

        For callers to whom making such a line is costly.
        """
        return RANK[level] >= self._ranks[part]
