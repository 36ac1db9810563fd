# SPDX-License-Identifier: Apache-2.0
"""Uploads and downloads of attachments: what is kept, what is sent, and what is cleaned up."""

from __future__ import annotations

import orjson
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.api.attachments import PIECE_BYTES
from edge_twisted.api.attachments_download import AttachmentsDownload
from edge_twisted.api.attachments_upload import MAX_METADATA_BYTES, AttachmentsUpload
from edge_twisted.api.failures import response_to
from edge_twisted.api.request import Request
from edge_twisted.api.resource import Resource
from edge_twisted.api.response import Response, StreamingResponse
from edge_twisted.config.model import IdentityConfig
from edge_twisted.errors import EdgeError
from edge_twisted.security.callers import ANYBODY, Caller
from tests.support.api_requests import answered, api_request
from tests.support.fake_attachments import FakeBlobs, FakeReferences, attachment_id

CONTENT = bytes(range(256)) * 1000
BOUNDARY = "----b"
READER = Caller.of(IdentityConfig(id="r", api_key_hash="", permissions=("read_only",)))


class Full(EdgeError):
    """The disk is full."""

    code = "store_full"


def form(*parts: tuple[str, bytes], end: bytes = b"--", boundary: str = BOUNDARY) -> bytes:
    """Return a form; a name may bring further parameters of its Content-Disposition."""
    pieces = []
    for name, content in parts:
        pieces.append(
            f"--{boundary}\r\nContent-Disposition: form-data; name={name}\r\n\r\n".encode()
        )
        pieces.append(content + b"\r\n")
    return b"".join((*pieces, f"--{boundary}".encode(), end, b"\r\n"))


async def outcome(resource: Resource, request: Request) -> Response:
    """Return what the client sees, errors too."""
    try:
        return await answered(resource, request)
    except Exception as error:
        return response_to(error, request.id)


