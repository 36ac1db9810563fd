# SPDX-License-Identifier: Apache-2.0
"""``POST /execute``: one statement."""

from __future__ import annotations

from twisted.internet.defer import CancelledError

from edge_twisted.api.database import Database
from edge_twisted.api.decoding import call_of, decode
from edge_twisted.api.errors import InvalidRequest
from edge_twisted.api.gate import caller_of
from edge_twisted.api.media import answer_media, body_media
from edge_twisted.api.openapi.operation import Fragment, Operation, content
from edge_twisted.api.rendering import NO_RESULT, result_response
from edge_twisted.api.request import Headers, Request
from edge_twisted.api.response import AnyResponse
from edge_twisted.api.route import Route
from edge_twisted.api.statement_errors import StatementSummary, failed_statement, summarize
from edge_twisted.documents.values import INTEGER_MAX
from edge_twisted.dql.result import Result

ROUTE = Route(
    endpoint="execute",
    path="/execute",
    methods=("POST",),
    setting="http_server.http_api.execute",
    beside_errors=NO_RESULT,
)

STATEMENT_ERRORS = (
    "query_lexical", "query_syntax", "query_invalid", "query_arguments_invalid",
    "query_evaluation", "query_unsupported", "statement_timeout", "statement_cancelled",
    "duplicate_ids", "not_a_document", "document_too_large", "id_conflict", "index_exists",
    "index_unknown", "invalid_document_id", "invalid_write", "counter_overflow",
    "unknown_parameter", "invalid_parameter_value", "overloaded", "store_error",
    "store_io_error", "store_corrupt", "store_overloaded", "store_full",
    "store_read_only", "store_closed", "read_cancelled",
)  # fmt: skip

WAIT_FOR_PARAMETER: Fragment = {
    "name": "X-DITTO-TXN-ID",
    "in": "header",
    "description": "Wait until the store has reached this commit.",
    "schema": {"type": "integer", "minimum": 0, "maximum": INTEGER_MAX},
}

_EXAMPLE = {"statement": "SELECT * FROM tasks WHERE done = :done", "args": {"done": False}}

OPERATION = Operation(
    route=ROUTE,
    id="execute",
    summary="Run one DQL statement.",
    description="A mutation is answered once it is durable. Binary values travel in CBOR; in JSON "
    "they are answered as base64 text.",
    parameters=(WAIT_FOR_PARAMETER,),
    request_body={
        "required": True,
        "content": content("Call", "application/json", "application/cbor", example=_EXAMPLE),
    },
    responses={
        200: {
            "description": "What the statement came to.",
            "content": content("Result", "application/json", "application/cbor"),
        }
    },
    errors=STATEMENT_ERRORS,
    error_schema="StatementError",
)

#: The header field with the commit that the store must have reached before the statement runs.
_WAIT_FOR = b"x-ditto-txn-id"
#: Most digits of a 64-bit number.
_MAX_DIGITS = 19


class Execute:
    """Runs statements, each for at most `timeout_seconds` (None: without a limit)."""

    route = ROUTE

    def __init__(
        self, database: Database, *, max_body_bytes: int, timeout_seconds: float | None
    ) -> None:
        self._database = database
        self._timeout_seconds = timeout_seconds
        self.max_body_bytes = max_body_bytes

    async def respond(self, request: Request) -> AnyResponse:
        """Run the statement in the body, and answer with its result.

        An error of the statement is raised as `ErrorWithDetails`, so that its JSON has a result's
        members.
        """
        statement: str | None = None
        try:
            headers = request.headers
            media = body_media(headers)
            wait_for = awaited_commit(headers)
            statement, args = call_of(decode(await request.body(), media))
            if wait_for is not None:
                await self._database.reached(wait_for)
            found = self._database.run(
                statement,
                args,
                access=caller_of(request).permits.access("execute"),
                request_id=request.id,
                timeout_seconds=self._timeout_seconds,
                stream=True,
            )
            # Asked this way round because `isinstance(found, Deferred)` costs 0.4 us to say no.
            result: Result = found if isinstance(found, Result) else await found
        except Exception as error:
            about = StatementSummary() if statement is None else summarize(statement, error)
            request.verb, request.collections = about.verb, about.collections
            if isinstance(error, CancelledError):
                # The client went away, or the pipeline answers that the time limit was reached.
                raise
            raise failed_statement(error, about) from error
        request.verb, request.collections = result.verb, tuple(result.collections)
        return result_response(result, answer_media(headers))


def awaited_commit(headers: Headers) -> int | None:
    """Return the number of the commit that `X-DITTO-TXN-ID` asks to wait for.

    None: the request has no such field.

    :raises InvalidRequest: the field's value is no number of a commit: 400.
    """
    raw = headers.get_bytes(_WAIT_FOR)
    if raw is None:
        return None
    digits = raw.strip()
    if digits.isdigit() and len(digits) <= _MAX_DIGITS:
        number = int(digits)
        if number <= INTEGER_MAX:
            return number
    raise InvalidRequest("X-DITTO-TXN-ID must be the number of a commit")
