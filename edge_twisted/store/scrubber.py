# SPDX-License-Identifier: Apache-2.0
"""
The scrubber: reads the whole store slowly, so that damage is found before a client meets it.

A pass reads all documents, then all attachments, at a bounded number of bytes a second.  It works
in small steps, each of which reads for some milliseconds on a thread.  About once a minute, and at
its end, the pass saves its position in the store: a restart resumes there.

A read that meets damage and cannot say where asks for a *search* (`Scrubber.hurry`): all documents
at 16 times the pace, after which the pass resumes where it was.
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

#: Space and key of the saved position: [row, folder of attachments, begin of the pass in ms, end
#: of the last complete pass in ms].
FACT: Final = ("scrub", b"")
#: How often the position is saved, and how often the wall clock is read between two passes.
_KEEP_SECONDS: Final = 60.0
#: Delay of the first step after the start, when the server has enough else to do.
_FIRST_SECONDS: Final = 10.0
#: Delay after a step that failed, and the least delay between two steps.
_FAILED_SECONDS: Final = 10.0
_LEAST_SECONDS: Final = 0.02
#: Unreadable places after which a pass gives the documents up and turns to the attachments.
_MAX_UNREADABLE: Final = 100
#: How many times faster a search is than a pass.
_HURRY: Final = 16
#: Rest after a search: a row that cannot be moved into quarantine has every scan ask for another
#: search, and the pass must come to its end nevertheless.
_SEARCH_REST_SECONDS: Final = 60.0
_HOUR_MS: Final = 3_600_000


@frozen(kw_only=True)
class DocumentsStep:
    """
    The result of one step over documents.

    The next step begins behind the row `after`, None at the end; `size` is in bytes.
    """

    after: int | None
    size: int
    documents: int
    #: Collection and id key of each document that is damaged.
    damaged: Sequence[tuple[str, bytes]] = ()


@frozen(kw_only=True)
class AttachmentsStep:
    """The result of one step over attachments; `folder` comes next, None at the end."""

    folder: int | None
    size: int
    #: Blobs that were read to their end.
    attachments: int
    damaged: int = 0


class ScrubTarget(Protocol):
    """What a scrubber asks of a store."""

    def scrub_documents(self, after: int) -> Deferred[DocumentsStep]:
        """
        Verify some rows behind the row `after` (0: the first ones); quarantine damaged ones.

        :raises StoreError: the first of these rows cannot be read; go on at `behind_unreadable`.
        """

    def behind_unreadable(self, after: int) -> Deferred[int | None]:
        """
        Fire with the row behind which a pass resumes if the row after `after` cannot be read.

        None if nothing behind it can be read either.
        """

    def scrub_attachments(self, folder: int) -> Deferred[AttachmentsStep]:
        """Verify some attachments from folder `folder` (0 to 255) on; quarantine damaged ones."""

    def remembered(self, space: str, key: bytes) -> bytes | None:
        """Return the value of a fact of the store; None if it does not exist."""

    def remember(self, space: str, key: bytes, value: bytes) -> Deferred[Any]:
        """Store a fact; fire once it is durable."""


@frozen(kw_only=True)
class ScrubbingPace:
    """The speed of a pass (0: no scrubbing), and the hours between the begins of two passes."""

    bytes_per_second: int = 1 << 20
    interval_hours: float = 24.0


@define(kw_only=True)
class _Pass:
    """The position of a pass, and what it has met since the start of the process."""

    row: int = 0
    #: The folder of attachments; None while documents are scrubbed.
    folder: int | None = None
    #: Dates in ms, because passes outlive the process: when this pass began, and when a complete
    #: pass ended last (before the first one: when scrubbing began).
    began_ms: int
    whole_ms: int
    #: When this process took the pass up, by the monotonic clock.
    since: float = 0.0
    documents: int = 0
    attachments: int = 0
    damaged: int = 0
    #: Places that could not be read.
    unreadable: int = 0

    def encoded(self) -> bytes:
        """Return the value of the fact that saves the position."""
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
        #: A search for damage that a read met somewhere; the pass waits for its end.
        self._search: _Pass | None = None
        self._next_search = 0.0

    def start(self) -> None:
        """Begin a pass over the open store, or resume the pass of an earlier process."""
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
        """End at once; the next process repeats what came after the last saved position."""
        self._pass = self._search = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await running

    @property
    def age_seconds(self) -> float:
        """Seconds since the last complete pass ended, or since scrubbing began if none has."""
        here = self._pass
        return 0.0 if here is None else max(0, self._now_ms() - here.whole_ms) / 1000

    def hurry(self) -> None:
        """Search all documents for damage soon; for a read that met some and cannot say where."""
        now = self._clock.seconds()
        if self._pass is None or self._search is not None or now < self._next_search:
            return
        self._search = _Pass(began_ms=self._pass.began_ms, whole_ms=self._pass.whole_ms)
        if self._timer is not None:
            self._timer.cancel()
            self._again(0.0)
        elif self._running is None:
            self._again(0.0)

    def _again(self, seconds: float) -> None:
        def run() -> None:
            self._timer = None
            running = Deferred.fromCoroutine(self._run())
            if not running.called:
                self._running = running

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
        if self._pass is here and (self._pace.bytes_per_second or self._search is not None):
            self._again(seconds)

    async def _step(self, here: _Pass) -> float:
        """Do one step; return how many seconds to wait for the next."""
        pace = self._pace.bytes_per_second
        if self._search is not None:
            size = await self._search_step(self._search, here)
            return max(size / max(pace, 1 << 20) / _HURRY, _LEAST_SECONDS)
        if here.row < 0:
            now = self._now_ms()
            # A clock that was set back must not put the next pass off.
            here.began_ms = min(here.began_ms, now)
            left = here.began_ms + self._pace.interval_hours * _HOUR_MS - now
            if left > 0:
                return min(left / 1000, _KEEP_SECONDS)
            here.row, here.folder = 0, None
            here.began_ms, here.since = now, self._clock.seconds()
        if here.folder is None:
            size = await self._documents(here)
        else:
            size = await self._attachments(here)
        await self._keep(here)
        return max(size / pace, _LEAST_SECONDS)

    async def _search_step(self, search: _Pass, here: _Pass) -> int:
        size = await self._documents(search)
        if search.folder is not None:
            # The pass meets the same unreadable places again, and counts them itself.
            here.damaged += search.damaged
            self._search = None
            self._next_search = self._clock.seconds() + _SEARCH_REST_SECONDS
        return size

    async def _documents(self, here: _Pass) -> int:
        try:
            step = await self._store.scrub_documents(here.row)
        except (ReadCancelled, StoreClosed):
            raise
        except StoreError as error:
            # The store has reported the page; rows behind it may be readable.
            log.debug("Rows behind {row} cannot be read: {error}", row=here.row, error=str(error))
            here.unreadable += 1
            after = await self._store.behind_unreadable(here.row)
            if after is None or here.unreadable >= _MAX_UNREADABLE:
                here.folder = 0
            else:
                here.row = after
            return 0
        here.documents += step.documents
        here.damaged += len(step.damaged)
        if step.after is None:
            here.folder = 0
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
        tell = log.error if here.damaged or here.unreadable else log.info
        tell(
            "Scrubbed {documents} documents and {attachments} attachments in {seconds} s:"
            " {damaged} were damaged, {unreadable} places could not be read",
            documents=here.documents,
            attachments=here.attachments,
            seconds=round(self._clock.seconds() - here.since),
            damaged=here.damaged,
            unreadable=here.unreadable,
        )
        here.documents = here.attachments = here.damaged = here.unreadable = 0
        here.row, here.whole_ms = -1, self._now_ms()
        self._kept_at = None

    async def _keep(self, here: _Pass) -> None:
        now = self._clock.seconds()
        if self._kept_at is None or now - self._kept_at >= _KEEP_SECONDS:
            self._kept_at = now
            try:
                await self._store.remember(*FACT, here.encoded())
            except StoreError as error:
                # The disk may be full: a restart repeats what came after the last saved position.
                log.debug("The scrubber's position was not kept: {error}", error=str(error))
