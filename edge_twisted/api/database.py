# SPDX-License-Identifier: Apache-2.0
"""The interface that the API needs of a database; implementations know nothing of HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from edge_twisted.documents.values import Value
from edge_twisted.dql.result import Result
from edge_twisted.security.permissions import Access

#: A statement with its arguments.
Call = tuple[str, Mapping[str, Value]]


class Database(Protocol):
    """
    One database.  What it returns is a Deferred or a coroutine over them; cancelling it cancels
    the statement, which then stores nothing.

    Errors are `EdgeError` with codes of `errors.ERRORS`; anything else is answered as a bug.
    """

    def run(
        self,
        statement: str,
        args: Mapping[str, Value],
        *,
        access: Access,
        request_id: str,
        timeout_seconds: float | None,
        stream: bool = False,
    ) -> Result | Deferred[Any]:
        """
        Run one statement; a mutation fires only once it is durable.

        A `Result` that need not be waited for is returned at once; errors may be raised.

        `timeout_seconds` None is no limit.  With `stream`, a large result has `Result.batches`.
        """

    def transaction(
        self,
        statements: Sequence[Call],
        *,
        access: Access,
        request_id: str,
        timeout_seconds: float | None,
    ) -> Awaitable[Sequence[Result]]:
        """
        Run statements as one: each sees what those before it did, and all are stored or none.

        :raises TransactionFailed: one of the statements failed.
        """

    def reached(self, lsn: int) -> Awaitable[None]:
        """Fire when the store has the commit `lsn`, at once if it has."""
