# SPDX-License-Identifier: Apache-2.0
"""
A disk that fails when it is told to: an apsw VFS over the system's own.

It counts the calls of one kind, and lets the n-th fail; SQLite sees what it would see of a real
disk, and so does the store above it.  It does not wait for the platters, so that many cases cost
little.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from itertools import count
from threading import Lock

import apsw
from attrs import define, field, frozen

_numbers = count()


class Fault(Enum):
    """What goes wrong, with the operation that it happens to."""

    FULL = "write"
    WRITE_ERROR = "write "
    #: Half of the bytes are written before the disk is full.
    SHORT_WRITE = "write  "
    #: The file system was remounted read-only.
    READ_ONLY = "write   "
    SYNC_ERROR = "sync"
    READ_ERROR = "read"

    @property
    def operation(self) -> str:
        """``write``, ``sync`` or ``read``."""
        return self.value.strip()

    def error(self) -> apsw.Error:
        """Return what the system's VFS would have reported."""
        if self in (Fault.FULL, Fault.SHORT_WRITE):
            return apsw.FullError("injected: no space left")
        if self is Fault.READ_ONLY:
            return apsw.ReadOnlyError("injected: read-only file system")
        error = apsw.IOError(f"injected: {self.operation}")
        # What apsw hands to SQLite; its stubs do not know the attribute.
        setattr(error, "extendedresult", _EXTENDED[self.operation])  # noqa: B010
        return error


_EXTENDED = {
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "read": apsw.SQLITE_IOERR_READ,
}


@frozen
class Plan:
    """Fail at the `at`-th call (from 1) of the fault's operation; `lasting`: and at all later."""

    fault: Fault
    at: int
    lasting: bool = False


@define(eq=False)
class FailingDisk:
    """
    Registers a VFS under a `name` of its own; `unregister` when all its files are closed.

    Calls come from several threads.
    """

    name: str = field(init=False)
    _vfs: _FailingVFS = field(init=False)
    _plan: Plan | None = None
    _calls: int = 0
    _fired: int = 0
    _lock: Lock = field(factory=Lock)

    def __attrs_post_init__(self) -> None:
        self.name = f"failing-disk-{next(_numbers)}"
        self._vfs = _FailingVFS(self.name, self._next)

    def arm(self, plan: Plan) -> None:
        """Begin to count, and fail as planned."""
        with self._lock:
            self._plan, self._calls, self._fired = plan, 0, 0

    def heal(self) -> None:
        """Work from now on."""
        with self._lock:
            self._plan = None

    @property
    def failed(self) -> bool:
        """Whether anything failed since `arm`."""
        return self._fired > 0

    def unregister(self) -> None:
        """Take the VFS away."""
        self._vfs.unregister()

    def _next(self, operation: str) -> Fault | None:
        """Count a call; return what is to go wrong with it."""
        with self._lock:
            plan = self._plan
            if plan is None or plan.fault.operation != operation:
                return None
            self._calls += 1
            if self._calls == plan.at or (plan.lasting and self._calls > plan.at):
                self._fired += 1
                return plan.fault
        return None


Next = Callable[[str], Fault | None]


class _FailingVFS(apsw.VFS):
    def __init__(self, name: str, next_fault: Next) -> None:
        self._next_fault = next_fault
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _FailingFile(name, flags, self._next_fault)


class _FailingFile(apsw.VFSFile):
    def __init__(
        self, name: str | apsw.URIFilename | None, flags: list[int], next_fault: Next
    ) -> None:
        self._next_fault = next_fault
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        fault = self._next_fault("write")
        if fault is Fault.SHORT_WRITE:
            super().xWrite(data[: len(data) // 2], offset)
        if fault is not None:
            raise fault.error()
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        if (fault := self._next_fault("write")) is not None:
            raise fault.error()
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        if (fault := self._next_fault("sync")) is not None:
            raise fault.error()
        # Not handed on: no power is cut here, and what was written can be read without it.

    def xRead(self, amount: int, offset: int) -> bytes:
        if (fault := self._next_fault("read")) is not None:
            raise fault.error()
        return super().xRead(amount, offset)
