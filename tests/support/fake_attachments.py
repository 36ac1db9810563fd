# SPDX-License-Identifier: Apache-2.0
"""Attachments for tests of the API: blobs in memory that tell what became of each."""

from __future__ import annotations

import base64
import hashlib

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail, succeed

from edge_twisted.api.attachments import (
    AttachmentNotFound,
    AttachmentUnavailable,
    BlobInfo,
    BlobReader,
    BlobReferences,
    Blobs,
    BlobWriter,
)
from edge_twisted.security.permissions import Access


@frozen(kw_only=True)
class FakeInfo:
    """A complete blob."""

    id: str
    length: int


def attachment_id(content: bytes) -> str:
    """Return the id of a blob."""
    digest = hashlib.sha256(content).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


@define
class FakeReader:
    """A blob that counts how often it is closed."""

    content: bytes
    closed: int = 0

    @property
    def info(self) -> BlobInfo:
        """See `BlobReader.info`."""
        return FakeInfo(id=attachment_id(self.content), length=len(self.content))

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        """See `BlobReader.read`."""
        assert not self.closed, "read after close"
        return succeed(self.content[offset : offset + length])

    def close(self) -> None:
        """See `BlobReader.close`."""
        self.closed += 1


@define
class FakeWriter:
    """A blob on its way in; `broken` fails its writes."""

    blobs: FakeBlobs
    uploader: str | None = None
    content: bytearray = field(factory=bytearray)
    aborted: bool = False
    broken: Exception | None = None

    def write(self, chunk: bytes) -> Deferred[None]:
        """See `BlobWriter.write`."""
        if self.broken is not None:
            return fail(self.broken)
        self.content += chunk
        return succeed(None)

    def finish(self) -> Deferred[BlobInfo]:
        """See `BlobWriter.finish`."""
        content = bytes(self.content)
        self.blobs.complete[attachment_id(content)] = content
        return succeed(FakeInfo(id=attachment_id(content), length=len(content)))

    def abort(self) -> Deferred[None]:
        """See `BlobWriter.abort`."""
        self.aborted = True
        return succeed(None)


@define
class FakeBlobs:
    """The blobs; `readers` and `writers` are all that were handed out."""

    complete: dict[str, bytes] = field(factory=dict)
    readers: list[FakeReader] = field(factory=list)
    writers: list[FakeWriter] = field(factory=list)
    broken: Exception | None = None

    def add(self, content: bytes) -> str:
        """Put a blob there and return its id."""
        name = attachment_id(content)
        self.complete[name] = content
        return name

    def upload(self, uploader: str | None) -> Deferred[BlobWriter]:
        """See `Blobs.upload`."""
        writer = FakeWriter(self, uploader, broken=self.broken)
        self.writers.append(writer)
        return succeed(writer)

    def open(self, attachment: str) -> Deferred[BlobReader]:
        """See `Blobs.open`."""
        if attachment not in self.complete:
            return fail(AttachmentUnavailable())
        reader = FakeReader(self.complete[attachment])
        self.readers.append(reader)
        return succeed(reader)


@define
class FakeReferences:
    """What documents say: `readable` may be downloaded, `arriving` is what the mesh brings."""

    blobs: FakeBlobs
    readable: set[str] = field(factory=set)
    arriving: dict[str, bytes] = field(factory=dict)
    named: set[str] = field(factory=set)

    def may_download(self, attachment: str, access: Access) -> Deferred[bool]:
        """See `BlobReferences.may_download`."""
        return succeed(attachment in self.readable)

    def fetch(self, attachment: str, timeout_seconds: float | None) -> Deferred[None]:
        """See `BlobReferences.fetch`."""
        if attachment in self.arriving:
            self.blobs.add(self.arriving.pop(attachment))
            return succeed(None)
        if attachment in self.named:
            return fail(AttachmentUnavailable())
        return fail(AttachmentNotFound())


def _implement(blobs: FakeBlobs, references: FakeReferences) -> tuple[Blobs, BlobReferences]:
    """Let the type checker verify them."""
    return blobs, references
