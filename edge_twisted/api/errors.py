# SPDX-License-Identifier: Apache-2.0
"""
The table of error codes and statuses, and the errors that the HTTP layer raises.

An endpoint raises errors; it never composes an error response (`failures` does).  An error whose
code is not in `ERRORS` is answered as ``internal_error``, so a new code belongs into the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Self

from attrs import frozen

from edge_twisted.errors import Culprit, EdgeError

#: A header field of a response: name and value.
Field = tuple[bytes, bytes]


def header_lines_of(fields: Iterable[Field]) -> bytes:
    """Return header fields as the lines of a response, each with its line end."""
    return b"".join([b"%b: %b\r\n" % each for each in fields])


@frozen
class ErrorKind:
    """A published error code, its HTTP status, and its meaning for the caller."""

    code: str
    status: int
    meaning: str
    #: Whether an error's own text is for the log only; the client gets `meaning` instead.
    is_private: bool = False


#: All values of `error.code` in a response, in the order of the statuses.
ERRORS: tuple[ErrorKind, ...] = (
    ErrorKind("malformed_request", 400, "The request breaks HTTP's syntax; the connection closes."),
    ErrorKind("invalid_request", 400, "The request is HTTP, but not what the endpoint takes."),
    ErrorKind("query_lexical", 400, "The statement does not divide into tokens."),
    ErrorKind("query_syntax", 400, "The statement does not parse."),
    ErrorKind("query_invalid", 400, "The statement parses and means nothing."),
    ErrorKind("query_arguments_invalid", 400, "The arguments do not fit the statement."),
    ErrorKind("query_evaluation", 400, "The statement failed on a value that it met."),
    ErrorKind("query_unsupported", 400, "The statement asks for what this server does not do."),
    ErrorKind("invalid_document_id", 400, "The value cannot be a document's id."),
    ErrorKind("invalid_write", 400, "The change cannot be made to the document as it is."),
    ErrorKind("counter_overflow", 400, "A counter would leave the range of 64 bits."),
    ErrorKind("invalid_json", 400, "A text that is to be JSON is none."),
    ErrorKind("unknown_parameter", 400, "There is no system parameter of this name."),
    ErrorKind("invalid_parameter_value", 400, "A system parameter does not take this value."),
    ErrorKind("transaction_failed", 400, "One statement of a transaction failed."),
    ErrorKind("duplicate_ids", 400, "One INSERT names a document's id twice."),
    ErrorKind("not_a_document", 400, "What is to be inserted is no object."),
    ErrorKind("document_too_large", 400, "A document is beyond the limit of its size."),
    ErrorKind("index_unknown", 400, "There is no index of this name."),
    ErrorKind("unauthorized", 401, "No API key, or one that the server does not know."),
    ErrorKind("forbidden", 403, "The key is known and may not do this."),
    ErrorKind("attachment_forbidden", 403, "The key may not name this attachment in a document."),
    ErrorKind("not_found", 404, "Nothing is at this path."),
    ErrorKind("endpoint_disabled", 404, "The configuration switches this endpoint off."),
    ErrorKind("attachment_not_found", 404, "No document that you may read names this attachment."),
    ErrorKind("attachment_unavailable", 404, "The attachment is known and not here yet."),
    ErrorKind("method_not_allowed", 405, "The endpoint does not take this method; see Allow."),
    ErrorKind("request_timeout", 408, "The request took longer to arrive than the server waits."),
    ErrorKind("statement_timeout", 408, "The answer took longer than the server works on one."),
    ErrorKind("id_conflict", 409, "A document with this id exists."),
    ErrorKind("index_exists", 409, "An index of this name is on the collection already."),
    ErrorKind("too_many_collections", 409, "The database has as many collections as it may."),
    ErrorKind("length_required", 411, "The endpoint needs a body: Content-Length or chunks."),
    ErrorKind("body_too_large", 413, "The body is larger than the endpoint takes."),
    ErrorKind("unsupported_media_type", 415, "The body's type, charset or coding is not taken."),
    ErrorKind("range_not_satisfiable", 416, "The attachment has no such range."),
    ErrorKind("expectation_failed", 417, "Only `Expect: 100-continue` is understood."),
    ErrorKind("too_many_requests", 429, "The limit on requests is reached; see Retry-After."),
    ErrorKind("headers_too_large", 431, "The header fields are too long or too many."),
    ErrorKind("internal_error", 500, "The server failed; its log has the request id."),
    ErrorKind("store_error", 500, "The store failed; the log has the cause.", True),
    ErrorKind("store_io_error", 500, "The disk reported an error; the log has the cause.", True),
    ErrorKind("store_corrupt", 500, "Stored data is damaged; the log says where.", True),
    ErrorKind("corrupt_state", 500, "Stored data is damaged; the log says where.", True),
    ErrorKind("attachment_corrupt", 500, "The attachment's content is damaged.", True),
    ErrorKind("transfer_coding_unknown", 501, "Only the chunked transfer coding is understood."),
    ErrorKind("overloaded", 503, "More work waits than the server takes on; see Retry-After."),
    ErrorKind("too_many_connections", 503, "All connections are taken; see Retry-After."),
    ErrorKind("stopping", 503, "The server is stopping; see Retry-After."),
    ErrorKind("statement_cancelled", 503, "The statement was stopped; nothing was changed."),
    ErrorKind("read_cancelled", 503, "The read was stopped, for it held its data too long.", True),
    ErrorKind("store_overloaded", 503, "Too many operations wait for the store.", True),
    ErrorKind("store_full", 503, "The disk is full: reads go on, nothing is stored.", True),
    ErrorKind("store_read_only", 503, "The store cannot be written: reads go on.", True),
    ErrorKind("store_closed", 503, "The store is not open yet, or not any more.", True),
    ErrorKind("http_version_unknown", 505, "The server speaks HTTP/1.1 and HTTP/1.0."),
)

#: Code -> status.
STATUS_OF: Mapping[str, int] = {kind.code: kind.status for kind in ERRORS}
#: Code -> text for the client in place of the error's own text, which is private.
TOLD_INSTEAD: Mapping[str, str] = {kind.code: kind.meaning for kind in ERRORS if kind.is_private}


class HttpError(EdgeError):
    """
    An error that is answered to the client, with the status that `ERRORS` has for its code.

    :param description: a text for people, without paths, secrets or data of other callers.
    :param headers: further header fields of the response.
    :param extra: further members of the JSON object ``error``.
    :param beside: members of the JSON beside ``error``.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        description: str,
        *,
        headers: Sequence[Field] = (),
        extra: Mapping[str, object] | None = None,
        beside: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(description)
        self.description = description
        self.headers = tuple(headers)
        self.extra: Mapping[str, object] = extra or {}
        self.beside: Mapping[str, object] = beside or {}

    @property
    def status(self) -> int:
        """The HTTP status that `ERRORS` has for this error's code."""
        return STATUS_OF[self.code]

    def __str__(self) -> str:
        return self.description


