# SPDX-License-Identifier: Apache-2.0
"""
Running and finished statements, as ``system:active_requests`` and ``system:request_history`` show.

Texts are cut and arguments are not kept, so the history is bounded in memory and holds only values
that were written into a statement.  The reactor thread records, reader threads read: readers copy
a collection in one step, which the interpreter's lock makes atomic.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Final, cast

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from edge_twisted.database.statement_cache import PreparedStatement
from edge_twisted.database.system_parameters import ParameterValues
from edge_twisted.documents.values import Value
from edge_twisted.dql.execution.interruption import StatementCancelled, StatementTimeout
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.dql.rows import Document
from edge_twisted.dql.source import SourceText
from edge_twisted.errors import EdgeError

log = Logger()


#: Characters of a statement's text that are kept: 4,096 statements take some 10 MB at most.
KEPT_TEXT_LENGTH: Final = 2_048
#: Characters of a statement's text that are logged.
_LOGGED_TEXT_LENGTH: Final = 200
_NS: Final = 1_000_000_000


class StatementState(Enum):
    """The state of a statement; the value is what its row shows."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    FATAL = "fatal"

    #: Every statement is counted by its state, and the hash of an `Enum` is slow Python code.
    __hash__ = object.__hash__


class StatementRecord:
    """
    The record of one statement, from its arrival to its end.

    :ivar id: the id of the request that it came with.
    :ivar kind: ``execute`` or ``transaction``.
    :ivar started_ms: when it arrived, in ms since 1970.
    :ivar started: when it arrived, in seconds of the monotonic clock.
    """

    # Class attributes as defaults: a record is made for every statement, and must be cheap.
    state: StatementState = StatementState.RUNNING
    query_type: str = "unknown"
    collections: Sequence[str] = ()
    parse_seconds: float = 0.0
    plan_seconds: float = 0.0
    elapsed_seconds: float | None = None
    plan: QueryPlan | None = None
    result_count: int = 0
    mutation_count: int = 0
    error: tuple[str, str] | None = None
    #: Whether it counts for ``dql_concurrent_request_limit``.
    is_admitted: bool = False
    #: The whole text, from parsing to the end of the statement.
    source: SourceText | None = None

    def __init__(self, id_: str, text: str, kind: str, started_ms: int, started: float) -> None:
        self.id = id_
        self.text = text
        self.kind = kind
        self.started_ms = started_ms
        self.started = started

    def note_prepared(self, prepared: PreparedStatement) -> None:
        """Record what parsing found; only the first statement of a text took time to parse."""
        self.query_type = prepared.statement.query_type
        self.source = prepared.parsed.source
        self.collections = prepared.collections
        if prepared.uses <= 1:
            self.parse_seconds = prepared.parse_seconds

    def note_plan(self, plan: QueryPlan, seconds: float) -> None:
        """
        Record the first plan of the statement, that of the documents it looks for.

        :param seconds: how long planning took; 0 for a cached plan.
        """
        if seconds:
            self.plan_seconds += seconds
        # A plan holds the whole text of its statement, so none is kept where the text was cut.
        if self.plan is None and len(self.text) < KEPT_TEXT_LENGTH:
            self.plan = plan

    def note_end(self, error: BaseException | None, elapsed_seconds: float) -> None:
        """Record how the statement ended; `error` is None if it completed."""
        self.elapsed_seconds = elapsed_seconds
        self.source = None
        if error is None:
            self.state = StatementState.COMPLETED
            return
        self.state = _state_after(error)
        if isinstance(error, EdgeError) and self.query_type != "unknown":
            error.concern(self.query_type, self.collections)
        code = error.code if isinstance(error, EdgeError) else "internal_error"
        # The text of an unexpected exception may contain anything; the log has it.
        text = str(error)[:KEPT_TEXT_LENGTH] if isinstance(error, EdgeError) else ""
        self.error = code, text

    def row(self, app_id: str, now: float) -> Document:
        """
        Return the record as a document of a virtual collection; its durations are in ns.

        :param now: seconds of the monotonic clock, for a statement that has not ended.
        """
        elapsed = now - self.started if self.elapsed_seconds is None else self.elapsed_seconds
        started = datetime.fromtimestamp(self.started_ms / 1000, UTC)
        found: Document = {
            "_id": self.id,
            "app_id": app_id,
            "featureFlags": 0,
            "plan": _describe(self.plan),
            "queryType": self.query_type,
            "requestType": self.kind,
            "state": self.state.value,
            "text": self.text,
            "times": {
                "elapsed": int(elapsed * _NS),
                "parse": int(self.parse_seconds * _NS),
                "plan": int(self.plan_seconds * _NS),
                "start": started.isoformat(timespec="milliseconds"),
            },
        }
        if self.elapsed_seconds is not None:
            found["resultCount"] = self.result_count
            found["mutationCount"] = self.mutation_count
        if self.error is not None:
            found["error"] = {"code": self.error[0], "description": self.error[1]}
        return found


