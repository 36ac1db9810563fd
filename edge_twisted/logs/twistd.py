# SPDX-License-Identifier: Apache-2.0
"""
How twistd is made to log through us.

`twisted.application.app.AppLogger` takes, in this order: ``--logger``, an `ILogObserver` component
of the application, its own text observer.  The application appears only when it becomes the parent
of the service that our plugin made, so that is when the component is set; the lines from before are
kept and replayed by Twisted's `LogBeginner`.

A daemon has no standard streams.  There, and where ``--logfile`` was given, what would go to the
console goes to that file (``twistd.log`` by default), in pieces of bounded number and size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twisted.logger import ILogObserver
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from edge_twisted.logs.outputs import StandardStreams
from edge_twisted.logs.service import LoggingService

#: twistd's own default is pieces of 1 MB that nothing ever deletes.
PIECE_BYTES: Final = 10 * 1024 * 1024
OLD_PIECES: Final = 9
FILE_MODE: Final = 0o640


def observe_with(parent: object, logging: LoggingService) -> None:
    """
    Make the observer of `logging` that of a twistd application.

    To be called from the ``setServiceParent`` of the plugin's service with its parent; any parent
    but an application, and an application that has an observer already, is left alone.
    """
    if isinstance(parent, Componentized) and parent.getComponent(ILogObserver, None) is None:
        parent.setComponent(ILogObserver, logging.observer_for_twistd())


def streams_of(options: Mapping[str, object]) -> StandardStreams:
    """Return where console lines go by twistd's own options; opens nothing yet."""
    path = options.get("logfile") or None
    if path == "-" or (path is None and options.get("nodaemon")):
        return StandardStreams()
    file = LogFileStream(str(path or "twistd.log"))
    return StandardStreams(out=file, err=file)


class LogFileStream:
    """A file in place of the console, made 0640; opened at the first write."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: LogFile | None = None

    def is_terminal(self) -> bool:
        """Nobody looks at it."""
        return False

    def write(self, data: memoryview) -> int:
        """
        Write all of `data`.

        :raises OSError: it cannot be opened or written.
        """
        if self._file is None:
            self._file = LogFile.fromFullPath(
                self._path,
                rotateLength=PIECE_BYTES,
                defaultMode=FILE_MODE,
                maxRotatedFiles=OLD_PIECES,
            )
        self._file.write(bytes(data))
        return len(data)
