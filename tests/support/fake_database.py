# SPDX-License-Identifier: Apache-2.0
"""A database for tests of the API: answers are told to it, and calls can be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, succeed

from edge_twisted.api.database import Call, Database
from edge_twisted.documents.values import Value
from edge_twisted.dql.errors import TransactionFailed
from edge_twisted.dql.result import Result
from edge_twisted.security.permissions import Access


@define(kw_only=True)
class FakeResult(Result):
    """A result, by default that of a SELECT that found nothing."""

    query_type: str = "select"
    verb: str = "select"
    collections: Sequence[str] = ("tasks",)
    transaction_id: int = 17


@frozen(kw_only=True)
class Asked:
    """A call of the database."""

    calls: Sequence[Call]
    access: Access
    request_id: str
    timeout_seconds: float | None


@define
class FakeDatabase:
    """
    Answers each statement with what `answers` has for its text: a result, or an error to fail with.

    A statement without an answer waits until it is cancelled or `release` is called.
    """

    answers: dict[str, Result | Exception] = field(factory=dict)
    asked: list[Asked] = field(factory=list)
    #: The newest commit.
    lsn: int = 0
    #: Statements that were cancelled.
    cancelled: list[str] = field(factory=list)
    _waiting: list[tuple[str, Deferred[Result]]] = field(factory=list)
    _awaited: list[tuple[int, Deferred[None]]] = field(factory=list)

    def run(
        self,
        statement: str,
        args: Mapping[str, Value],
        *,
        access: Access,
        request_id: str,
        timeout_seconds: float | None,
        stream: bool = False,
    ) -> Deferred[Result]:
        """See `Database.run`."""
        self._note([(statement, args)], access, request_id, timeout_seconds)
        return self._answer(statement)

    def transaction(
        self,
        statements: Sequence[Call],
        *,
        access: Access,
        request_id: str,
        timeout_seconds: float | None,
    ) -> Deferred[Sequence[Result]]:
        """See `Database.transaction`; every statement must have an answer."""
        self._note(statements, access, request_id, timeout_seconds)
        results: list[Result] = []
        failed: Deferred[Sequence[Result]] = Deferred()
        for index, (statement, _args) in enumerate(statements):
            answer = self.answers[statement]
            if isinstance(answer, Exception):
                failed.errback(TransactionFailed(index, answer))
                return failed
            results.append(answer)
        return succeed(results)

    def reached(self, lsn: int) -> Deferred[None]:
        """See `Database.reached`."""
        if lsn <= self.lsn:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._awaited.append((lsn, waiter))
        return waiter

    # -- for tests

    def commit(self, lsn: int) -> None:
        """Have the store reach a commit."""
        self.lsn = lsn
        due = [waiter for awaited, waiter in self._awaited if awaited <= lsn]
        self._awaited = [each for each in self._awaited if each[0] > lsn]
        for waiter in due:
            waiter.callback(None)

    def release(self, result: Result) -> None:
        """Answer the statement that waits longest."""
        _statement, waiter = self._waiting.pop(0)
        waiter.callback(result)

    def _note(
        self, calls: Sequence[Call], access: Access, request_id: str, timeout: float | None
    ) -> None:
        self.asked.append(
            Asked(calls=tuple(calls), access=access, request_id=request_id, timeout_seconds=timeout)
        )

    def _answer(self, statement: str) -> Deferred[Result]:
        answer = self.answers.get(statement)
        waiter: Deferred[Result] = Deferred(lambda _: self.cancelled.append(statement))
        if isinstance(answer, Exception):
            waiter.errback(answer)
        elif answer is not None:
            waiter.callback(answer)
        else:
            self._waiting.append((statement, waiter))
        return waiter


def _implements(database: FakeDatabase) -> Database:
    """Let the type checker verify it."""
    return database
