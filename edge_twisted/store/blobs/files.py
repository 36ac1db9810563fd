# SPDX-License-Identifier: Apache-2.0
"""The store of blobs in a folder: files for the bytes, facts in the store beside documents."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from edge_twisted.store.blobs import ledger
from edge_twisted.store.blobs.folder import BlobFolder
from edge_twisted.store.blobs.interface import BlobDownload, BlobReader, BlobWriter
from edge_twisted.store.blobs.verification import BlobScrub, VerifiedFile, VerifiedFiles
from edge_twisted.store.blobs.writers import FileBlobWriter, IncomingFile
from edge_twisted.store.errors import BlobCorrupt, BlobUnavailable, StoreClosed, StoreError
from edge_twisted.store.interface import Snapshot, UnitOfWork
from edge_twisted.store.rows import BlobInfo
from edge_twisted.store.scrubber import AttachmentsStep
from edge_twisted.store.threads import ThreadPool

log = Logger()

#: More threads read disks hardly faster, and slow the interpreter down.
FILE_THREADS = 2
#: Facts that one unit of work makes or forgets at the start.
_BOOKED_AT_ONCE = 200


class BlobDatabase(ledger.LedgerStore, Protocol):
    """The part of a store that blobs need."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Enter a snapshot for a short read, as `Store.snapshot` does."""


