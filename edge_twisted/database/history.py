# SPDX-License-Identifier: Apache-2.0
"""
The statements that run and those that ran: what ``system:active_requests`` and
``system:request_history`` show.

Texts are cut and arguments are never kept, so the history is bounded in memory and holds no value
that was not written into a statement.  Whoever reads is on another thread than whoever records:
both sides take copies in one step.
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
from edge_twisted.dql.source import SourceText
from edge_twisted.errors import EdgeError

log = Logger()

Document = dict[str, Value]

#: Of a statement's text so much is kept: 4096 of them then take some 10 MB at most.
KEPT_TEXT_LENGTH: Final = 2_048
#: Of a slow statement's text so much is logged.
_LOGGED_TEXT_LENGTH: Final = 200
_NS: Final = 1_000_000_000


class StatementState(Enum):
    """How far a request is; the value is what its row shows."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    FATAL = "fatal"

    #: Members are equal to themselves alone; the hash of an `Enum` is a function in Python, and
    #: every statement is counted.
    __hash__ = object.__hash__


class StatementRecord:
    """
    One statement on its way; times are in seconds of the monotonic clock.

    :ivar id: of the request that it came with.
    :ivar started_ms: the wall clock when it came, in ms since 1970.
    """

    # Set only where they differ: one of these is made for every statement.
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
    #: Whether it counts among the statements that run at a time.
    is_admitted: bool = False
    #: The whole text, once it is parsed; not kept when the request is over.
    source: SourceText | None = None

    def __init__(self, id_: str, text: str, kind: str, started_ms: int, started: float) -> None:
        self.id = id_
        self.text = text
        self.kind = kind
        self.started_ms = started_ms
        self.started = started

    def note_prepared(self, prepared: PreparedStatement) -> None:
        """Take over what parsing told; it took its time for the first request of its text only."""
        self.query_type = prepared.statement.query_type
        self.source = prepared.parsed.source
        self.collections = prepared.collections
        if prepared.uses <= 1:
            self.parse_seconds = prepared.parse_seconds

    def note_plan(self, plan: QueryPlan, seconds: float) -> None:
        """Take over a plan; of several the first, which is that of the documents looked for."""
        if seconds:
            self.plan_seconds += seconds
        # The plan of a text that is cut would hold all of it.
        if self.plan is None and len(self.text) < KEPT_TEXT_LENGTH:
            self.plan = plan

    def note_end(self, error: BaseException | None, elapsed_seconds: float) -> None:
        """Record how it ended."""
        self.elapsed_seconds = elapsed_seconds
        self.source = None
        if error is None:
            self.state = StatementState.COMPLETED
            return
        self.state = _state_after(error)
        if isinstance(error, EdgeError) and self.query_type != "unknown":
            error.concern(self.query_type, self.collections)
        code = error.code if isinstance(error, EdgeError) else "internal_error"
        # What is no error of ours may say anything, and is in the log.
        text = str(error)[:KEPT_TEXT_LENGTH] if isinstance(error, EdgeError) else ""
        self.error = code, text

    def row(self, app_id: str, now: float) -> Document:
        """Return the request as a document; durations are in nanoseconds."""
        elapsed = now - self.started if self.elapsed_seconds is None else self.elapsed_seconds
        started = datetime.fromtimestamp(self.started_ms / 1000, UTC)
        found: Document = {
            "_id": self.id,
            "app_id": app_id,
            "featureFlags": 0,
            "plan": _shown(self.plan),
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


def _shown(plan: QueryPlan | None) -> Value:
    return None if plan is None else cast("Value", plan.describe())


def _state_after(error: BaseException) -> StatementState:
    if isinstance(error, StatementTimeout):
        return StatementState.TIMEOUT
    if isinstance(error, StatementCancelled | CancelledError | GeneratorExit):
        return StatementState.CANCELLED
    return StatementState.FATAL


class StatementHistory:
    """All requests of one database; `parameters` say how many finished ones are kept."""

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
        #: In the order of their arrival.
        self._active: dict[StatementRecord, None] = {}
        self._finished: deque[StatementRecord] = deque()
        self.counts: Counter[StatementState] = Counter()
        self.slow = 0

    def begin(self, id_: str, text: str, kind: str) -> StatementRecord:
        """Record that a statement has arrived."""
        record = StatementRecord(
            id_, text[:KEPT_TEXT_LENGTH], kind, self._now_ms(), self._monotonic()
        )
        self._active[record] = None
        return record

    def end(self, record: StatementRecord, error: BaseException | None) -> None:
        """Record that it has ended; one that took too long is logged."""
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
        """Drop finished requests from the history."""
        self._finished = deque(each for each in self._finished if each.id not in ids)

    @property
    def active_count(self) -> int:
        """How many statements run or wait."""
        return len(self._active)

    def active(self) -> Iterator[Document]:
        """Yield the requests that run or wait, in the order of their arrival; on any thread."""
        now = self._monotonic()
        for record in list(self._active):
            yield record.row(self._app_id, now)

    def finished(self) -> Iterator[Document]:
        """Yield the history, oldest first; on any thread."""
        for record in self._finished.copy():
            yield record.row(self._app_id, 0.0)