class ClientError(HttpError):
    """The client is at fault: its request is wrong, not permitted, or one too many."""

    culprit = Culprit.CALLER


class ServerError(HttpError):
    """The server is at fault: the same request can succeed later; every response is a 503."""

    culprit = Culprit.OURSELVES


class MalformedRequest(ClientError):
    """The bytes are no HTTP request that can be understood in one way only."""

    code = "malformed_request"


class InvalidRequest(ClientError):
    """The request is well-formed HTTP and not what the endpoint takes."""

    code = "invalid_request"


class Unauthorized(ClientError):
    """No key, or none that is known."""

    code = "unauthorized"

    def __init__(self, description: str) -> None:
        super().__init__(description, headers=((b"WWW-Authenticate", b"Bearer"),))


class Forbidden(ClientError):
    """A known key that may not do this."""

    code = "forbidden"


class NotFound(ClientError):
    """Nothing is at the path."""

    code = "not_found"

    def __init__(self, description: str = "nothing is at this path") -> None:
        super().__init__(description)


class EndpointDisabled(ClientError):
    """The endpoint exists and `setting` of the configuration switches it off."""

    code = "endpoint_disabled"

    def __init__(self, setting: str) -> None:
        super().__init__(
            f"this endpoint is switched off; {setting} in the configuration switches it on",
            extra={"setting": setting},
        )
        self.setting = setting