class FileBlobStore:
    """
    A `edge_twisted.store.blobs.interface.BlobStore` in a folder.

    Call `start` when the store is open, and `stop` before the store is closed.
    """

    def __init__(
        self,
        root: Path,
        database: BlobDatabase,
        *,
        threads: IReactorFromThreads,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._folder = BlobFolder(root)
        self._database = database
        self._reactor = threads
        self._now_ms = now_ms
        self._entropy = entropy
        self._threads = ThreadPool(threads, "store-files", FILE_THREADS)
        self._coming: set[FileBlobWriter] = set()
        self._downloads: set[str] = set()
        self._verified = VerifiedFiles()
        self._scrub = BlobScrub(self._folder)
        #: Blobs in quarantine.
        self._damaged: set[str] = set()
        #: Called with the id of each blob that goes there, to fetch it again.
        self.lost: Callable[[str], None] = lambda blob_id: None

    @property
    def damaged(self) -> int:
        """How many blobs are in quarantine."""
        return len(self._damaged)

    # -- life

    async def start(self) -> None:
        """
        Tidy the folder, then make facts for files without, and forget facts without a file.

        :raises StoreError: the folder or the store cannot be read or written.
        """
        now = self._now_ms()
        found = await self._threads.call(lambda: self._folder.tidy(now / 1000))
        self._damaged = await self._threads.call(self._folder.in_quarantine)
        facts = await self._database.read("attachments.booked", _booked_lengths)
        news = [info for info in found if facts.pop(info.id, None) != info.length]
        lost = list(facts)
        for begin in range(0, max(len(news), len(lost)), _BOOKED_AT_ONCE):
            some = slice(begin, begin + _BOOKED_AT_ONCE)
            await self._database.write("attachments.agree", _Agreement(news[some], lost[some]))
        if lost:
            log.warn("{count} attachments have lost their files.", count=len(lost))

    async def stop(self) -> None:
        """Abort uploads and pause downloads; fires soon, whatever is being read or hashed."""
        self._folder.end_sweep()
        self._verified.is_closing = True
        for blob in tuple(self._coming):
            await (blob.abort() if blob.blob_id is None else blob.pause())
        await self._threads.close()
        self._scrub.close()

    # -- what `BlobStore` promises

    def upload(self, uploader: str | None = None) -> Deferred[BlobWriter]:
        path = self._folder.incoming / f"{self._entropy(16).hex()}.upload"
        return Deferred.fromCoroutine(self._begin(path, None, uploader))

    def resume(self, blob_id: str) -> Deferred[BlobDownload]:
        try:
            path = self._folder.partial(blob_id)
        except BlobUnavailable:
            return fail()
        if blob_id in self._downloads:
            return fail(StoreError(blob_id, "being downloaded already"))
        self._downloads.add(blob_id)
        return Deferred.fromCoroutine(self._begin(path, blob_id))

    async def _begin(
        self, path: Path, blob_id: str | None, uploader: str | None = None
    ) -> FileBlobWriter:
        try:
            file = await self._threads.call(
                lambda: IncomingFile(path, lambda: self._verified.is_closing)
            )
        except BaseException:
            self._downloads.discard(blob_id or "")
            raise
        blob = FileBlobWriter(self, self._threads, self._folder, file, blob_id)
        blob.uploader = uploader
        self._coming.add(blob)
        return blob

    def open(self, blob_id: str) -> Deferred[BlobReader]:
        return Deferred.fromCoroutine(self._open(blob_id))

    async def _open(self, blob_id: str) -> BlobReader:
        try:
            file = await self._threads.call(lambda: self._opened(blob_id))
        except BlobCorrupt:
            await self.quarantine(blob_id)
            raise BlobUnavailable(blob_id) from None
        return FileBlobReader(blob_id, file, self._threads, self._met)

    def _opened(self, blob_id: str) -> VerifiedFile:
        file = self._folder.open(blob_id)
        try:
            return VerifiedFile(blob_id, file, self._verified)
        except BaseException:
            file.close()
            raise

    # -- damage

    def _met(self, blob_id: str) -> None:
        """Put a blob that a reader found damaged into quarantine."""
        moving = Deferred.fromCoroutine(self.quarantine(blob_id))
        moving.addErrback(lambda failure: log.failure("A damaged attachment stays", failure))

    async def quarantine(self, blob_id: str) -> None:
        """
        Move a damaged blob out of the readers' way, and have it fetched again.

        :raises StoreError: the file could not be moved, or its fact not be forgotten.
        """
        if not await self._threads.call(lambda: self._folder.set_aside(blob_id)):
            return
        self._damaged.add(blob_id)
        log.error(
            "Attachment {attachment} is damaged: it is kept in quarantine until a peer sends it"
            " again",
            attachment=blob_id,
        )
        await self._database.write("attachments.damaged", _Agreement([], [blob_id]))
        self.lost(blob_id)

    def scrub(self, folder: int) -> Deferred[AttachmentsStep]:
        """Do one step of a scrub from a folder (0 to 255) on; see `ScrubTarget`."""
        return Deferred.fromCoroutine(self._scrubbed(folder))

    async def _scrubbed(self, folder: int) -> AttachmentsStep:
        step, damaged = await self._threads.call(lambda: self._scrub.step(folder))
        for blob_id in damaged:
            try:
                await self.quarantine(blob_id)
            except StoreClosed:
                raise
            except StoreError as error:
                # It stays where it is, where each read verifies it, and the scrub goes on.
                log.error(
                    "Attachment {attachment} is damaged, and could not be put into quarantine:"
                    " {error}",
                    attachment=blob_id,
                    error=str(error),
                )
        return step

    def find(self, blob_id: str) -> BlobInfo | None:
        with self._database.snapshot() as snapshot:
            return ledger.find(snapshot, blob_id)

    def collect(self, grace_seconds: float) -> Deferred[int]:
        return Deferred.fromCoroutine(self._collect(grace_seconds))

    async def _collect(self, grace_seconds: float) -> int:
        count = await ledger.collect(self._database, self._now_ms, grace_seconds, self._folder.doom)
        await self._threads.call(self._folder.sweep)
        await self._give_up()
        return count

    async def _give_up(self) -> None:
        """Forget damaged blobs that nothing names any more."""
        for blob_id in tuple(self._damaged):
            with self._database.snapshot() as snapshot:
                is_named = bool(snapshot.referrers(blob_id, limit=1))
            if not is_named:
                self._damaged.discard(blob_id)
                await self._threads.call(partial(self._folder.forget_damaged, blob_id))

    # -- for blobs on their way in

    def book(self, info: BlobInfo, uploader: str | None) -> Deferred[None]:
        """Note durably that a blob is here, and who uploaded it; a damaged one is whole again."""
        return Deferred.fromCoroutine(self._book(info, uploader))

    async def _book(self, info: BlobInfo, uploader: str | None) -> None:
        def work(unit: UnitOfWork) -> None:
            ledger.book(unit, info, uploader)
            unit.after_commit(lambda: self._folder.booked(info.id))

        try:
            await self._database.write("attachments.book", work)
        except BaseException:
            self._folder.not_booked(info.id)
            raise
        if info.id in self._damaged:
            self._damaged.discard(info.id)
            await self._threads.call(lambda: self._folder.forget_damaged(info.id))
            log.info("Attachment {attachment} is whole again", attachment=info.id)

    def left(self, blob: FileBlobWriter) -> None:
        """Forget a writer whose blob is finished, aborted or paused."""
        self._coming.discard(blob)
        self._downloads.discard(blob.blob_id or "")


class FileBlobReader:
    """A `edge_twisted.store.blobs.interface.BlobReader`."""

    def __init__(
        self,
        blob_id: str,
        file: VerifiedFile,
        threads: ThreadPool,
        damaged: Callable[[str], None],
    ) -> None:
        self.info = BlobInfo(blob_id, file.length)
        self._file = file
        self._threads = threads
        self._damaged = damaged
        self._reading = 0
        self._closed = False

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        assert not self._closed, "read after close"
        self._reading += 1
        return self._threads.call(lambda: self._file.read(offset, length)).addBoth(self._done)

    def _done(self, outcome: object) -> object:
        if isinstance(outcome, Failure) and outcome.check(BlobCorrupt):
            self._damaged(self.info.id)
        self._reading -= 1
        if self._closed and not self._reading:
            self._file.close()
        return outcome

    def close(self) -> None:
        # The number of a closed file may soon be another file's: not under a running read.
        self._closed = True
        if not self._reading:
            self._file.close()


def _booked_lengths(snapshot: Snapshot) -> dict[str, int]:
    found: dict[str, int] = {}
    after: bytes | None = b""
    while after is not None:
        facts = snapshot.facts(ledger.SPACE, after=after)
        found.update(
            (key.decode(), ledger.BlobBooking.decoded(value).length) for key, value in facts
        )
        after = facts[-1][0] if facts else None
    return found


class _Agreement:
    """A unit of work that makes facts for new files, and forgets those of lost ones."""

    def __init__(self, news: list[BlobInfo], lost: list[str]) -> None:
        self._news = news
        self._lost = lost

    def __call__(self, unit: UnitOfWork) -> None:
        for info in self._news:
            ledger.book(unit, info)
        for name in self._lost:
            ledger.forget(unit, name)
