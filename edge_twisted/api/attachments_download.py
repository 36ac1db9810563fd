# SPDX-License-Identifier: Apache-2.0
"""``GET /attachments/{id}``: streams an attachment, or a range of it."""

from __future__ import annotations

from typing import Self

from edge_twisted.api.attachments import (
    ATTACHMENT_ID,
    PIECE_BYTES,
    AttachmentId,
    AttachmentNotFound,
    AttachmentUnavailable,
    BlobReader,
    BlobReferences,
    Blobs,
    attachment_id,
)
from edge_twisted.api.errors import Field
from edge_twisted.api.gate import caller_of
from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.ranges import names_tag, requested_range
from edge_twisted.api.request import Headers, Request
from edge_twisted.api.response import AnyResponse, Response, StreamingResponse
from edge_twisted.api.route import Route
from edge_twisted.errors import EdgeError

ROUTE = Route(
    endpoint="attachments_download",
    path="/attachments/{id}",
    methods=("GET",),
    setting="http_server.http_api.attachments_download",
    streams=True,
)

OPERATION = Operation(
    route=ROUTE,
    id="downloadAttachment",
    summary="Download an attachment.",
    description="One that a document names and that is not here yet is fetched from the mesh.",
    parameters=(
        {
            "name": "id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^{ATTACHMENT_ID.pattern}$"},
        },
        {"name": "Range", "in": "header", "schema": {"type": "string"}},
        {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
        {"name": "If-Range", "in": "header", "schema": {"type": "string"}},
    ),
    responses={
        200: {
            "description": "The content.",
            "content": content("Binary", "application/octet-stream"),
        },
        206: {
            "description": "The range.",
            "content": content("Binary", "application/octet-stream"),
        },
        304: {"description": "The client has it already."},
    },
    errors=("attachment_not_found", "attachment_unavailable", "range_not_satisfiable"),
)

_UNAVAILABLE = "attachment_unavailable"
_NOT_FOUND = "attachment_not_found"


class AttachmentsDownload:
    """Sends an attachment to callers who may read a document that names it."""

    route = ROUTE
    max_body_bytes = 0

    def __init__(
        self, blobs: Blobs, references: BlobReferences, *, timeout_seconds: float | None
    ) -> None:
        self._blobs = blobs
        self._references = references
        self._timeout_seconds = timeout_seconds

    async def respond(self, request: Request) -> AnyResponse:
        """Send the blob, or the range asked for; fetch it from the mesh first if need be.

        :raises AttachmentNotFound: the caller may read no document that names the blob: 404.
        """
        attachment = attachment_id(request.path_parameter)
        access = caller_of(request).permits.access(ROUTE.endpoint)
        if not access.is_full and not await self._references.may_download(attachment, access):
            raise AttachmentNotFound
        reader = await self._open(attachment)
        try:
            response = _response(reader, request.headers)
        except BaseException:
            reader.close()
            raise
        if isinstance(response, Response):
            reader.close()
        return response

    async def _open(self, attachment: AttachmentId) -> BlobReader:
        try:
            return await self._blobs.open(attachment)
        except EdgeError as error:
            if error.code != _UNAVAILABLE:
                raise
        try:
            await self._references.fetch(attachment, self._timeout_seconds)
            return await self._blobs.open(attachment)
        except EdgeError as error:
            if error.code == _NOT_FOUND:
                raise AttachmentNotFound from None
            if error.code == _UNAVAILABLE:
                raise AttachmentUnavailable from None
            raise


def _response(reader: BlobReader, headers: Headers) -> AnyResponse:
    info = reader.info
    tag = f'"{info.id}"'
    fields: tuple[Field, ...] = (
        (b"ETag", tag.encode("ascii")),
        (b"Accept-Ranges", b"bytes"),
        # The content of an id never changes, but the permission to see it can: so caches must ask.
        (b"Cache-Control", b"private, no-cache"),
    )
    if names_tag(headers.get("if-none-match"), tag):
        return Response(status=304, headers=fields, content_type=None)
    wanted = None
    condition = headers.get("if-range")
    if condition is None or condition.strip() == tag:
        wanted = requested_range(headers.get("range"), info.length)
    if wanted is None:
        return StreamingResponse(
            headers=fields, pieces=_Pieces(reader, 0, info.length), length=info.length
        )
    first, count = wanted
    span = f"bytes {first}-{first + count - 1}/{info.length}".encode("ascii")
    return StreamingResponse(
        status=206,
        headers=(*fields, (b"Content-Range", span)),
        pieces=_Pieces(reader, first, count),
        length=count,
    )


class _Pieces:
    """
    Reads a range of a blob piece by piece, and closes the blob at the end.

    A class, because a generator that is closed before its first piece runs no ``finally``.
    """

    def __init__(self, reader: BlobReader, first: int, count: int) -> None:
        self._reader = reader
        self._at = first
        self._left = count

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            self._reader.close()
            raise StopAsyncIteration
        piece = await self._reader.read(self._at, min(PIECE_BYTES, self._left))
        if not piece:
            # This cuts the connection: the bytes that Content-Length promised will not come.
            raise EOFError("the blob is shorter than it was")
        self._at += len(piece)
        self._left -= len(piece)
        return piece

    async def aclose(self) -> None:
        """Close the blob; harmless when repeated."""
        self._reader.close()