class Uploads(SynchronousTestCase):
    """`POST /attachments/upload`."""

    def setUp(self) -> None:
        self.blobs = FakeBlobs()
        self.resource = AttachmentsUpload(self.blobs, max_body_bytes=10**9)

    def send(
        self,
        body: bytes,
        *,
        kind: str = f"multipart/form-data; boundary={BOUNDARY}",
        pieces: int = 1,
    ) -> tuple[int, dict[str, object]]:
        request = api_request("POST", headers={"Content-Type": kind}, body=body, pieces=pieces)
        result = self.successResultOf(Deferred.fromCoroutine(outcome(self.resource, request)))
        return result.status, orjson.loads(result.body)

    def assert_nothing_left(self) -> None:
        self.assertEqual(self.blobs.complete, {})
        self.assertTrue(all(writer.aborted for writer in self.blobs.writers))

    def test_a_file_in_any_pieces(self) -> None:
        body = form(("file; filename=a.bin", CONTENT))
        for pieces in (1, 2, 7, 1000):
            status, said = self.send(body, pieces=pieces)
            self.assertEqual(status, 201)
            self.assertEqual(
                said, {"id": attachment_id(CONTENT), "len": len(CONTENT), "metadata": {}}
            )
        self.assertEqual(self.blobs.complete, {attachment_id(CONTENT): CONTENT})
        self.assertFalse(any(writer.aborted for writer in self.blobs.writers))

    def test_who_uploads_is_told_to_the_store(self) -> None:
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        for caller, uploader in ((ANYBODY, None), (READER, "r")):
            request = api_request(
                "POST",
                headers={"Content-Type": kind},
                body=form(("file", b"x")),
                identity=caller,
            )
            self.successResultOf(Deferred.fromCoroutine(outcome(self.resource, request)))
            self.assertEqual(self.blobs.writers[-1].uploader, uploader)

    def test_every_cut_of_a_small_form(self) -> None:
        body = form(("a", b"1"), ("file", b"\r\n--" + BOUNDARY.encode()[:-1]), ("b", "ü".encode()))
        for pieces in range(1, len(body)):
            status, said = self.send(body, pieces=pieces)
            self.assertEqual(status, 201, f"{pieces}: {said}")
            self.assertEqual((status, said["metadata"]), (201, {"a": "1", "b": "ü"}))

    def test_an_empty_file(self) -> None:
        self.assertEqual(self.send(form(("file", b"")))[1]["len"], 0)

    def test_forms_that_are_refused(self) -> None:
        file = ("file", b"content")
        for body, said in (
            (form(("other", b"x")), "no part"),
            (form(file, file), "two parts"),
            (form(file, ("a", b"1"), ("a", b"2")), "same name"),
            (form(file, ("a; filename=x", b"1")), "must be in the part"),
            (form(file, ("a", b"\xff")), "UTF-8"),
            (form(file, ("a", b"x" * (MAX_METADATA_BYTES + 1))), "exceed"),
            (form(file, *((f"n{n}", b"") for n in range(2000))), "too many parts"),
            (form(file)[:-10], "malformed"),
            (form(file, end=b""), "malformed"),
            (b"", "malformed|no part"),
            (b"nonsense" * 100, "malformed"),
        ):
            status, error = self.send(body, pieces=3)
            self.assertEqual(status, 400, said)
            self.assertRegex(str(error), said)
            self.assert_nothing_left()

    def test_types_that_are_refused(self) -> None:
        body = form(("file", b"x"))
        self.assertEqual(self.send(body, kind="application/json")[0], 415)
        self.assertEqual(self.send(body, kind="")[0], 415)
        for boundary in ("", "; boundary=", "; boundary=" + "x" * 71):
            self.assertEqual(self.send(body, kind="multipart/form-data" + boundary)[0], 400)
        self.assertEqual(self.blobs.writers, [])

    def test_a_disk_that_is_full(self) -> None:
        self.blobs.broken = Full()
        status, said = self.send(form(("file", b"x")))
        self.assertEqual(status, 503)
        self.assertIn("store_full", str(said))
        self.assert_nothing_left()
        self.flushLoggedErrors(Full)

    def test_a_client_that_goes_away_leaves_nothing(self) -> None:
        body = form(("file", CONTENT))
        request = api_request(
            "POST", headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        )
        request._body.is_complete = False
        answer = Deferred.fromCoroutine(answered(self.resource, request))
        request._body.feed(body[:1000])
        self.assertNoResult(answer)
        answer.cancel()
        self.failureResultOf(answer)
        self.assertEqual(len(self.blobs.writers), 1)
        self.assert_nothing_left()


