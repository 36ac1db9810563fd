# SPDX-License-Identifier: Apache-2.0
"""
One database: statements in, results out.

Cheap reads run on the reactor thread, others on the store's reader threads, mutations on its
writer.  All methods are for the reactor thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from attrs import define, frozen
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure

from edge_twisted.database.admission import Later, StatementAdmission
from edge_twisted.database.attachment_rights import may_read_name
from edge_twisted.database.execution import Execution
from edge_twisted.database.history import StatementHistory, StatementRecord, StatementState
from edge_twisted.database.index_statements import IndexStatements
from edge_twisted.database.mutation_statements import MUTATIONS, run_transaction
from edge_twisted.database.permissions import Access
from edge_twisted.database.runner import StatementRunner
from edge_twisted.database.statement_cache import (
    LONG_TEXT,
    PreparedStatement,
    StatementCache,
)
from edge_twisted.database.system_parameters import ParameterValues, load_parameters
from edge_twisted.database.virtual_collections import (
    METRICS_SWITCH,
    Provider,
    RowProvider,
    VirtualCollections,
)
from edge_twisted.database.vitals import Vitals
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment
from edge_twisted.dql.errors import DqlError, TransactionFailed, UnsupportedError
from edge_twisted.dql.execution.interruption import Interruption
from edge_twisted.dql.result import Result
from edge_twisted.errors import EdgeError
from edge_twisted.store.interface import Snapshot, Store
from edge_twisted.store.rows import Commit

T = TypeVar("T")
Call = tuple[str, Mapping[str, Value]]


@frozen(kw_only=True)
class TimeAndChance:
    """The clocks, the timer and the source of ids that a database uses; tests pass their own."""

    #: The wall clock, in ms since 1970.
    now_ms: Callable[[], int]
    #: A clock for durations, in seconds.
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    #: Calls a function after a number of seconds; None: waiting statements never time out.
    later: Later | None = None


@define
class _Context:
    """What the functions of the language can learn of the request; see `FunctionContext`."""

    now_ms: int
    app_id: str
    request_id: str

    @property
    def start_time(self) -> str:
        """When the statement began, in ISO-8601 with milliseconds."""
        begun = datetime.fromtimestamp(self.now_ms / 1000, UTC)
        return begun.isoformat(timespec="milliseconds")


class Database:
    """One database: runs statements of the query language on a store."""

    def __init__(
        self,
        store: Store,
        db_id: str,
        surroundings: TimeAndChance,
        providers: Mapping[str, Provider],
    ) -> None:
        self._store = store
        self._db_id = db_id
        self._surroundings = surroundings
        self._parameters = ParameterValues()
        self._watchers: list[Callable[[ParameterValues], None]] = []
        now_ms, monotonic = surroundings.now_ms, surroundings.monotonic
        self._statements = StatementCache(self._integer("dql_statement_cache_size"), monotonic)
        self._history = StatementHistory(db_id, now_ms, monotonic, lambda: self._parameters)
        self._admission = StatementAdmission(
            lambda: self._parameters.concurrent_requests,
            self._integer("dql_concurrent_request_wait_timeout_ms"),
            surroundings.later,
        )
        #: Other parts of the server add their entries to ``system:metrics`` and ``system_info``.
        self.vitals = Vitals(
            app_id=db_id,
            started_ms=now_ms(),
            uptime_seconds=_seconds_since_now(monotonic),
            history=self._history,
            statements=self._statements,
            admission=self._admission,
        )
        #: Other parts of the server add collections by `VirtualCollections.provide`.
        self.virtual = VirtualCollections(
            self._sources(), lambda: self._parameters.boolean(METRICS_SWITCH)
        )
        for name, provider in providers.items():
            self.virtual.provide(name, provider)
        self._runner = StatementRunner(
            store, IndexStatements(store, self.virtual), self._history, self._take_parameters
        )

    def start(self) -> None:
        """Load the system parameters, and tell the watchers; the store must be open."""
        with self._store.snapshot() as snapshot:
            self._parameters = load_parameters(snapshot)
        for watcher in self._watchers:
            watcher(self._parameters)

    def watch_parameters(self, watcher: Callable[[ParameterValues], None]) -> None:
        """Call a function with the system parameters at the start, and whenever they change."""
        self._watchers.append(watcher)

    @property
    def parameters(self) -> ParameterValues:
        """The system parameters as they are now."""
        return self._parameters

    def execute(
        self,
        statement: str,
        args: Mapping[str, Value],
        *,
        access: Access,
        request_id: str,
        timeout_seconds: float | None,
        stream: bool = False,
    ) -> Deferred[Result]:
        """
        Run one statement; fire with its result, of a mutation once its commit is durable.

        Cancelling stops a statement that reads, and one that waits to write.

        :param timeout_seconds: ends the statement sooner than ``dql_request_timeout_seconds``.
        :param stream: return the first rows of a large answer, the others in `Result.batches`.
        :raises EdgeError: through the Deferred; see ``docs/http-api.md`` for all codes.
        """
        try:
            found = self.run(
                statement,
                args,
                access=access,
                request_id=request_id,
                timeout_seconds=timeout_seconds,
                stream=stream,
            )
        except BaseException:
            return fail()
        return succeed(found) if isinstance(found, Result) else found

    def run(
        self,
        statement: str,
        args: Mapping[str, Value],
        *,
        access: Access,
        request_id: str,
        timeout_seconds: float | None,
        stream: bool = False,
    ) -> Result | Deferred[Result]:
        """
        Run one statement as `execute` does; return a result that is ready without a Deferred.

        For the API's fast path: takes the same arguments.

        :raises EdgeError: at once or through the Deferred; see `execute`.
        """
        record = self._history.begin(request_id, statement, "execute")
        found: Result | Deferred[Result]
        try:
            if len(statement) > LONG_TEXT and self._must_wait(statement):
                found = Deferred.fromCoroutine(
                    self._run_long(statement, args, access, record, timeout_seconds, stream)
                )
            else:
                prepared = self._statements.prepare(statement)
                answer = self._answer_known(prepared, args, access, record, timeout_seconds)
                if answer is None:
                    run = self.execution(prepared, args, access, record, timeout_seconds)
                    found = self._admit(run, stream)
                else:
                    found = answer
        except BaseException as error:
            self._note_error(record, error)
            raise
        if isinstance(found, Result):
            self._note_result(found, record)
            return found
        return found.addBoth(self._note_outcome, record)

    def transaction(
        self,
        statements: Sequence[Call],
        *,
        access: Access,
        request_id: str,
        timeout_seconds: float | None,
    ) -> Deferred[Sequence[Result]]:
        """
        Run SELECTs and mutations as one unit: each sees the ones before, all are stored or none.

        Fires with the result of each, in order, once the commit is durable.

        :param statements: (text, arguments) of each.
        :param timeout_seconds: ends a statement sooner than ``dql_request_timeout_seconds``.
        :raises TransactionFailed: through the Deferred; a statement failed, nothing was stored.
        :raises StatementLimitReached: through the Deferred; too many statements run: try later.
        """
        records = [
            self._history.begin(f"{request_id}/{number}", text, "transaction")
            for number, (text, _) in enumerate(statements)
        ]
        whole = self._transaction(statements, records, access, timeout_seconds)
        return Deferred.fromCoroutine(whole)

    def may_read_name(self, snapshot: Snapshot, attachment: str, access: Access) -> bool:
        """
        Return whether a caller may see a document that names a blob.

        For the thread that the snapshot belongs to.
        """
        context = _Context(self._surroundings.now_ms(), self._db_id, "")
        return may_read_name(snapshot, attachment, access, Environment({}, context))

    def reached(self, lsn: int) -> Deferred[None]:
        """Fire once the store has the commit `lsn`, at once if it has; cancelling ends the wait."""
        if self._store.lsn >= lsn:
            return succeed(None)
        waiting: Deferred[None] = Deferred(lambda _: end())

        def look(commit: Commit) -> None:
            if commit.lsn >= lsn:
                end()
                waiting.callback(None)

        end = self._store.on_commit(look)
        return waiting

    # -- inner

    def _integer(self, name: str) -> Callable[[], int]:
        return lambda: self._parameters.integer(name)

    def _sources(self) -> dict[str, RowProvider]:
        """Return the providers of the virtual collections that belong to the database itself."""
        return {
            "active_requests": lambda context: self._history.active_rows(),
            "request_history": lambda context: self._history.finished_rows(),
            "shared_statements": lambda context: self._statements.rows(),
            "vitals": self.vitals.vitals,
            "metrics": self.vitals.metrics,
            "system_info": self.vitals.system_info,
        }

    def _take_parameters(self, parameters: ParameterValues) -> None:
        self._parameters = parameters
        self._admission.admit()
        for watcher in self._watchers:
            watcher(parameters)

    def execution(
        self,
        prepared: PreparedStatement,
        args: Mapping[str, Value],
        access: Access,
        record: StatementRecord,
        timeout_seconds: float | None,
    ) -> Execution:
        """
        Return an execution: the statement bound to its arguments, its caller and its limits.

        :param timeout_seconds: counts if it is less than ``dql_request_timeout_seconds``.
        :raises ArgumentError: the arguments do not fit the statement.
        """
        record.note_prepared(prepared)
        prepared.parsed.check_arguments(args)
        parameters, monotonic = self._parameters, self._surroundings.monotonic
        limit: float | None = parameters.timeout_seconds
        if limit is None or (timeout_seconds is not None and timeout_seconds < limit):
            limit = timeout_seconds
        return Execution(
            prepared=prepared,
            arguments=args,
            context=_Context(record.started_ms, self._db_id, record.id),
            interruption=Interruption(monotonic, limit),
            parameters=parameters,
            access=access,
            virtual=self.virtual,
            new_id=self._surroundings.new_id,
            record=record,
            monotonic=monotonic,
        )

    def _answer_known(
        self,
        prepared: PreparedStatement,
        args: Mapping[str, Value],
        access: Access,
        record: StatementRecord,
        timeout_seconds: float | None,
    ) -> Result | None:
        """Answer a SELECT by its known plan; None: it has none, or must run as any other."""
        known = prepared.inline.known_plan(self._parameters, args, is_full=access.is_full)
        if known is None or not self._admission.has_room:
            return None
        if timeout_seconds is not None and timeout_seconds <= 0:
            return None
        context = _Context(record.started_ms, self._db_id, record.id)
        return self._runner.answer_known(prepared, known, args, context, record)

    async def _run_long(
        self,
        statement: str,
        args: Mapping[str, Value],
        access: Access,
        record: StatementRecord,
        timeout_seconds: float | None,
        stream: bool,
    ) -> Result:
        prepared = await self._prepare(statement)
        run = self.execution(prepared, args, access, record, timeout_seconds)
        found = self._admit(run, stream)
        return found if isinstance(found, Result) else await found

    def _note_outcome(self, outcome: Result | Failure, record: StatementRecord) -> Result | Failure:
        if isinstance(outcome, Failure):
            assert outcome.value is not None
            self._note_error(record, outcome.value)
            return outcome
        self._note_result(outcome, record)
        return outcome

    def _note_result(self, result: Result, record: StatementRecord) -> None:
        rows = result.texts if result.texts is not None else result.items
        record.result_count = len(rows or ())
        if result.mutated_ids:
            record.mutation_count = len(result.mutated_ids)
        if record.is_admitted:
            self._admission.leave()
        self._history.end(record, None)

    def _note_error(self, record: StatementRecord, error: BaseException) -> None:
        """Record an error, with the text of the statement for its position."""
        if record.is_admitted:
            self._admission.leave()
        if isinstance(error, DqlError) and record.source is not None:
            error.within(record.source)
        self._history.end(record, error)

    def _must_wait(self, text: str) -> bool:
        """Return whether a text is new and so long that parsing it would hold up the reactor."""
        return len(text) > LONG_TEXT and not self._statements.is_known(text)

    async def _prepare(self, text: str) -> PreparedStatement:
        """Parse a statement, a long one on a thread; :raises DqlError: the text does not parse."""
        if self._must_wait(text):
            return await self._store.read("parse", lambda _: self._statements.prepare(text))
        return self._statements.prepare(text)

    def _admit(self, run: Execution, stream: bool) -> Result | Deferred[Result]:
        """Run a statement when ``dql_concurrent_request_limit`` has room for it."""
        if not run.prepared.is_limited:
            return self._runner.start(run, stream=stream)
        turn = self._admission.enter()
        if turn is not None:
            run.record.state = StatementState.WAITING
            return turn.addCallback(lambda _: self._start(run, stream))
        return self._start(run, stream)

    def _start(self, run: Execution, stream: bool) -> Result | Deferred[Result]:
        run.record.is_admitted = True
        run.record.state = StatementState.RUNNING
        return self._runner.start(run, stream=stream)

    async def _wait_for_turn(self, records: Sequence[StatementRecord]) -> None:
        """Wait until a transaction may run; :raises StatementLimitReached: none ended in time."""
        turn = self._admission.enter()
        if turn is not None:
            for record in records:
                record.state = StatementState.WAITING
            await turn
            for record in records:
                record.state = StatementState.RUNNING

    async def _transaction(
        self,
        statements: Sequence[Call],
        records: Sequence[StatementRecord],
        access: Access,
        timeout_seconds: float | None,
    ) -> Sequence[Result]:
        failure: BaseException | None = None
        try:
            runs: list[Execution] = []
            for index, ((text, args), record) in enumerate(zip(statements, records, strict=True)):
                try:
                    prepared = await self._prepare(text)
                    run = self.execution(prepared, args, access, record, timeout_seconds)
                    _check_transactional(run)
                except EdgeError as error:
                    raise TransactionFailed(index, error) from None
                runs.append(run)
            await self._wait_for_turn(records)
            try:
                committed = await self._store.write(
                    "transaction", lambda unit: run_transaction(runs, unit)
                )
            except CancelledError:
                # The writer may be running the statements.
                for each in runs:
                    each.interruption.cancel()
                raise
            finally:
                self._admission.leave()
            return _with_commit(committed.result, committed.lsn)
        except BaseException as error:
            failure = error
            raise
        finally:
            for record in records:
                self._history.end(record, failure)


def _seconds_since_now(monotonic: Callable[[], float]) -> Callable[[], float]:
    begun = monotonic()
    return lambda: monotonic() - begun


def _check_transactional(run: Execution) -> None:
    statement = run.prepared.statement
    if not isinstance(statement, (syntax.Select, *MUTATIONS)):
        name = statement.query_type.replace("_", " ").upper()
        raise UnsupportedError(f"{name} is not supported in a transaction", statement.span).within(
            run.prepared.parsed.source
        )


def _with_commit(results: Sequence[Result], lsn: int) -> Sequence[Result]:
    """Return the results of a transaction with the number of its commit."""
    for result in results:
        result.transaction_id = lsn
        if result.query_type != "select":
            result.commit_id = lsn
    return results