class MethodNotAllowed(ClientError):
    """The endpoint takes only the methods `allowed`."""

    code = "method_not_allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        methods = ", ".join(allowed)
        super().__init__(
            f"this endpoint takes {methods}", headers=((b"Allow", methods.encode("ascii")),)
        )
        self.allowed = tuple(allowed)


class RequestTimeout(ClientError):
    """The client was too slow in sending its request."""

    code = "request_timeout"

    @classmethod
    def of_head(cls, seconds: float) -> Self:
        """Return the error of a head that took longer than `seconds`."""
        return cls(f"the request's head took longer than {seconds:g} s to arrive")

    @classmethod
    def of_body(cls, seconds: float) -> Self:
        """Return the error of a body that took `seconds`, or stood still for that long."""
        return cls(f"the request's body took longer than {seconds:g} s to arrive")

    @classmethod
    def of_slow_body(cls, bytes_per_second: int, seconds: float) -> Self:
        """Return the error of a body below the least rate, measured over `seconds`."""
        return cls(
            f"the request's body came slower than {bytes_per_second} bytes per second "
            f"for {seconds:g} s"
        )


class LengthRequired(ClientError):
    """The endpoint needs a body, and the request has neither Content-Length nor chunks."""

    code = "length_required"


class BodyTooLarge(ClientError):
    """The body is longer than `limit` bytes."""

    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes", extra={"limit_bytes": limit})
        self.limit = limit


class UnsupportedMediaType(ClientError):
    """The body's type, charset or coding is not one that the endpoint takes."""

    code = "unsupported_media_type"


class ExpectationFailed(ClientError):
    """An `Expect` other than 100-continue."""

    code = "expectation_failed"

    def __init__(self) -> None:
        super().__init__("only Expect: 100-continue is understood")


class TooManyRequests(ClientError):
    """A throttle refused; try again in `retry_after_seconds`, a whole number of at least 1."""

    code = "too_many_requests"

    def __init__(self, retry_after_seconds: int, headers: Sequence[Field] = ()) -> None:
        super().__init__(
            f"too many requests; try again in {retry_after_seconds} s",
            headers=(retry_after(retry_after_seconds), *headers),
        )
        self.retry_after_seconds = retry_after_seconds


class HeadersTooLarge(ClientError):
    """The header fields exceed the limit that `description` names."""

    code = "headers_too_large"


class TransferCodingUnknown(ClientError):
    """A transfer coding other than chunked."""

    code = "transfer_coding_unknown"


class TooManyConnections(ServerError):
    """All of the connections that the configuration allows are taken."""

    code = "too_many_connections"


class Stopping(ServerError):
    """The server is on its way down: it finishes what it began, and begins nothing."""

    code = "stopping"

    def __init__(self) -> None:
        super().__init__("the server is stopping; try again once it has started")


class HttpVersionUnknown(ClientError):
    """A version of HTTP that the server does not speak."""

    code = "http_version_unknown"

    def __init__(self) -> None:
        super().__init__("this server speaks HTTP/1.1 and HTTP/1.0")


def retry_after(seconds: int) -> Field:
    """Return the field Retry-After, which says in how many seconds to try again."""
    return (b"Retry-After", str(seconds).encode("ascii"))


class ErrorWithDetails(EdgeError):
    """
    Wraps another error, `cause`, to add members to the JSON of its response.

    `extra` and `beside` are those of `HttpError`.
    """

    def __init__(
        self,
        cause: Exception,
        *,
        extra: Mapping[str, object] | None = None,
        beside: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.extra: Mapping[str, object] = extra or {}
        self.beside: Mapping[str, object] = beside or {}

    def __str__(self) -> str:
        return str(self.cause)
