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

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, succeed

from edge_twisted.database import system
from edge_twisted.database.admission import Admission, Later, is_limited
from edge_twisted.database.errors import Forbidden, TransactionFailed
from edge_twisted.database.execution import MUTATIONS, Execution, collections_of
from edge_twisted.database.indexing import Indexing
from edge_twisted.database.parameters import ParameterValues
from edge_twisted.database.permissions import Access, check_verb, predicate, read_rule
from edge_twisted.database.planning import Planning, is_cheap
from edge_twisted.database.profiling import profile_of
from edge_twisted.database.requests import Request, Requests, RequestState
from edge_twisted.database.result import Result
from edge_twisted.database.statements import LONG_TEXT, Cache, Statements, check_arguments
from edge_twisted.database.stored import document_of
from edge_twisted.database.transactions import run_all
from edge_twisted.database.virtual import (
    METRICS_SWITCH,
    Provider,
    Source,
    VirtualCollections,
    is_history,
)
from edge_twisted.database.vitals import Vitals
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Environment
from edge_twisted.dql.errors import DqlError, UnsupportedError
from edge_twisted.dql.execute.interruption import Interruption
from edge_twisted.dql.parser import Parsed
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.errors import EdgeError
from edge_twisted.store.errors import UnknownIndex
from edge_twisted.store.interface import Snapshot, Store
from edge_twisted.store.rows import Commit

T = TypeVar("T")
Call = tuple[str, Mapping[str, Value]]


@frozen(kw_only=True)
class Surroundings:
    """Time and chance, handed in."""

    #: The wall clock, in ms since 1970.
    now_ms: Callable[[], int]
    #: A clock for durations, in seconds.
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    #: Calls a function after so many seconds; None: nothing is ever timed.
    later: Later | None = None


@frozen(kw_only=True)
class _Context:
    """What functions may know of a request."""

    now_ms: int
    app_id: str
    request_id: str
    start_time: str


