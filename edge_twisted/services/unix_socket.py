# SPDX-License-Identifier: Apache-2.0
"""
A listener on a unix socket that never takes over a socket or a file in use.

A socket file that nobody listens on any more is replaced; one with a live server behind it, and
any other file, is left alone.  At stop the file goes, unless another has taken its place.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.internet import tcp, unix
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorCore
from twisted.python.failure import Failure

from edge_twisted.services.listen_errors import ListenFailed

#: Owner and group may connect: a reverse proxy is put into the group.
SOCKET_MODE = 0o660
#: sun_path of unix(7) less its final zero.
MAX_PATH_BYTES = 107


class UnixPort(unix.Port):
    """
    A unix socket that at stop removes its own file only.

    Twisted's removes whatever is at the path, fails if nothing is there, and shuts a socket down
    that was handed over to it.
    """

    _file: tuple[int, int] | None = None

    def startListening(self) -> None:
        """Make the socket file and note its identity, or take over a socket that was handed in."""
        adopted = self._preexistingSocket is not None
        super().startListening()
        if adopted:
            # It belongs to who made it, who will hand it over again: no shutdown(2) at stop.
            self._shouldShutdown = False
        else:
            self._file = _identity(self._bindPath)

    def connectionLost(self, reason: Failure) -> None:
        """Close the socket; remove its file only if it is still the one that this port made."""
        if self._file is not None and self._file == _identity(self._bindPath):
            super().connectionLost(reason)
        else:
            tcp.Port.connectionLost(self, reason)


def listen_unix(
    reactor: IReactorCore, path: Path, factory: IProtocolFactory, backlog: int
) -> IListeningPort:
    """Listen on the unix socket `path`, an absolute path; a stale file there is replaced.

    :raises ListenFailed: another server listens there, or the path cannot be used; nothing there
        has been touched, and the text has the remedy.
    """
    address = f"unix:{path}"
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise ListenFailed(address, f"the path is longer than {MAX_PATH_BYTES} bytes; shorten it")
    try:
        with _alone_in(path.parent):
            _remove_stale(path, address)
            port = UnixPort(os.fsencode(path), factory, backlog, SOCKET_MODE, reactor)
            port.startListening()
    except CannotListenError as error:
        raise ListenFailed(address, _reason(error.socketError)) from error
    except OSError as error:
        raise ListenFailed(address, _reason(error)) from error
    return port


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep another server from taking the same socket for stale at the same time."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _remove_stale(path: Path, address: str) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        reason = "another file is there, which is not touched; remove it or choose another path"
        raise ListenFailed(address, reason)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fsencode(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # somebody listens, whose queue is full
        except PermissionError:
            reason = "a socket is there, and this user may not ask who listens; remove it"
            raise ListenFailed(address, reason) from None
    raise ListenFailed(address, "another server listens there; stop it or choose another path")


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _reason(error: OSError) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "its folder does not exist; make it or correct the path"
        case PermissionError():
            return "this user may not make files in its folder; give permission to write there"
        case BlockingIOError():
            return "another process holds its folder locked; start again in a moment"
    return error.strerror or str(error)