def _describe(plan: QueryPlan | None) -> Value:
    return None if plan is None else cast("Value", plan.describe())


def _state_after(error: BaseException) -> StatementState:
    if isinstance(error, StatementTimeout):
        return StatementState.TIMEOUT
    if isinstance(error, StatementCancelled | CancelledError | GeneratorExit):
        return StatementState.CANCELLED
    return StatementState.FATAL


class StatementHistory:
    """Records all running statements of a database, and the newest finished ones."""

    def __init__(
        self,
        app_id: str,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
        parameters: Callable[[], ParameterValues],
    ) -> None:
        self._app_id = app_id
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._parameters = parameters
        #: The running and waiting statements in the order of their arrival.
        self._active: dict[StatementRecord, None] = {}
        self._finished: deque[StatementRecord] = deque()
        self.counts: Counter[StatementState] = Counter()
        self.slow = 0

    def begin(self, id_: str, text: str, kind: str) -> StatementRecord:
        """
        Record the arrival of a statement; return its record, to be given to `end`.

        :param id_: the id of the request; `kind` is ``execute`` or ``transaction``.
        """
        record = StatementRecord(
            id_, text[:KEPT_TEXT_LENGTH], kind, self._now_ms(), self._monotonic()
        )
        self._active[record] = None
        return record

    def end(self, record: StatementRecord, error: BaseException | None) -> None:
        """Record the end of a statement, and log it if it was slow; `error` None: it completed."""
        self._active.pop(record, None)
        elapsed = self._monotonic() - record.started
        record.note_end(error, elapsed)
        self.counts[record.state] += 1
        if error is not None:
            log.debug(
                "Request {request_id} ended after {seconds:.3f} s, {state}: {code}",
                request_id=record.id,
                seconds=elapsed,
                state=record.state.value,
                code=record.error[0] if record.error else "",
                text=record.text[:_LOGGED_TEXT_LENGTH],
            )
        parameters = self._parameters()
        size, finished = parameters.history_size, self._finished
        if size:
            finished.append(record)
        while len(finished) > size:
            finished.popleft()
        limit = parameters.slow_seconds
        if limit and elapsed >= limit:
            self.slow += 1
            log.warn(
                "Request {request_id} took {seconds:.1f} s, more than {limit} s: {text}",
                request_id=record.id,
                seconds=elapsed,
                limit=limit,
                text=record.text[:_LOGGED_TEXT_LENGTH],
            )

    def forget(self, ids: Collection[str]) -> None:
        """Drop finished statements from the history, by the ids of their requests."""
        self._finished = deque(each for each in self._finished if each.id not in ids)

    @property
    def active_count(self) -> int:
        """The number of statements that run or wait."""
        return len(self._active)

    def active_rows(self) -> Iterator[Document]:
        """Yield the running and waiting statements as documents, oldest first; on any thread."""
        now = self._monotonic()
        for record in list(self._active):
            yield record.row(self._app_id, now)

    def finished_rows(self) -> Iterator[Document]:
        """Yield the finished statements as documents, in the order of their ends; on any thread."""
        for record in self._finished.copy():
            yield record.row(self._app_id, 0.0)
