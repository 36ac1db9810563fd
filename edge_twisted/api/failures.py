# SPDX-License-Identifier: Apache-2.0
"""The one mapping from exceptions to error responses and their log lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson
from twisted.logger import Logger
from twisted.python.failure import Failure

from edge_twisted.api.errors import (
    STATUS_OF,
    TOLD_INSTEAD,
    ErrorWithDetails,
    Field,
    HttpError,
    retry_after,
)
from edge_twisted.api.request_ids import RequestId
from edge_twisted.api.response import Response
from edge_twisted.dql.errors import DqlError
from edge_twisted.errors import EdgeError

log = Logger()

#: Codes of expected conditions (a full disk, a full queue): logged in one line without traceback.
_EXPECTED = frozenset(code for code in TOLD_INSTEAD if STATUS_OF[code] == 503)

#: The description of internal errors for the client: where to look, without the cause.
INTERNAL = "the server failed on this request; its log has the cause under this request id"

#: Retry-After of every 503, in seconds.  What a 503 reports (a full queue, a restart) ends within
#: seconds, and a request that comes too early costs the server no more than a refusal.
RETRY_AFTER_SECONDS: Final = 1


def code_of(error: BaseException) -> str:
    """Return the published code of an error; ``internal_error`` for an error without one."""
    if isinstance(error, ErrorWithDetails):
        return code_of(error.cause)
    if isinstance(error, EdgeError) and error.code in STATUS_OF:
        return error.code
    return "internal_error"


def response_to(error: BaseException, request_id: RequestId) -> Response:
    """
    Return the response to a request that failed with `error`.

    Errors that are the server's fault are logged here, under the request's id.
    """
    beside: Mapping[str, object] = {}
    extra: dict[str, object] = {}
    while isinstance(error, ErrorWithDetails):
        beside = {**error.beside, **beside}
        extra = {**error.extra, **extra}
        error = error.cause
    code = code_of(error)
    if code == "internal_error":
        _log(error, request_id)
        return error_response(code, INTERNAL, extra, beside, request_id=request_id)
    if code in TOLD_INSTEAD:
        _log(error, request_id)
        return error_response(code, TOLD_INSTEAD[code], extra, beside, request_id=request_id)
    if isinstance(error, HttpError):
        return error_response(
            code,
            error.description,
            {**error.extra, **extra},
            {**error.beside, **beside},
            headers=error.headers,
        )
    if isinstance(error, DqlError):
        extra = {**position_of(error), **extra}
    return error_response(code, str(error), extra, beside)


def log_cause(
    failure: Failure, request_id: RequestId, what: str = "Request {request_id} failed"
) -> None:
    """Log why a request failed: a bug with its traceback, an expected condition in one line.

    Expected conditions, such as a full disk, can come in floods, so their lines are thinned out.
    `what` begins the line, and is a template with `{request_id}`.
    """
    assert failure.value is not None
    code = code_of(failure.value)
    if code in _EXPECTED:
        template = f"{what}: {{code}}: {{error}}"
        error = str(failure.value)
        log.error(template, request_id=request_id, code=code, error=error, log_repeats=code)
    elif code in TOLD_INSTEAD:
        log.failure(what, failure, request_id=request_id, code=code, log_repeats=code)
    else:
        log.failure(what, failure, request_id=request_id)


def _log(error: BaseException, request_id: RequestId) -> None:
    log_cause(Failure(error, type(error), error.__traceback__), request_id)


def error_response(
    code: str,
    description: str,
    extra: Mapping[str, object] | None = None,
    beside: Mapping[str, object] | None = None,
    *,
    headers: tuple[Field, ...] = (),
    request_id: RequestId | None = None,
) -> Response:
    """Compose the response of an error: the JSON has the same shape for every 4xx and 5xx.

    `extra` are further members of the object ``error``, `beside` are members beside it.  Here alone
    a 503 gets its Retry-After; a throttle computes the one of its 429 itself.
    """
    status = STATUS_OF[code]
    if status == 503:
        headers = (retry_after(RETRY_AFTER_SECONDS), *headers)
    error: dict[str, object] = {"code": code, "description": description, **(extra or {})}
    if request_id is not None:
        error["request_id"] = request_id
    body = orjson.dumps({"error": error, **(beside or {})})
    return Response(status=status, headers=headers, body=body)


def position_of(error: DqlError) -> dict[str, object]:
    """Return line, column and snippet of the error, as members of its JSON; empty if unknown."""
    position = error.position
    if position is None:
        return {}
    return {"line": position.line, "column": position.column, "snippet": position.snippet}