class Database:
    """Binds the query language to a store."""

    def __init__(
        self,
        store: Store,
        db_id: str,
        surroundings: Surroundings,
        providers: Mapping[str, Provider],
    ) -> None:
        self._store = store
        self._db_id = db_id
        self._surroundings = surroundings
        self._parameters = ParameterValues()
        self._statements = Statements(self._integer("dql_statement_cache_size"))
        self._plans: Cache[QueryPlan] = Cache(self._integer("dql_statement_cache_size"))
        self._requests = Requests(
            db_id,
            surroundings.now_ms,
            surroundings.monotonic,
            self._integer("dql_request_history_size"),
            self._integer("dql_slow_request_warn_seconds"),
        )
        self._admission = Admission(
            self._integer("dql_concurrent_request_limit"),
            self._integer("dql_concurrent_request_wait_timeout_ms"),
            surroundings.later,
        )
        #: Other parts of the server add what they know, for the virtual collections.
        self.vitals = Vitals(
            app_id=db_id,
            started_ms=surroundings.now_ms(),
            requests=self._requests,
            statements=self._statements,
            admission=self._admission,
        )
        #: Other parts of the server fill collections by `VirtualCollections.provide`.
        self.virtual = VirtualCollections(
            self._sources(), lambda: self._parameters.boolean(METRICS_SWITCH)
        )
        for name, provider in providers.items():
            self.virtual.provide(name, provider)
        self._indexing = Indexing(store, self.virtual)

    def start(self) -> None:
        """Take over what the opened store keeps."""
        with self._store.snapshot() as snapshot:
            self._parameters = system.load(snapshot)

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
    ) -> Deferred[Result]:
        """
        Run one statement; a mutation fires only once it is durable.

        Cancelling stops a statement that reads, and one that waits to write.

        :raises EdgeError: through the Deferred; see ``docs/http-api.md`` for all codes.
        """
        request = self._requests.begin(request_id, statement, "execute")
        run = self._execution(args, access, statement, request, timeout_seconds)
        return Deferred.fromCoroutine(self._execute(statement, run))

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

        :raises TransactionFailed: through the Deferred: one of them failed.
        """
        runs: list[Execution] = []
        for number, (text, args) in enumerate(statements):
            request = self._requests.begin(f"{request_id}/{number}", text, "transaction")
            runs.append(self._execution(args, access, text, request, timeout_seconds))
        return Deferred.fromCoroutine(self._transaction(statements, runs))

    def may_read(self, snapshot: Snapshot, collection: str, id_key: bytes, access: Access) -> bool:
        """Return whether a caller may see a document; on whatever thread the snapshot is."""
        text = snapshot.body(collection, id_key)
        if text is None:
            return False
        try:
            rule = read_rule(access, syntax.CollectionRef(None, collection))
        except Forbidden:
            return False
        test = predicate(rule, access.identity, Environment({}, self._context("")))
        return test is None or test(document_of(text))

    def reached(self, lsn: int) -> Deferred[None]:
        """Fire when the store has a commit, at once if it has."""
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

    def _sources(self) -> dict[str, Source]:
        """Return the virtual collections that the database fills itself."""
        return {
            "active_requests": lambda moment: self._requests.active(),
            "request_history": lambda moment: self._requests.finished(),
            "shared_statements": lambda moment: self._statements.rows(),
            "vitals": self.vitals.vitals,
            "metrics": self.vitals.metrics,
            "system_info": self.vitals.system_info,
        }

    def _context(self, request_id: str) -> _Context:
        now_ms = self._surroundings.now_ms()
        started = datetime.fromtimestamp(now_ms / 1000, UTC)
        return _Context(
            now_ms=now_ms,
            app_id=self._db_id,
            request_id=request_id,
            start_time=started.isoformat(timespec="milliseconds"),
        )

    def _execution(
        self,
        args: Mapping[str, Value],
        access: Access,
        text: str,
        request: Request,
        timeout_seconds: float | None,
    ) -> Execution:
        own = self._parameters.integer("dql_request_timeout_seconds")
        limits = [each for each in (timeout_seconds, own or None) if each is not None]
        return Execution(
            arguments=args,
            context=self._context(request.id),
            interruption=Interruption(self._surroundings.monotonic, min(limits, default=None)),
            parameters=self._parameters,
            access=access,
            virtual=self.virtual,
            plans=Planning(self._plans, request, text, self._surroundings.monotonic),
            new_id=self._surroundings.new_id,
        )

    async def _execute(self, text: str, run: Execution) -> Result:
        request = run.plans.request
        failure: BaseException | None = None
        try:
            result = await self._parsed_and_run(text, run)
            request.result_count = len(
                result.texts if result.texts is not None else result.items or ()
            )
            request.mutation_count = len(result.mutated_ids)
            return result
        except BaseException as error:
            failure = error
            raise
        finally:
            self._requests.end(request, failure)

    async def _parsed_and_run(self, text: str, run: Execution) -> Result:
        parsed = await self._parsed(text, run.plans.request)
        check_arguments(parsed, run.arguments)
        try:
            if not is_limited(parsed.statement):
                return await self._dispatch(parsed, run)
            await self._entered([run.plans.request])
            try:
                return await self._dispatch(parsed, run)
            finally:
                self._admission.leave()
        except DqlError as error:
            raise error.within(parsed.source) from None

    async def _parsed(self, text: str, request: Request) -> Parsed:
        """Return a statement, parsed off the reactor's thread if it is long."""
        started = self._surroundings.monotonic()
        if len(text) <= LONG_TEXT:
            parsed = self._statements.parse(text)
        else:
            known = self._statements.known(text)
            parsed = (
                known
                if known is not None
                else await self._store.read("parse", lambda snapshot: self._statements.parse(text))
            )
        request.parsed(parsed, self._surroundings.monotonic() - started)
        return parsed

    async def _entered(self, requests: Sequence[Request]) -> None:
        """:raises TooManyRequests: as many as may run do, and none ended in time."""
        turn = self._admission.enter()
        if turn is not None:
            for request in requests:
                request.state = RequestState.WAITING
            await turn
            for request in requests:
                request.state = RequestState.RUNNING

    async def _dispatch(self, parsed: Parsed, run: Execution) -> Result:
        statement = parsed.statement
        match statement:
            case syntax.Select():
                return await self._select(statement, run)
            case syntax.Insert() | syntax.Update() | syntax.Delete() | syntax.Evict():
                return await self._mutate(statement, run)
            case syntax.Explain(statement=inner):
                return await self._read(
                    "explain", lambda snapshot: run.explain(inner, snapshot), run
                )
            case syntax.Profile(statement=inner):
                return await self._profile(inner, parsed, run)
            case syntax.Advise():
                return await self._advise(statement, run)
            case syntax.ShowParameter() | syntax.ShowAll():
                return await self._read("show", lambda snapshot: run.show(statement, snapshot), run)
            case syntax.SetParameter() | syntax.ResetParameter():
                return await self._alter(statement, run)
            case syntax.CreateIndex():
                lsn = await self._indexing.create(statement, run.access, self._includes_missing)
                return self._defined(statement, lsn)
            case syntax.DropIndex():
                return self._defined(statement, await self._indexing.drop(statement, run.access))
        raise UnsupportedError(f"{statement.query_type} is not supported", statement.span)

    async def _read(self, name: str, work: Callable[[Snapshot], T], run: Execution) -> T:
        """Read a little: here, unless the statement is so long that planning it takes long."""
        if run.plans.is_long:
            return await self._store.read(name, work)
        with self._store.snapshot() as snapshot:
            return work(snapshot)

    async def _select(self, statement: syntax.Select, run: Execution) -> Result:
        if not run.plans.is_long:
            with self._store.snapshot() as snapshot:
                plan = run.plan(statement, snapshot)
                if is_cheap(plan):
                    return run.query(statement, snapshot)
        try:
            return await self._store.read("select", lambda snapshot: run.query(statement, snapshot))
        except UnknownIndex:
            # Dropped between plan and scan: a new snapshot makes another plan.
            return await self._store.read("select", lambda snapshot: run.query(statement, snapshot))

    async def _mutate(
        self,
        statement: syntax.Insert | syntax.Update | syntax.Delete | syntax.Evict,
        run: Execution,
    ) -> Result:
        if isinstance(statement, syntax.Delete) and is_history(statement.term.collection):
            found = await self._store.read("history", lambda s: run.history(statement, s))
            self._requests.forget({each for each in found.mutated_ids if isinstance(each, str)})
            return found
        committed = await self._store.write(
            statement.query_type, lambda transaction: run.mutate(statement, transaction)
        )
        return _numbered(committed.result, committed.lsn)

    async def _profile(self, statement: syntax.Statement, parsed: Parsed, run: Execution) -> Result:
        check_verb(run.access, "profile")
        started = self._surroundings.monotonic()
        shown = await self._read("profile", lambda s: run.explain(statement, s), run)
        planned = self._surroundings.monotonic()
        result = await self._dispatch(evolve(parsed, statement=statement), run)
        items = result.items
        if items is None:
            assert isinstance(statement, syntax.Select)
            items = await self._store.read("profile", lambda s: run.rows(statement, s))
        ended = self._surroundings.monotonic()
        profile = profile_of(
            statement, shown, len(items), run.plans.request, ended - started, planned - started
        )
        return evolve(
            result,
            query_type="profile",
            verb="profile",
            items=[*items, {"~request_profile": profile}],
            texts=None,
        )

    async def _advise(self, statement: syntax.Advise, run: Execution) -> Result:
        inner = statement.statement
        assert isinstance(inner, syntax.Statement)
        made: dict[str, Value] = {}
        if statement.provision:
            plan = await self._read("advise", lambda snapshot: run.plan_of(inner, snapshot), run)
            made = await self._indexing.provision(plan, run.access, self._includes_missing)
        result = await self._read("advise", lambda snapshot: run.advise(inner, snapshot), run)
        if not statement.provision:
            return result
        assert result.items is not None
        [row] = result.items
        assert isinstance(row, dict) and isinstance(row["advice"], dict)
        return evolve(result, items=[{"advice": {**row["advice"], **made}}])

    @property
    def _includes_missing(self) -> bool:
        return self._parameters.boolean("dql_index_default_include_missing")

    async def _alter(
        self, statement: syntax.SetParameter | syntax.ResetParameter, run: Execution
    ) -> Result:
        check_verb(run.access, "alter_system")
        committed = await self._store.write(
            "alter system",
            lambda transaction: system.alter(
                statement, self._parameters, run.environment(), transaction
            ),
        )
        self._parameters, row = committed.result
        self._admission.admit()
        return Result(
            query_type="alter_system",
            verb="alter_system",
            items=[row],
            transaction_id=committed.lsn,
        )

    def _defined(self, statement: syntax.Statement, lsn: int) -> Result:
        return Result(
            query_type=statement.query_type,
            verb=statement.query_type,
            collections=collections_of(statement),
            items=[],
            transaction_id=lsn,
        )

    async def _transaction(
        self, statements: Sequence[Call], runs: Sequence[Execution]
    ) -> Sequence[Result]:
        failure: BaseException | None = None
        try:
            return await self._whole(statements, runs)
        except BaseException as error:
            failure = error
            raise
        finally:
            for run in runs:
                self._requests.end(run.plans.request, failure)

    async def _whole(
        self, statements: Sequence[Call], runs: Sequence[Execution]
    ) -> Sequence[Result]:
        prepared: list[tuple[Parsed, Execution]] = []
        for index, ((text, args), run) in enumerate(zip(statements, runs, strict=True)):
            try:
                parsed = await self._parsed(text, run.plans.request)
                check_arguments(parsed, args)
                if not isinstance(parsed.statement, (syntax.Select, *MUTATIONS)):
                    name = parsed.statement.query_type.replace("_", " ").upper()
                    raise UnsupportedError(
                        f"{name} is not supported in a transaction", parsed.statement.span
                    ).within(parsed.source)
            except EdgeError as error:
                raise TransactionFailed(index, error) from None
            prepared.append((parsed, run))
        await self._entered([run.plans.request for run in runs])
        try:
            committed = await self._store.write(
                "transaction", lambda transaction: run_all(prepared, transaction)
            )
        finally:
            self._admission.leave()
        return [
            _numbered(result, committed.lsn)
            if result.query_type != "select"
            else evolve(result, transaction_id=committed.lsn)
            for result in committed.result
        ]


def _numbered(result: Result, lsn: int) -> Result:
    return evolve(result, transaction_id=lsn, commit_id=lsn)
