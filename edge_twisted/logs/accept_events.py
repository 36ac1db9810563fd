# SPDX-License-Identifier: Apache-2.0
"""
Rewrites Twisted's events about refused connections, and adds the remedy.

For each connection that finds no file descriptor left, Twisted logs three lines at level info.
They become one warning, of a kind that `repeats` counts.
"""

from __future__ import annotations

from typing import Final

from twisted.logger import LogEvent, LogLevel

from edge_twisted.logs.fields import REPEATS

#: Templates of Twisted whose events repeat what another event says.
_SAID_ALREADY: Final = frozenset(
    {
        "EMFILE encountered; releasing reserved file descriptor.",
        "Re-reserving EMFILE recovery file descriptor.",
        "Could not reserve EMFILE recovery file descriptor.",
        "Could not re-reserve EMFILE recovery file descriptor.",
    }
)
_CLOSED: Final = "EMFILE recovery: Closed socket from {address}"
_REFUSED: Final = "Could not accept new connection ({acceptError})"
_NO_DESCRIPTOR: Final = (
    "No file descriptor was left for a connection, which was closed: raise LimitNOFILE of the"
    " unit, or lower http_server.max_connections"
)
_NOT_ACCEPTED: Final = "A connection could not be accepted now: {reason}"


def reworded(event: LogEvent) -> LogEvent | None:
    """
    Return the event to log in place of one of Twisted's; None if it has nothing new to say.

    Events that are not about accepting connections are returned as they are.
    """
    template = event.get("log_format")
    if template in _SAID_ALREADY:
        return None
    if template == _CLOSED:
        return _warning(event, _NO_DESCRIPTOR)
    if template == _REFUSED:
        return _warning(event, _NOT_ACCEPTED, reason=event.get("acceptError"))
    return event


def _warning(event: LogEvent, template: str, **said: object) -> LogEvent:
    return {
        **said,
        "log_namespace": event.get("log_namespace"),
        "log_time": event.get("log_time"),
        "log_level": LogLevel.warn,
        "log_format": template,
        REPEATS: template,
    }
