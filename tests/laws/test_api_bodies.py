# SPDX-License-Identifier: Apache-2.0
"""Whatever a client sends as a body, it gets an answer or an error that is its own."""

from __future__ import annotations

import cbor2
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from edge_twisted.api.attachments_upload import AttachmentsUpload
from edge_twisted.api.decoding import call_of, decode
from edge_twisted.api.errors import InvalidRequest
from edge_twisted.api.failures import code_of, response_to
from edge_twisted.api.media import Media
from edge_twisted.api.ranges import requested_range
from edge_twisted.api.request_ids import RequestId
from edge_twisted.api.transaction import Transaction
from edge_twisted.documents.values import Value, canonical
from tests.support.api_requests import answered, api_request
from tests.support.fake_attachments import FakeBlobs
from tests.support.fake_database import FakeDatabase
from tests.support.strategies_documents import values

EXAMPLES = settings(max_examples=200, deadline=None)

loose = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
members = st.dictionaries(
    st.sampled_from(["statement", "args", "statements", "other"]), loose, max_size=4
)
near_calls = st.fixed_dictionaries({}, optional={"statement": st.text(), "args": loose})


@EXAMPLES
@given(st.binary(max_size=200), st.sampled_from(Media))
def test_any_bytes_are_a_value_of_documents_or_refused(body: bytes, media: Media) -> None:
    try:
        value = decode(body, media)
    except InvalidRequest:
        return
    canonical(value)  # type: ignore[arg-type]  # that it is one is what is tested


@EXAMPLES
@given(members | near_calls | loose)
def test_any_cbor_is_a_call_of_documents_values_or_refused(sent: object) -> None:
    try:
        statement, args = call_of(decode(cbor2.dumps(sent), Media.CBOR))
    except InvalidRequest:
        return
    assert type(statement) is str
    for each in args.values():
        canonical(each)


@EXAMPLES
@given(st.dictionaries(st.text(), values, max_size=3))
def test_arguments_arrive_as_they_were(args: dict[str, Value]) -> None:
    body = cbor2.dumps({"statement": "s", "args": args})
    arrived = call_of(decode(body, Media.CBOR))[1]
    assert canonical(dict(arrived)) == canonical(args)


@EXAMPLES
@given(members)
def test_a_transaction_s_body_is_run_or_the_client_s_error(sent: object) -> None:
    try:
        body = orjson.dumps(sent)
    except TypeError:
        body = cbor2.dumps(sent)
    resource = Transaction(FakeDatabase(), max_body_bytes=10**6, timeout_seconds=None)
    outcome: list[object] = []
    Deferred.fromCoroutine(answered(resource, api_request("POST", body=body))).addBoth(
        outcome.append
    )
    (found,) = outcome
    assert isinstance(found, Failure)
    # A statement that is none is unknown to the fake: the only bug that is none.
    error = found.value
    assert isinstance(error, KeyError) or (
        error and response_to(error, RequestId("r")).status == 400
    )


@EXAMPLES
@given(
    st.lists(st.sampled_from([b"--b", b"--", b"\r\n", b"\r", b"\n", b"file", b'"', b"=",
                              b"Content-Disposition: form-data; name=", b"x" * 50, b":"]),
             max_size=20),
    st.integers(1, 9),
)  # fmt: skip
def test_any_form_is_a_blob_or_refused_and_leaves_nothing(tokens: list[bytes], cuts: int) -> None:
    blobs = FakeBlobs()
    resource = AttachmentsUpload(blobs, max_body_bytes=10**6)
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    request = api_request("POST", headers=headers, body=b"".join(tokens), pieces=cuts)
    outcome: list[object] = []
    Deferred.fromCoroutine(answered(resource, request)).addBoth(outcome.append)
    (found,) = outcome
    if isinstance(found, Failure):
        assert found.value is not None
        assert code_of(found.value) == "invalid_request", found
        assert blobs.complete == {}
        assert all(writer.aborted for writer in blobs.writers)


@EXAMPLES
@given(st.binary(max_size=30), st.integers(-1, 40), st.integers(-1, 40))
def test_a_range_is_what_a_slice_is(content: bytes, first: int, last: int) -> None:
    asked = f"bytes={'' if first < 0 else first}-{'' if last < 0 else last}"
    try:
        found = requested_range(asked, len(content))
    except Exception as error:
        assert code_of(error) == "range_not_satisfiable"
        assert first >= len(content) or (first < 0 and min(last, len(content)) == 0)
        return
    if first < 0:
        expected = None if last < 0 else content[len(content) - min(last, len(content)) :]
    else:
        expected = content[first:] if last < 0 else content[first : last + 1]
    if found is None:
        assert expected is None or 0 <= last < first
    else:
        assert content[found[0] : found[0] + found[1]] == expected
