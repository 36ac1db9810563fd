# SPDX-License-Identifier: Apache-2.0
"""
The audit log: who did what, when, and with what result, as JSON lines with fixed fields.

Every line has every field, null where it does not apply, so that readers need no special cases.
No field holds argument values, query strings or keys; paths lose their query string here; lines go
through redaction like all others.

Recording costs about two microseconds: lines are encoded and written together, at most
`FLUSH_SECONDS` later.  A crash can lose those lines; a rotation, a reload or a stop loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from edge_twisted.logs.patient_writer import PatientWriter
from edge_twisted.logs.redaction import Redactor
from edge_twisted.logs.timestamps import rfc3339

FLUSH_SECONDS: Final = 0.05
#: So many lines are encoded and written without waiting for `FLUSH_SECONDS`: 1 ms of work.
FLUSH_LINES: Final = 500
#: Longer texts are cut: a path can be as long as the headers may be.
MAX_TEXT_CHARACTERS: Final = 1024
#: Longer lists of collections are cut, and longer names of collections and methods.
MAX_COLLECTIONS: Final = 64
MAX_NAME_CHARACTERS: Final = 64


class AuditEvent(StrEnum):
    """Kinds of audit lines; part of the published format."""

    #: A request that was authenticated (under ``auth: dev_mode``: any), however it ended.
    REQUEST = "request"
    #: A request that was turned away: no or a wrong key, not permitted, throttled, overloaded.
    REFUSAL = "refusal"
    PEER_CONNECTED = "peer_connected"
    PEER_DISCONNECTED = "peer_disconnected"
    #: `status` is ``applied`` or ``refused``.
    CONFIG_RELOADED = "config_reloaded"
    #: `status` is ``applied`` or ``refused``.
    CERTIFICATE_RELOADED = "certificate_reloaded"
    SERVER_STARTED = "server_started"
    SERVER_STOPPED = "server_stopped"


class AuditLine(msgspec.Struct, gc=False):
    """One line, with the fields of the published format in their order."""

    #: Filled in by `AuditLog.add`.
    time: str
    #: An `AuditEvent`.
    event: str
    request_id: str | None = None
    #: The id of the caller's identity, or a mesh peer's key; null under ``auth: dev_mode``.
    identity: str | None = None
    #: The address of the caller or the peer.
    client: str | None = None
    method: str | None = None
    path: str | None = None
    #: What the DQL statement does, such as ``select``; never its text or its values.
    verb: str | None = None
    collections: Sequence[str] = ()
    status: int | str | None = None
    duration_ms: float | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None


class AuditLog(Protocol):
    """Records events for auditors.  For the reactor thread."""

    def add(self, line: AuditLine) -> None:
        """Record a line as of now; the log sets its time, and owns `line` from then on."""


class NullAuditLog:
    """Discards all lines, for a server without an audit log."""

    def add(self, line: AuditLine) -> None:
        """See `AuditLog.add`."""


class FileAuditLog:
    """
    Batches lines and gives them to a `PatientWriter`, which the caller opens and closes.

    Call `flush` before closing the writer.

    :param now: the wall clock, in seconds since 1970.
    """

    def __init__(
        self,
        writer: PatientWriter,
        clock: IReactorTime,
        redactor: Redactor,
        now: Callable[[], float],
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._now = now
        self._redactor = redactor
        self._encoder = msgspec.json.Encoder(enc_hook=str)
        self._lines: list[AuditLine] = []
        #: The last time in milliseconds and its text, because many lines have the same time.
        self._ms = -1
        self._time = ""
        self._flush_call: IDelayedCall | None = None

    def add(self, line: AuditLine) -> None:
        """Record a line as of now, with long texts cut; it is written within `FLUSH_SECONDS`."""
        seconds = self._now()
        ms = int(seconds * 1000)
        if ms != self._ms:
            self._ms, self._time = ms, rfc3339(seconds)
        line.time = self._time
        if line.path is not None:
            line.path = line.path.partition("?")[0][:MAX_TEXT_CHARACTERS]
        if line.collections and sum(map(len, line.collections)) > MAX_TEXT_CHARACTERS:
            line.collections = _shortened(line.collections)
        if line.method is not None and len(line.method) > MAX_NAME_CHARACTERS:
            line.method = line.method[:MAX_NAME_CHARACTERS]
        self._lines.append(line)
        if self._flush_call is None:
            self._flush_call = self._clock.callLater(FLUSH_SECONDS, self._flush_later)
        elif len(self._lines) >= FLUSH_LINES:
            self.flush()

    def flush(self) -> None:
        """Hand all recorded lines to the writer now."""
        if self._flush_call is not None:
            self._flush_call.cancel()
            self._flush_later()

    # -- inner

    def _flush_later(self) -> None:
        self._flush_call = None
        lines, self._lines = self._lines, []
        if lines:
            self._writer.write(self._redactor.clean_lines(self._encoded(lines)))

    def _encoded(self, lines: list[AuditLine]) -> bytes:
        try:
            return self._encoder.encode_lines(lines)
        except (UnicodeEncodeError, TypeError, ValueError):
            # A text that UTF-8 cannot encode must not cost the other lines of the batch.
            return b"".join(self._encoded_alone(line) for line in lines)

    def _encoded_alone(self, line: AuditLine) -> bytes:
        try:
            return self._encoder.encode(line) + b"\n"
        except (UnicodeEncodeError, TypeError, ValueError):
            spelled = {
                name: _spelled(value) for name, value in msgspec.structs.asdict(line).items()
            }
            return self._encoder.encode(spelled) + b"\n"


def _shortened(collections: Sequence[str]) -> Sequence[str]:
    return [name[:MAX_NAME_CHARACTERS] for name in collections[:MAX_COLLECTIONS]]


def _spelled(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, Sequence):
        return [_spelled(item) for item in value]
    return _spelled(str(value))
