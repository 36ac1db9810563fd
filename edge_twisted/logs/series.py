# SPDX-License-Identifier: Apache-2.0
"""
Log files of a configuration: for each key a folder, a rotation, and a writer.

A rule of `config` checks the folders before, because it can report their position in the file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from edge_twisted.config.model import Folder, Logging, RotatingLogs, TemporaryFolder
from edge_twisted.logs.errors import LogFolderUnusable
from edge_twisted.logs.log_file import FOLDER_MODE
from edge_twisted.logs.patient_writer import PatientWriter, reason_of
from edge_twisted.logs.rotating_file import RotatingFile
from edge_twisted.logs.rotation import Rotation

AUDIT_KEY: Final = "logging.edge_server.audit_logs"
ROTATING_KEY: Final = "logging.edge_server.rotating_logs"
AUDIT_PREFIX: Final = "audit.log"

#: Log lines that wait for a disk: minutes of a busy server.
ROTATING_BACKLOG_BYTES: Final = 1024 * 1024
#: Audit lines that wait for a disk: half a minute at a thousand requests per second.
AUDIT_BACKLOG_BYTES: Final = 8 * 1024 * 1024


@define(kw_only=True)
class LogSeries:
    """
    A series of files in one folder, written through `writer`.

    A temporary folder exists from `open` to `close`; any other is made if need be, and stays.
    """

    #: The key of the configuration that asks for the files.
    key: str
    folder: Folder
    rotation: Rotation
    #: Takes lines at any time; lines from before `open` wait.
    writer: PatientWriter
    clock: IReactorTime
    now: Callable[[], float]
    _file: RotatingFile | None = field(default=None, init=False)

    def open(self) -> None:
        """
        Make the folder, open a file, and write the waiting lines.

        :raises LogFolderUnusable: folder or file cannot be made or opened; the server must not
            start.
        """
        folder = self.folder if isinstance(self.folder, Path) else Path(tempfile.gettempdir())
        try:
            if isinstance(self.folder, TemporaryFolder):
                folder = Path(tempfile.mkdtemp(prefix="edge-server-logs-"))
                folder.chmod(FOLDER_MODE)
            self._file = RotatingFile(folder, self.rotation, self.now, self.clock.seconds)
            self.writer.open(self._file)
        except OSError as error:
            reason = reason_of(error)
            raise LogFolderUnusable(key=self.key, folder=folder, reason=reason) from error

    def close(self) -> None:
        """Write the waiting lines, close the file, remove the folder if it is temporary."""
        self.writer.close()
        file, self._file = self._file, None
        if file is not None and isinstance(self.folder, TemporaryFolder):
            shutil.rmtree(file.folder, ignore_errors=True)

    def files(self) -> list[Path]:
        """Return the paths of the series, the oldest first; none unless it is open."""
        return self._file.files() if self._file is not None else []


def rotating_series(
    logging: Logging, clock: IReactorTime, now: Callable[[], float]
) -> LogSeries | None:
    """
    Return the series of files of ``rotating_logs``; None if the configuration has none.

    :param now: returns the time in seconds since the epoch.
    """
    rotating = logging.rotating
    if rotating is None:
        return None
    return LogSeries(
        key=ROTATING_KEY,
        folder=rotating.directory,
        rotation=_rotation(rotating, rotating.prefix, rotating.max_files),
        writer=PatientWriter("The log file", clock, max_backlog_bytes=ROTATING_BACKLOG_BYTES),
        clock=clock,
        now=now,
    )


def audit_series(
    logging: Logging, clock: IReactorTime, now: Callable[[], float]
) -> LogSeries | None:
    """
    Return the series of files of ``audit_logs``; None if the configuration has none.

    It rotates as ``rotating_logs`` do, or daily if there are none.

    :param now: returns the time in seconds since the epoch.
    """
    audit = logging.audit
    if audit is None:
        return None
    like = logging.rotating or RotatingLogs(directory=audit.directory)
    return LogSeries(
        key=AUDIT_KEY,
        folder=audit.directory,
        rotation=_rotation(like, AUDIT_PREFIX, audit.max_files),
        writer=PatientWriter("The audit log", clock, max_backlog_bytes=AUDIT_BACKLOG_BYTES),
        clock=clock,
        now=now,
    )


def _rotation(like: RotatingLogs, prefix: str, max_files: int | None) -> Rotation:
    return Rotation(
        prefix=prefix,
        frequency=like.frequency,
        max_size_bytes=like.max_size_bytes,
        max_files=max_files,
    )


def check_names(logging: Logging) -> None:
    """
    Check that the files of the log and of the audit log have different names.

    :raises LogFolderUnusable: both have the same prefix in the same folder; change one of them.
    """
    if logging.rotating is None or logging.audit is None:
        return
    folder = logging.audit.directory
    if isinstance(folder, TemporaryFolder) or logging.rotating.directory != folder:
        return
    if logging.rotating.prefix == AUDIT_PREFIX:
        reason = f"{AUDIT_PREFIX} is the prefix of the audit log, which is in the same folder"
        raise LogFolderUnusable(key=f"{ROTATING_KEY}.prefix", folder=folder, reason=reason)
