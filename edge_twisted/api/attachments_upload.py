# SPDX-License-Identifier: Apache-2.0
"""``POST /attachments/upload``: streams the file of a form to the store."""

from __future__ import annotations

from attrs import define, field
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from edge_twisted.api.attachments import BlobInfo, Blobs, BlobWriter
from edge_twisted.api.errors import InvalidRequest, UnsupportedMediaType
from edge_twisted.api.gate import caller_of
from edge_twisted.api.media import refuse_coding
from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.request import Headers, Request
from edge_twisted.api.response import AnyResponse, Response
from edge_twisted.api.route import Route

#: The name of the part that holds the content.
FILE_PART = "file"
#: Most bytes of the names and values of all text parts together.
MAX_METADATA_BYTES = 64 * 1024
#: Most parts of one body.
MAX_PARTS = 1000

ROUTE = Route(
    endpoint="attachments_upload",
    path="/attachments/upload",
    methods=("POST",),
    setting="http_server.http_api.attachments_upload",
    streams=True,
)

OPERATION = Operation(
    route=ROUTE,
    id="uploadAttachment",
    summary="Upload an attachment.",
    description="The part `file` is the content; further text parts become `metadata`. The answer "
    "is the token to store in a document.",
    request_body={
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILE_PART],
                    "properties": {FILE_PART: {"type": "string", "format": "binary"}},
                    "propertyNames": {"minLength": 1},
                    "additionalProperties": {"type": "string"},
                }
            }
        },
    },
    responses={201: {"description": "The token.", "content": content("Attachment")}},
    errors=("store_error", "store_io_error", "store_full", "store_read_only", "store_closed"),
)


class AttachmentsUpload:
    """Receives attachments; an upload that breaks off leaves nothing behind."""

    route = ROUTE

    def __init__(self, blobs: Blobs, *, max_body_bytes: int) -> None:
        self._blobs = blobs
        self.max_body_bytes = max_body_bytes

    async def respond(self, request: Request) -> AnyResponse:
        """Store the file of the form, and answer with the attachment's token: id, len, metadata.

        :raises InvalidRequest: the form is malformed; nothing is stored.
        """
        boundary = _boundary(request.headers)
        form = _Form(caller_of(request).permits.identity)
        try:
            await self._receive(request, boundary, form)
            if form.writer is None:
                raise InvalidRequest(f'the form has no part "{FILE_PART}"')
            info: BlobInfo = await form.writer.finish()
        except BaseException:
            if form.writer is not None:
                # Not awaited: the client may have gone, and the store deletes the file anyway.
                form.writer.abort()
            raise
        token = {"id": info.id, "len": info.length, "metadata": form.metadata}
        return Response.json(token, status=201)

    async def _receive(self, request: Request, boundary: str, form: _Form) -> None:
        parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
        try:
            async for piece in request.body_pieces():
                for event in parser.parse(piece):
                    if isinstance(event, MultipartSegment):
                        await self._begin(event, form)
                    elif event is None:
                        form.end()
                    elif form.in_file:
                        assert form.writer is not None
                        await form.writer.write(bytes(event))
                    else:
                        form.add(event)
            parser.close()
        except ParserLimitReached:
            raise InvalidRequest("the form has too many parts, or too large headers") from None
        except MultipartError as error:
            raise InvalidRequest(f"the form is malformed: {error}") from None

    async def _begin(self, segment: MultipartSegment, form: _Form) -> None:
        name = segment.name or ""
        if name != FILE_PART:
            form.begin_text(name, segment.filename)
            return
        if form.writer is not None:
            raise InvalidRequest(f'the form has two parts "{FILE_PART}"; send one at a time')
        form.in_file = True
        form.writer = await self._blobs.upload(form.uploader)


@define
class _Form:
    """The parts of one form that have arrived."""

    uploader: str | None
    #: The text parts that are complete: name -> value.
    metadata: dict[str, str] = field(factory=dict)
    #: The blob of the file part; None before that part.
    writer: BlobWriter | None = None
    #: Whether the current part is the file.
    in_file: bool = False
    #: Name and value of the current text part.
    _name: str = ""
    _text: bytearray = field(factory=bytearray)
    _metadata_bytes: int = 0

    def begin_text(self, name: str, filename: str | None) -> None:
        """Begin a part of text, which becomes the member `name` of the metadata.

        :raises InvalidRequest: the part has a file, no name, or a name that came before.
        """
        if filename is not None:
            raise InvalidRequest(f'the file must be in the part "{FILE_PART}"')
        if not name:
            raise InvalidRequest("a part of the form has no name")
        if name in self.metadata:
            raise InvalidRequest("two parts of the form have the same name")
        self._name = name
        self._text.clear()
        self._count(len(name.encode("utf-8", "surrogatepass")))

    def add(self, data: bytes | bytearray) -> None:
        """Append bytes to the current part."""
        self._count(len(data))
        self._text += data

    def end(self) -> None:
        """End the current part.

        :raises InvalidRequest: a text is not UTF-8: 400.
        """
        if self.in_file:
            self.in_file = False
            return
        try:
            self.metadata[self._name] = self._text.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidRequest("a text part of the form is not UTF-8") from None

    def _count(self, size: int) -> None:
        self._metadata_bytes += size
        if self._metadata_bytes > MAX_METADATA_BYTES:
            raise InvalidRequest(f"the text parts exceed {MAX_METADATA_BYTES} bytes")


def _boundary(headers: Headers) -> str:
    refuse_coding(headers)
    kind, options = parse_options_header(headers.get("content-type") or "")
    if kind.lower() != "multipart/form-data":
        raise UnsupportedMediaType("the Content-Type must be multipart/form-data")
    boundary: str = options.get("boundary", "")
    if not 1 <= len(boundary) <= 70 or not boundary.isascii() or not boundary.isprintable():
        raise InvalidRequest("the Content-Type has no usable boundary")
    return boundary
