# SPDX-License-Identifier: Apache-2.0
"""What the API needs of a database; who implements it knows nothing of HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from twisted.internet.defer import Deferred

from edge_twisted.documents.values import Value
from edge_twisted.security.permissions import Access

#: A statement with its arguments.
Call = tuple[str, Mapping[str, Value]]


class Rows(Protocol):
    """
    Rows of a result.

    Exactly one of `items` and `texts` is there; `texts` are JSON documents in UTF-8, shown to the
    letter.
    """

    @property
    def items(self) -> Sequence[Value] | None:
        """The rows as values."""

    @property
    def texts(self) -> Sequence[bytes] | None:
        """The rows as JSON."""


class Batches(Protocol):
    """Rows that are read while they are asked for; whoever has them closes them in any case."""

    def next(self) -> Awaitable[Rows | None]:
        """Fire with the next rows, None at the end; one call at a time."""

    def close(self) -> None:
        """Give back what is held; harmless when repeated."""


class Result(Rows, Protocol):
    """What a statement came to; of a large one that streams, the first rows."""

    @property
    def batches(self) -> Batches | None:
        """Where the rows behind these come from; None: these are all."""

    @property
    def query_type(self) -> str:
        """The kind of statement, as ``queryType`` has it."""

    @property
    def verb(self) -> str:
        """What it does, for the audit log and metrics."""

    @property
    def collections(self) -> Sequence[str]:
        """The collections that it names, for the audit log."""

    @property
    def mutated_ids(self) -> Sequence[Value]:
        """The ids of the documents that it changed."""

    @property
    def warnings(self) -> Sequence[str]:
        """The first few warnings."""

    @property
    def total_warnings(self) -> int:
        """How many warnings there were in all."""

    @property
    def transaction_id(self) -> int:
        """The commit of a mutation, or the one that a read saw."""

    @property
    def commit_id(self) -> int | None:
        """The commit of a mutation; None for reads."""


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

        Fails with an `EdgeError` that is a `FailedAt`, unless all of it failed as a whole.
        """

    def reached(self, lsn: int) -> Awaitable[None]:
        """Fire when the store has the commit `lsn`, at once if it has."""


@runtime_checkable
class FailedAt(Protocol):
    """The error of one statement of a transaction."""

    @property
    def index(self) -> int:
        """Which statement, from 0."""

    @property
    def cause(self) -> Exception:
        """What was wrong with it."""
