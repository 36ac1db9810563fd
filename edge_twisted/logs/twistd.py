# SPDX-License-Identifier: Apache-2.0
"""
Makes twistd log through `LoggingService`.

`twisted.application.app.AppLogger` takes, in this order: ``--logger``, an `ILogObserver` component
of the application, its own text observer.  The component is set when the application becomes the
parent of our plugin's service; earlier lines are kept and replayed by Twisted's `LogBeginner`.

A daemon has no standard streams.  Then, and with ``--logfile``, console lines go to that file
(``twistd.log`` by default), in a bounded number of pieces of bounded size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twisted.logger import ILogObserver
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from edge_twisted.logs.outputs import StandardStreams
from edge_twisted.logs.service import LoggingService

#: twistd's own default, pieces of 1 MB that are never deleted, would fill the disk.
PIECE_BYTES: Final = 10 * 1024 * 1024
OLD_PIECES: Final = 9
FILE_MODE: Final = 0o640


def observe_with(parent: object, logging: LoggingService) -> None:
    """
    Set the observer of `logging` as that of the twistd application `parent`.

    Called from ``setServiceParent`` of the plugin's service.  Any other kind of parent is ignored,
    and so is an application that has an observer already.
    """
    if isinstance(parent, Componentized) and parent.getComponent(ILogObserver, None) is None:
        parent.setComponent(ILogObserver, logging.observer_for_twistd())


def streams_of(options: Mapping[str, object]) -> StandardStreams:
    """
    Return the streams of console lines, as the options of twistd's command line choose them.

    Nothing is opened yet.

    :param options: name -> value, as twistd parsed them.
    """
    path = options.get("logfile") or None
    if path == "-" or (path is None and options.get("nodaemon")):
        return StandardStreams()
    file = LogFileStream(str(path or "twistd.log"))
    return StandardStreams(out=file, err=file)


class LogFileStream:
    """A log file in place of the console, of mode `FILE_MODE`; opened at the first write."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: LogFile | None = None

    def is_terminal(self) -> bool:
        """Return False: a file is no terminal."""
        return False

    def write(self, data: memoryview) -> int:
        """
        Write all bytes in `data`, and return how many they are.

        :raises OSError: the file cannot be opened or written.
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
