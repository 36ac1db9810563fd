# SPDX-License-Identifier: Apache-2.0
"""
The scrubber: reads the whole store by and by, so that damage is found before it is asked for.

A pass goes over all documents, then over all attachments, so many bytes a second, in small steps:
each reads for some milliseconds on a thread.  How far it has come is kept in the store about once a
minute, so a restart goes on from there, and so is when a whole pass ended last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec.msgpack
from attrs import define, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from edge_twisted.store.errors import ReadCancelled, StoreClosed, StoreError

log = Logger()

#: What is remembered: [row, folder of attachments, begin of the pass, end of the last whole one].
FACT: Final = ("scrub", b"")
#: How often that is written, and how often the wall clock is looked at between two passes.
_KEEP_SECONDS: Final = 60.0
#: The first step comes so long after the start, when there is enough else to do.
_FIRST_SECONDS: Final = 10.0
#: After a step that failed, and at least between two steps.
_FAILED_SECONDS: Final = 10.0
_LEAST_SECONDS: Final = 0.02
#: Steps in a row that may fail before the pass goes on with what comes after the documents.
_MOST_FAILURES: Final = 100
#: How much faster it goes when a read met damage and could not say where.
_HURRY: Final = 16
_HOUR_MS: Final = 3_600_000


@frozen(kw_only=True)
class DocumentsStep:
    """
    What one step over documents came to.

    `after` is the row to go on behind, None at the end; `size` is in bytes.
    """

    after: int | None
    size: int
    documents: int
    #: Collection and id key of each document that is damaged.
    damaged: Sequence[tuple[str, bytes]] = ()


@frozen(kw_only=True)
class AttachmentsStep:
    """What one step over attachments came to; `folder` is the next one, None at the end."""

    folder: int | None
    size: int
    #: Blobs that were read to their end.
    attachments: int
    damaged: int = 0


class ScrubTarget(Protocol):
    """The part of a store that is scrubbed."""

    def scrub_documents(self, after: int) -> Deferred[DocumentsStep]:
        """Verify some rows behind a row; put damaged documents into quarantine."""

    def behind_unreadable(self, after: int) -> int:
        """Return the row to go on behind where the one after `after` cannot be read."""

    def scrub_attachments(self, folder: int) -> Deferred[AttachmentsStep]:
        """Go on with the attachments of a folder; put damaged ones into quarantine."""

    def remembered(self, space: str, key: bytes) -> bytes | None:
        """Return a fact."""

    def remember(self, space: str, key: bytes, value: bytes) -> Deferred[Any]:
        """Store a fact."""


@frozen(kw_only=True)
class ScrubbingPace:
    """How fast, 0 is never, and how often a pass begins."""

    bytes_per_second: int = 1 << 20
    interval_hours: float = 24.0


@define(kw_only=True)
class _Pass:
    """Where a pass is, and what it has seen since the start of the process."""

    row: int = 0
    #: None while documents are scrubbed.
    folder: int | None = None
    #: When the pass began, and when a whole one ended last (before the first: when scrubbing
    #: began): dates, for passes outlive the process.
    began_ms: int
    whole_ms: int
    #: When this process began with it, by the monotonic clock.
    since: float = 0.0
    documents: int = 0
    attachments: int = 0
    damaged: int = 0
    failures: int = 0

    @property
    def kept(self) -> bytes:
        """What is remembered of it."""
        return msgspec.msgpack.encode([self.row, self.folder, self.began_ms, self.whole_ms])


class Scrubber:
    """
    Scrubs an open store on a clock; `stop` it before the store is closed.

    :param now_ms: the wall clock, because passes are a day apart and outlive the process.
    """

    def __init__(
        self,
        store: ScrubTarget,
        clock: IReactorTime,
        now_ms: Callable[[], int],
        pace: ScrubbingPace | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._now_ms = now_ms
        self._pace = pace or ScrubbingPace()
        self._timer: IDelayedCall | None = None
        self._running: Deferred[None] | None = None
        self._pass: _Pass | None = None
        #: When the position was written last, by the monotonic clock.
        self._kept_at: float | None = None
        self._hurries = False

    def start(self) -> None:
        """Begin, or go on where an earlier process was."""
        now = self._now_ms()
        self._pass = _Pass(began_ms=now, whole_ms=now)
        fact = self._store.remembered(*FACT)
        if fact is not None:
            row, folder, began, whole = msgspec.msgpack.decode(fact)
            # A clock that was ahead then must not put the next pass off for long.
            self._pass = _Pass(
                row=row, folder=folder, began_ms=min(began, now), whole_ms=min(whole, now)
            )
        self._pass.since = self._clock.seconds()
        if self._pace.bytes_per_second:
            self._again(_FIRST_SECONDS)

    async def stop(self) -> None:
        """End at once; what was not kept of the position is scrubbed once more."""
        self._pass = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await running

    @property
    def age_seconds(self) -> float:
        """How long ago the last whole pass ended; before the first one, how long none has."""
        here = self._pass
        return 0.0 if here is None else max(0, self._now_ms() - here.whole_ms) / 1000

    def hurry(self) -> None:
        """Look through all documents soon: a read met damage, and does not know where."""
        here = self._pass
        if here is None or self._hurries:
            return
        self._hurries = True
        self._begin(here)
        if self._timer is not None:
            self._timer.cancel()
            self._again(0.0)
        elif self._running is None:
            self._again(0.0)

    def _again(self, seconds: float) -> None:
        def run() -> None:
            self._timer = None
            self._running = Deferred.fromCoroutine(self._run())

        self._timer = self._clock.callLater(seconds, run)

    async def _run(self) -> None:
        here = self._pass
        assert here is not None
        try:
            seconds = await self._step(here)
        except (CancelledError, ReadCancelled, StoreClosed):
            seconds = _FAILED_SECONDS
        except Exception:  # the boundary of a timer
            log.failure("Scrubbing failed; it goes on in a while")
            seconds = _FAILED_SECONDS
        self._running = None
        if self._pass is here and (self._pace.bytes_per_second or self._hurries):
            self._again(seconds)

    async def _step(self, here: _Pass) -> float:
        """Do one step; return how many seconds to wait for the next."""
        ended = here.row < 0
        if ended:
            now = self._now_ms()
            # A clock that was set back must not put the next pass off.
            here.began_ms = min(here.began_ms, now)
            left = here.began_ms + self._pace.interval_hours * _HOUR_MS - now
            if left > 0:
                return min(left / 1000, _KEEP_SECONDS)
            self._begin(here)
        if here.folder is None:
            size = await self._documents(here)
        else:
            size = await self._attachments(here)
        await self._keep(here)
        speed = max(self._pace.bytes_per_second, 1 << 20 if self._hurries else 1)
        return max(size / speed / (_HURRY if self._hurries else 1), _LEAST_SECONDS)

    def _begin(self, here: _Pass) -> None:
        here.row, here.folder = 0, None
        here.began_ms, here.since = self._now_ms(), self._clock.seconds()

    async def _documents(self, here: _Pass) -> int:
        try:
            step = await self._store.scrub_documents(here.row)
        except (ReadCancelled, StoreClosed):
            raise
        except StoreError as error:
            # The store has said which page; what is behind it may be well.
            log.debug("Rows behind {row} cannot be read: {error}", row=here.row, error=str(error))
            here.failures += 1
            here.row = self._store.behind_unreadable(here.row)
            if here.failures >= _MOST_FAILURES:
                here.folder = 0
            return 0
        here.documents += step.documents
        here.damaged += len(step.damaged)
        if step.after is None:
            here.folder = 0
            self._hurries = False
        else:
            here.row = step.after
        return step.size

    async def _attachments(self, here: _Pass) -> int:
        assert here.folder is not None
        step = await self._store.scrub_attachments(here.folder)
        here.attachments += step.attachments
        here.damaged += step.damaged
        here.folder = step.folder
        if step.folder is None:
            self._end(here)
        return step.size

    def _end(self, here: _Pass) -> None:
        tell = log.error if here.damaged or here.failures else log.info
        tell(
            "Scrubbed {documents} documents and {attachments} attachments in {seconds} s:"
            " {damaged} were damaged, {unreadable} places could not be read",
            documents=here.documents,
            attachments=here.attachments,
            seconds=round(self._clock.seconds() - here.since),
            damaged=here.damaged,
            unreadable=here.failures,
        )
        here.documents = here.attachments = here.damaged = here.failures = 0
        here.row, here.whole_ms = -1, self._now_ms()
        self._kept_at = None

    async def _keep(self, here: _Pass) -> None:
        now = self._clock.seconds()
        if self._kept_at is None or now - self._kept_at >= _KEEP_SECONDS:
            self._kept_at = now
            try:
                await self._store.remember(*FACT, here.kept)
            except StoreError as error:
                # A full disk, say: what was not kept is scrubbed once more after a restart.
                log.debug("The scrubber's position was not kept: {error}", error=str(error))
