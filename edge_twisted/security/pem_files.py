# SPDX-License-Identifier: Apache-2.0
"""
Reads a certificate and its key at one moment, with an error for each obstacle.

A renewal replaces the two files one after another, sometimes by changing symbolic links (certbot).
`read_pair` returns the bytes of two files that did not change while they were read, which no
library offers; whether key and certificate match is checked by `certificates`.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from attrs import field, frozen

from edge_twisted.config.model import TlsFiles
from edge_twisted.security.certificate_errors import (
    CertificateProblem,
    FileChanging,
    FileMissing,
    FileUnreadable,
    Role,
)

#: More than any chain of certificates needs; bounds memory when the path is wrong.
MAX_FILE_BYTES = 1 << 20
#: Attempts to read files that change meanwhile.
READ_ATTEMPTS = 3


#: Identity of a file's content without reading the file; equal states mean an unchanged file: path
#: behind symbolic links, device, inode, size, and times of modification and change in ns.
FileState = tuple[str, int, int, int, int, int]
#: The states of both files, certificate first; None for a file that is not there.
PairState = tuple[FileState | None, FileState | None]


@frozen(kw_only=True)
class PemPair:
    """The bytes of both files, and the state in which they were read."""

    cert: bytes
    key: bytes = field(repr=False)
    state: PairState


def state_of(files: TlsFiles) -> PairState:
    """Return the states of both files; equal states mean that nothing has changed.

    Symbolic links are followed; takes two system calls for each file.
    """
    return _state(files.cert), _state(files.key)


def read_pair(files: TlsFiles) -> tuple[PemPair | None, list[CertificateProblem]]:
    """Read both files as they were at one moment; return (pair, []), or (None, problems)."""
    for _ in range(READ_ATTEMPTS):
        before = state_of(files)
        problems: list[CertificateProblem] = []
        cert = _read("cert", files.cert, problems)
        key = _read("key", files.key, problems)
        if state_of(files) != before:
            continue
        if problems:
            return None, problems
        return PemPair(cert=cert, key=key, state=before), []
    return None, [FileChanging("cert", files.cert)]


def _state(path: Path) -> FileState | None:
    try:
        target = os.path.realpath(path)
        found = os.stat(target)
    except OSError:
        return None
    times = found.st_mtime_ns, found.st_ctime_ns
    return target, found.st_dev, found.st_ino, found.st_size, *times


def _read(role: Role, path: Path, problems: list[CertificateProblem]) -> bytes:
    try:
        # Checked before opening, because opening a pipe would wait for a writer.
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            problems.append(FileUnreadable(role, path, "it is a folder; name the file in it"))
            return b""
        if not stat.S_ISREG(kind):
            problems.append(FileUnreadable(role, path, "it is not a regular file; name one"))
            return b""
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        what = f"points to {os.path.realpath(path)}, which does" if path.is_symlink() else "does"
        problems.append(FileMissing(role, path, f"{what} not exist"))
    except PermissionError:
        problems.append(FileUnreadable(role, path, _needed_permission(path)))
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        problems.append(FileUnreadable(role, path, f"{reason}; correct the path or the file"))
    else:
        if len(data) <= MAX_FILE_BYTES:
            return data
        problems.append(FileUnreadable(role, path, "it is larger than 1 MiB; name another file"))
    return b""


def _needed_permission(path: Path) -> str:
    user = _user_name()
    real = Path(os.path.realpath(path))
    # Outermost first: a folder that this user may not enter hides those below it.
    for folder in reversed(real.parents):
        if not os.access(folder, os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            return (
                f"user {user} needs permission to enter (x) the folder {folder}; give it, for "
                f"instance by `setfacl -m u:{user}:x {folder}`"
            )
    return (
        f"user {user} needs read permission (r) on it; give it, for instance by "
        f"`setfacl -m u:{user}:r {real}`"
    )


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