class Downloads(SynchronousTestCase):
    """`GET /attachments/{id}`."""

    def setUp(self) -> None:
        self.blobs = FakeBlobs()
        self.references = FakeReferences(self.blobs)
        self.blob = self.blobs.add(CONTENT)
        self.resource = AttachmentsDownload(self.blobs, self.references, timeout_seconds=1.0)

    def get(
        self, attachment: str | None = None, *, identity: Caller = ANYBODY, **fields: str
    ) -> Response:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        request = api_request(headers=headers, identity=identity)
        request.path_parameter = self.blob if attachment is None else attachment
        result = self.successResultOf(Deferred.fromCoroutine(outcome(self.resource, request)))
        self.assertTrue(all(reader.closed for reader in self.blobs.readers))
        return result

    def test_the_whole(self) -> None:
        response = self.get()
        self.assertEqual((response.status, response.body), (200, CONTENT))
        self.assertEqual(response.content_type, b"application/octet-stream")
        headers = dict(response.headers)
        self.assertEqual(headers[b"ETag"], f'"{self.blob}"'.encode())

    def test_ranges(self) -> None:
        length = len(CONTENT)
        for asked, first, last in (
            ("bytes=0-0", 0, 0),
            ("bytes=5-", 5, length - 1),
            ("bytes=-5", length - 5, length - 1),
            (f"bytes=0-{10**30}", 0, length - 1),
            (f"bytes=-{10**30}", 0, length - 1),
            (f"bytes=1-{PIECE_BYTES + 1}", 1, PIECE_BYTES + 1),
        ):
            response = self.get(Range=asked)
            self.assertEqual(response.status, 206, asked)
            self.assertEqual(response.body, CONTENT[first : last + 1], asked)
            self.assertEqual(
                dict(response.headers)[b"Content-Range"], f"bytes {first}-{last}/{length}".encode()
            )

    def test_ranges_that_count_as_the_whole(self) -> None:
        for asked in ("bytes=5-1", "bytes=0-1,3-4", "items=0-1", "bytes=-", "bytes=a-b", ""):
            self.assertEqual(self.get(Range=asked).status, 200, asked)

    def test_ranges_that_cannot_be(self) -> None:
        for asked in (f"bytes={len(CONTENT)}-", "bytes=-0", f"bytes={10**30}-"):
            response = self.get(Range=asked)
            self.assertEqual(response.status, 416, asked)
            self.assertIn((b"Content-Range", b"bytes */%d" % len(CONTENT)), response.headers)

    def test_what_the_client_has_already(self) -> None:
        for tags in (f'"{self.blob}"', f'"x", W/"{self.blob}"', "*"):
            response = self.get(If_None_Match=tags, Range="bytes=0-1")
            self.assertEqual((response.status, response.body), (304, b""))
        self.assertEqual(self.get(If_None_Match='"x"').status, 200)

    def test_a_range_of_what_the_client_knows(self) -> None:
        self.assertEqual(self.get(Range="bytes=0-1", If_Range=f'"{self.blob}"').status, 206)
        for other in ('"x"', f'W/"{self.blob}"', "Tue, 24 Nov 2026 09:00:00 GMT"):
            self.assertEqual(self.get(Range="bytes=0-1", If_Range=other).status, 200)

    def test_who_may(self) -> None:
        refused = self.get(identity=READER)
        self.assertEqual(refused.status, 404)
        self.assertIn(b"attachment_not_found", refused.body)
        self.references.readable.add(self.blob)
        self.assertEqual(self.get(identity=READER).status, 200)

    def test_what_is_nowhere(self) -> None:
        for name in (
            "x",
            "x" * 43,
            "x" * 44,
            "../../etc/passwd",
            self.blob + "/",
            self.blob + "\n",
        ):
            response = self.get(name)
            self.assertEqual(response.status, 404)
            self.assertIn(b"attachment_not_found", response.body)

    def test_what_the_mesh_has(self) -> None:
        missing = attachment_id(b"elsewhere")
        self.references.named.add(missing)
        response = self.get(missing)
        self.assertEqual(response.status, 404)
        self.assertIn(b"attachment_unavailable", response.body)
        self.references.arriving[missing] = b"elsewhere"
        self.assertEqual(self.get(missing).body, b"elsewhere")

    def test_a_reader_is_closed_though_nobody_reads(self) -> None:
        request = api_request()
        request.path_parameter = self.blob
        response = self.successResultOf(Deferred.fromCoroutine(self.resource.respond(request)))
        assert isinstance(response, StreamingResponse)
        aclose = getattr(response.pieces, "aclose")  # noqa: B009  # not every iterator has it
        self.successResultOf(Deferred.fromCoroutine(aclose()))
        self.assertEqual(self.blobs.readers[0].closed, 1)

    def test_a_blob_that_shrank_cuts_the_answer(self) -> None:
        request = api_request()
        request.path_parameter = self.blob
        response = self.successResultOf(Deferred.fromCoroutine(self.resource.respond(request)))
        assert isinstance(response, StreamingResponse)
        self.blobs.readers[0].content = b""
        pieces = response.pieces

        async def first() -> bytes:
            return await anext(pieces)

        self.failureResultOf(Deferred.fromCoroutine(first()), EOFError)
