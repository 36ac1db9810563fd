# SPDX-License-Identifier: Apache-2.0
"""The interface that the API needs of a database; implementations know nothing of HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from edge_twisted.api.request_ids import RequestId
from edge_twisted.documents.values import Value
from edge_twisted.dql.result import Result
from edge_twisted.security.permissions import Access

#: A statement with its arguments.
Call = tuple[str, Mapping[str, Value]]


class Database(Protocol):
    """
    One database.

    Results come as Deferreds or coroutines over them; cancelling one cancels the statement, which
    then stores nothing.  Errors are `EdgeError` with codes of `errors.ERRORS`; the API answers any
    other exception as a bug.
    """

    def run(
        self,
        statement: str,
        args: Mapping[str, Value],
        *,
        access: Access,
        request_id: RequestId,
        timeout_seconds: float | None,
        stream: bool = False,
    ) -> Result | Deferred[Result]:
        """
        Run one statement; the result of a mutation comes only once the mutation is durable.

        A result that is ready is returned as it is, without a Deferred; an error may be raised or
        come from the Deferred.  `timeout_seconds` None means no limit.  With `stream`, a large
        result comes in batches (`Result.batches`).
        """

    def transaction(
        self,
        statements: Sequence[Call],
        *,
        access: Access,
        request_id: RequestId,
        timeout_seconds: float | None,
    ) -> Awaitable[Sequence[Result]]:
        """Run statements as one unit: all are stored, or none; each sees the ones before.

        Results come in the order of the statements, once all are durable.  `timeout_seconds` is for
        all statements together; None means no limit.

        :raises TransactionFailed: one of the statements failed; the error says which and why.
        """

    def reached(self, lsn: int) -> Awaitable[None]:
        """Wait until the store has reached the commit with the number `lsn`."""
