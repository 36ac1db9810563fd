# SPDX-License-Identifier: Apache-2.0
"""``POST /transaction``: several statements, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from edge_twisted.api.database import Call, Database
from edge_twisted.api.decoding import call_of, decode, object_of
from edge_twisted.api.errors import ErrorWithDetails, InvalidRequest
from edge_twisted.api.execute import STATEMENT_ERRORS, WAIT_FOR_PARAMETER, awaited_commit
from edge_twisted.api.gate import caller_of
from edge_twisted.api.media import answer_media, body_media
from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.rendering import results_response
from edge_twisted.api.request import Request
from edge_twisted.api.response import AnyResponse
from edge_twisted.api.route import Route
from edge_twisted.api.statement_errors import summarize
from edge_twisted.dql.errors import TransactionFailed
from edge_twisted.dql.result import Result
from edge_twisted.errors import EdgeError

#: Most statements of a transaction, which other writes have to wait for.
MAX_STATEMENTS = 1000

ROUTE = Route(
    endpoint="transaction",
    path="/transaction",
    methods=("POST",),
    setting="http_server.http_api.execute",
)

_EXAMPLE = {
    "statements": [
        {
            "statement": "INSERT INTO tasks DOCUMENTS (:task)",
            "args": {"task": {"_id": "t1", "done": False}},
        },
        {"statement": "UPDATE tasks SET done = true WHERE _id = 't1'"},
    ]
}

OPERATION = Operation(
    route=ROUTE,
    id="transaction",
    summary="Run several DQL statements, all or nothing.",
    description="Later statements see what earlier ones did. If one fails, nothing is stored, and "
    "the error's `index` names it.",
    parameters=(WAIT_FOR_PARAMETER,),
    request_body={
        "required": True,
        "content": content("Transaction", "application/json", "application/cbor", example=_EXAMPLE),
    },
    responses={
        200: {
            "description": "What each statement came to.",
            "content": content("TransactionResult", "application/json", "application/cbor"),
        }
    },
    errors=STATEMENT_ERRORS,
)


class Transaction:
    """Runs transactions, each for at most `timeout_seconds` in all (None: without a limit)."""

    route = ROUTE

    def __init__(
        self, database: Database, *, max_body_bytes: int, timeout_seconds: float | None
    ) -> None:
        self._database = database
        self._timeout_seconds = timeout_seconds
        self.max_body_bytes = max_body_bytes

    async def respond(self, request: Request) -> AnyResponse:
        """Run the statements in the body as one unit, and answer with their results.

        An error of a statement is raised with the statement's `index` (from 0) in its JSON; then
        nothing is stored.
        """
        headers = request.headers
        media = body_media(headers)
        wait_for = awaited_commit(headers)
        calls = _calls(decode(await request.body(), media))
        request.verb = "transaction"
        if wait_for is not None:
            await self._database.reached(wait_for)
        try:
            results = await self._database.transaction(
                calls,
                # Transactions have no permission of their own; that of /execute opens them.
                access=caller_of(request).permits.access("execute"),
                request_id=request.id,
                timeout_seconds=self._timeout_seconds,
            )
        except Exception as error:
            request.collections = _collections_named(calls, error)
            raise _with_index(error) from error
        request.collections = _collections(results)
        return results_response(results, answer_media(headers))


def _calls(value: object) -> Sequence[Call]:
    members = object_of(value, frozenset({"statements"}), "the body")
    statements = members.get("statements")
    if type(statements) is not list or not statements:
        raise InvalidRequest('the body must have a list of at least one as "statements"')
    if len(statements) > MAX_STATEMENTS:
        raise InvalidRequest(f"a transaction takes at most {MAX_STATEMENTS} statements")
    calls = []
    for index, each in enumerate(statements):
        try:
            calls.append(call_of(each, f"statement {index}"))
        except InvalidRequest as error:
            raise ErrorWithDetails(error, extra={"index": index}) from None
    return calls


def _with_index(error: Exception) -> Exception:
    """Replace `TransactionFailed` by the statement's own error, with the statement's index."""
    if isinstance(error, TransactionFailed):
        return ErrorWithDetails(error.cause, extra={"index": error.index})
    return error


def _collections(results: Sequence[Result]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for result in results for name in result.collections))


def _collections_named(calls: Sequence[Call], error: Exception) -> tuple[str, ...]:
    about = error.about if isinstance(error, EdgeError) else None
    names = list(about[1]) if about is not None else []
    names.extend(name for text, _args in calls for name in summarize(text).collections)
    return tuple(dict.fromkeys(names))
