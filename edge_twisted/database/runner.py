# SPDX-License-Identifier: Apache-2.0
"""
Where each kind of statement runs: on the reactor thread, a reader thread, or the store's writer.

All methods are for the reactor thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from edge_twisted.database.access_paths import read_stored_texts
from edge_twisted.database.execution import Execution
from edge_twisted.database.history import StatementHistory, StatementRecord
from edge_twisted.database.index_statements import IndexStatements
from edge_twisted.database.inline_policy import (
    BeyondBounds,
    InlinePolicy,
    KnownPlan,
    ReadBudget,
    are_small,
)
from edge_twisted.database.mutation_statements import mutate
from edge_twisted.database.permissions import check_verb
from edge_twisted.database.row_batches import RowBatches
from edge_twisted.database.statement_cache import PreparedStatement
from edge_twisted.database.system_parameters import ParameterValues, alter_parameters
from edge_twisted.database.virtual_collections import is_history
from edge_twisted.documents.json_text import are_literal
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment
from edge_twisted.dql.errors import UnsupportedError
from edge_twisted.dql.execution.step_meters import RowCounter, StepMeter
from edge_twisted.dql.functions.context import FunctionContext
from edge_twisted.dql.plan.nodes import Description
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.dql.result import Result
from edge_twisted.store.errors import ReadTooLong, UnknownIndex
from edge_twisted.store.interface import Snapshot, Store
from edge_twisted.store.rows import UnitResult

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_NS = 1_000_000_000

#: Rows of a batch of a streamed answer: a few ms of work on a reader thread.
BATCH_ROWS = 512


@define
class StatementRunner:
    """Runs statements; calls `altered` with the system parameters that ALTER SYSTEM changed."""

    _store: Store
    _indexes: IndexStatements
    _history: StatementHistory
    _altered: Callable[[ParameterValues], None]

    def start(self, run: Execution, *, stream: bool = False) -> Result | Deferred[Result]:
        """
        Run a statement; return its result at once if it ran on the reactor thread.

        :param stream: deliver a large answer in `Result.batches`.
        :raises EdgeError: the statement failed; raised at once or through the Deferred.
        """
        statement = run.prepared.statement
        match statement:
            case syntax.Select():
                return self._select(statement, run, stream)
            case syntax.Insert() | syntax.Update() | syntax.Evict():
                return self._mutate(run)
            case syntax.Delete():
                if not is_history(statement.term.collection):
                    return self._mutate(run)
        return Deferred.fromCoroutine(self._uncommon(statement, run))

    async def _uncommon(self, statement: syntax.Statement, run: Execution) -> Result:
        """Run a statement of an infrequent kind, for which a coroutine is cheap enough."""
        match statement:
            case syntax.Delete():
                return await self._forget(statement, run)
            case syntax.Explain(statement=inner):
                return await self._read("explain", run.inner_execution(inner).explain, run)
            case syntax.Profile(statement=inner):
                return await self._profile(run.inner_execution(inner), run)
            case syntax.Advise():
                return await self._advise(statement, run)
            case syntax.ShowParameter() | syntax.ShowAll():
                return await self._read("show", lambda snapshot: run.show(statement, snapshot), run)
            case syntax.SetParameter() | syntax.ResetParameter():
                return await self._alter(statement, run)
            case syntax.CreateIndex():
                missing = run.parameters.boolean("dql_index_default_include_missing")
                return _index_result(
                    run, await self._indexes.create(statement, run.access, missing)
                )
            case syntax.DropIndex():
                return _index_result(run, await self._indexes.drop(statement, run.access))
        raise UnsupportedError(f"{statement.query_type} is not supported", statement.span)

    async def _read(self, name: str, work: Callable[[Snapshot], T], run: Execution) -> T:
        """Read a little: on the reactor thread, but for statements that take long to plan."""
        if run.prepared.is_long:
            return await self._store.read(name, work)
        with self._store.snapshot() as snapshot:
            return work(snapshot)

    # -- SELECT

    def answer_known(
        self,
        prepared: PreparedStatement,
        known: KnownPlan,
        arguments: Mapping[str, Value],
        context: FunctionContext,
        record: StatementRecord,
    ) -> Result | None:
        """
        Answer a SELECT by its known plan, from stored texts; None: run it as any other.

        None if the plan is out of date, or the answer is no stored text or too large.

        :raises DqlError: the arguments do not fit the statement.
        """
        plan = known.plan
        record.note_prepared(prepared)
        prepared.parsed.check_arguments(arguments)
        with self._store.snapshot() as snapshot:
            if snapshot.catalog_version != known.catalog_version:
                return None
            env = Environment(arguments, context)
            texts = self._inline(prepared.inline, plan, read_stored_texts, plan, snapshot, env)
            lsn = snapshot.lsn
        if texts is None or not are_literal(texts):
            return None
        record.note_plan(plan, 0.0)
        return Result(
            query_type="select",
            verb="select",
            collections=prepared.collections,
            texts=texts,
            transaction_id=lsn,
        )

    def _select(
        self, statement: syntax.Select, run: Execution, stream: bool
    ) -> Result | Deferred[Result]:
        prepared = run.prepared
        if not prepared.is_long and are_small(run.arguments):
            with self._store.snapshot() as snapshot:
                opened = run.open(statement, snapshot, bounds=ReadBudget())
                policy, plan = prepared.inline, opened.plan
                if policy.allows(plan, snapshot):
                    result = self._inline(policy, plan, run.query, snapshot, opened)
                    if result is not None:
                        if run.is_reusable(opened):
                            version = snapshot.catalog_version
                            policy.remember(KnownPlan(plan, version, run.parameters))
                        return result
                policy.note_threaded(plan)
        found = Deferred.fromCoroutine(self._select_on_thread(run, stream))
        return found.addErrback(_stop_if_cancelled, run)

    def _inline(
        self, policy: InlinePolicy, plan: QueryPlan, read: Callable[[*Ts], T], *arguments: *Ts
    ) -> T | None:
        """Read on the reactor thread; None if the read exceeded the limits."""
        try:
            with self._store.hurried():
                found = read(*arguments)
        except (BeyondBounds, ReadTooLong) as error:
            policy.note_exceeded(plan, error)
            return None
        if policy.respites:
            policy.note_inline(plan)
        return found

    async def _select_on_thread(self, run: Execution, stream: bool) -> Result:
        select = self._read_streamed if stream else self._read_whole
        try:
            return await select(run)
        except UnknownIndex:
            # The index was dropped between plan and scan: a new snapshot leads to another plan.
            return await select(run)

    async def _read_whole(self, run: Execution) -> Result:
        return await self._store.read("select", run.query)

    async def _read_streamed(self, run: Execution) -> Result:
        stream = self._store.stream("select", lambda snapshot: run.batches(snapshot, BATCH_ROWS))
        return await RowBatches(stream, run.interruption.cancel).first()

    # -- mutations

    def _mutate(self, run: Execution) -> Deferred[Result]:
        committed = self._store.write(run.prepared.statement.query_type, partial(mutate, run))
        return committed.addCallbacks(_with_commit, _stop_if_cancelled, errbackArgs=(run,))

    async def _forget(self, statement: syntax.Delete, run: Execution) -> Result:
        found = await self._store.read("history", lambda s: run.select_finished(statement, s))
        self._history.forget({each for each in found.mutated_ids if isinstance(each, str)})
        return found

    # -- about statements, and about the database

    async def _profile(self, inner: Execution, run: Execution) -> Result:
        check_verb(run.access, "profile")
        now = run.monotonic
        hides = inner.hides_documents
        measured = RowCounter() if hides else StepMeter(lambda: int(now() * 1e9))
        inner.meter = measured
        begun = now()
        await self._read("profile", inner.plan_of, inner)
        planned = now()
        started = self.start(inner)
        result = started if isinstance(started, Result) else await started
        ended = now()
        plan = await self._read(
            "profile", lambda s: inner.describe_plan(s, measured.stats()), inner
        )
        times = None if hides else _times(run.record, ended - begun, planned - begun)
        row = _profile_row(plan, result, times)
        result.items = [*(result.items or ()), {"~request_profile": row}]
        result.query_type = result.verb = "profile"
        return result

    async def _advise(self, statement: syntax.Advise, run: Execution) -> Result:
        assert isinstance(statement.statement, syntax.Statement)
        inner = run.inner_execution(statement.statement)
        made: dict[str, Value] = {}
        if statement.provision:
            plan = await self._read("advise", inner.plan_of, run)
            missing = run.parameters.boolean("dql_index_default_include_missing")
            made = await self._indexes.provision(plan, run.access, missing)
        result = await self._read("advise", inner.advise, run)
        if statement.provision:
            assert result.items is not None
            [row] = result.items
            assert isinstance(row, dict) and isinstance(row["advice"], dict)
            result.items = [{"advice": {**row["advice"], **made}}]
        return result

    async def _alter(
        self, statement: syntax.SetParameter | syntax.ResetParameter, run: Execution
    ) -> Result:
        check_verb(run.access, "alter_system")
        committed = await self._store.write(
            "alter system",
            lambda unit: alter_parameters(statement, run.parameters, run.make_environment(), unit),
        )
        parameters, row = committed.result
        self._altered(parameters)
        return Result(
            query_type="alter_system",
            verb="alter_system",
            items=[row],
            transaction_id=committed.lsn,
        )


def _index_result(run: Execution, lsn: int) -> Result:
    kind = run.prepared.statement.query_type
    return Result(
        query_type=kind,
        verb=kind,
        collections=run.prepared.collections,
        items=[],
        transaction_id=lsn,
    )


def _with_commit(committed: UnitResult[Result]) -> Result:
    result = committed.result
    result.transaction_id = result.commit_id = committed.lsn
    return result


def _stop_if_cancelled(failure: Failure, run: Execution) -> Failure:
    """Stop the thread that works for a cancelled statement."""
    if isinstance(failure.value, CancelledError):
        run.interruption.cancel()
    return failure


def _profile_row(plan: Description, result: Result, times: dict[str, int] | None) -> dict[str, Any]:
    """Return the row that PROFILE adds; `times` is None if times could reveal hidden documents."""
    row = {
        "plan": plan,
        "queryType": result.query_type,
        "resultCount": len(result.items or ()),
        "state": "completed",
    }
    return row if times is None else {**row, "times": times}


def _times(record: StatementRecord, elapsed: float, planning: float) -> dict[str, int]:
    """Return the times of a profile in ns, from durations in seconds."""
    seconds = {"elapsed": elapsed, "parse": record.parse_seconds, "plan": planning}
    return {name: int(duration * _NS) for name, duration in seconds.items()}
