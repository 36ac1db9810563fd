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
from edge_twisted.database.advice import create_statement, wanted_keys
from edge_twisted.database.errors import Forbidden, TransactionFailed
from edge_twisted.database.execution import MUTATIONS, Execution, collections_of
from edge_twisted.database.parameters import ParameterValues
from edge_twisted.database.permissions import Access, check_verb, predicate, read_rule
from edge_twisted.database.result import Result
from edge_twisted.database.statements import Cache, Statements, check_arguments
from edge_twisted.database.stored import document_of
from edge_twisted.database.virtual import Provider, VirtualCollections
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import DqlError, UnsupportedError
from edge_twisted.dql.execute.interruption import Interruption
from edge_twisted.dql.parser import Parsed
from edge_twisted.dql.plan.nodes import IdScan
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.errors import EdgeError
from edge_twisted.store.errors import IndexExists, UnknownIndex
from edge_twisted.store.interface import Snapshot, Store, WriteTransaction
from edge_twisted.store.rows import Commit, Committed, IndexDefinition, IndexKey

T = TypeVar("T")
Call = tuple[str, Mapping[str, Value]]

#: A look-up of so many ids costs well under a millisecond, and may run on the reactor thread.
INLINE_IDS = 8


@frozen(kw_only=True)
class Surroundings:
    """Time and chance, handed in."""

    #: The wall clock, in ms since 1970.
    now_ms: Callable[[], int]
    #: A clock for durations, in seconds.
    monotonic: Callable[[], float]
    new_id: Callable[[], str]


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
        self._virtual = VirtualCollections(providers)
        self._parameters = ParameterValues()
        self._statements = Statements(self._cache_size)
        self._plans: Cache[QueryPlan] = Cache(self._cache_size)

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
        run = self._execution(args, access, request_id, timeout_seconds)
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
        run = self._execution({}, access, request_id, timeout_seconds)
        return Deferred.fromCoroutine(self._transaction(statements, run))

    def may_read(self, snapshot: Snapshot, collection: str, id_key: bytes, access: Access) -> bool:
        """Return whether a caller may see a document; on whatever thread the snapshot is."""
        text = snapshot.body(collection, id_key)
        if text is None:
            return False
        try:
            rule = read_rule(access, syntax.CollectionRef(None, collection))
        except Forbidden:
            return False
        run = self._execution({}, access, "", None)
        test = predicate(rule, access.identity, run.environment())
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

    def _cache_size(self) -> int:
        return self._parameters.integer("dql_statement_cache_size")

    def _execution(
        self,
        args: Mapping[str, Value],
        access: Access,
        request_id: str,
        timeout_seconds: float | None,
    ) -> Execution:
        now_ms = self._surroundings.now_ms()
        own = self._parameters.integer("dql_request_timeout_seconds")
        limits = [each for each in (timeout_seconds, own or None) if each is not None]
        return Execution(
            arguments=args,
            context=_Context(
                now_ms=now_ms,
                app_id=self._db_id,
                request_id=request_id,
                start_time=datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(),
            ),
            interruption=Interruption(self._surroundings.monotonic, min(limits, default=None)),
            parameters=self._parameters,
            access=access,
            virtual=self._virtual,
            plans=self._plans,
            new_id=self._surroundings.new_id,
        )

    async def _execute(self, text: str, run: Execution) -> Result:
        parsed = self._statements.parse(text)
        check_arguments(parsed, run.arguments)
        try:
            return await self._dispatch(parsed, run)
        except DqlError as error:
            raise error.within(parsed.source) from None

    async def _dispatch(self, parsed: Parsed, run: Execution) -> Result:
        statement = parsed.statement
        match statement:
            case syntax.Select():
                return await self._select(statement, run)
            case syntax.Insert() | syntax.Update() | syntax.Delete() | syntax.Evict():
                return await self._mutate(statement, run)
            case syntax.Explain(statement=inner):
                return self._inline(lambda snapshot: run.explain(inner, snapshot))
            case syntax.Profile(statement=inner):
                return await self._profile(inner, parsed, run)
            case syntax.Advise(statement=inner, provision=provision):
                if provision:
                    await self._provision(inner, run)
                return self._inline(lambda snapshot: run.advise(inner, snapshot))
            case syntax.ShowParameter() | syntax.ShowAll():
                return self._inline(lambda snapshot: run.show(statement, snapshot))
            case syntax.SetParameter() | syntax.ResetParameter():
                return await self._alter(statement, run)
            case syntax.CreateIndex():
                return await self._create_index(statement, run)
            case syntax.DropIndex():
                return await self._drop_index(statement, run)
        raise UnsupportedError(f"{statement.query_type} is not supported", statement.span)

    def _inline(self, work: Callable[[Snapshot], T]) -> T:
        with self._store.snapshot() as snapshot:
            return work(snapshot)

    async def _select(self, statement: syntax.Select, run: Execution) -> Result:
        with self._store.snapshot() as snapshot:
            plan = run.plan(statement, snapshot)
            if _is_cheap(plan):
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
        committed = await self._store.write(
            statement.query_type, lambda transaction: run.mutate(statement, transaction)
        )
        return _numbered(committed.result, committed.lsn)

    async def _profile(self, statement: syntax.Statement, parsed: Parsed, run: Execution) -> Result:
        check_verb(run.access, "profile")
        started = self._surroundings.monotonic()
        plan = self._inline(lambda snapshot: run.explain(statement, snapshot)).items
        planned = self._surroundings.monotonic()
        result = await self._dispatch(evolve(parsed, statement=statement), run)
        items = result.items
        if items is None:
            assert isinstance(statement, syntax.Select)
            items = await self._store.read("profile", lambda s: run.rows(statement, s))
        ended = self._surroundings.monotonic()
        row = plan[0] if plan else {}
        assert isinstance(row, dict)
        profile: dict[str, Value] = {
            **row,
            "queryType": statement.query_type,
            "resultCount": len(items),
            "state": "completed",
            "times": {
                "elapsed": int((ended - started) * 1e9),
                "plan": int((planned - started) * 1e9),
            },
        }
        return evolve(
            result,
            query_type="profile",
            verb="profile",
            items=[*items, {"~request_profile": profile}],
            texts=None,
        )

    async def _provision(self, statement: syntax.Statement, run: Execution) -> None:
        check_verb(run.access, "create_index")
        assert isinstance(statement, syntax.Statement)
        plan = self._inline(lambda snapshot: run.plan_of(statement, snapshot))
        keys = wanted_keys(plan)
        source = plan.statement.source
        if keys and source is not None and len(plan.terms) == 1:
            await self._create_index(create_statement(source.collection.name, keys), run)

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
        return Result(
            query_type="alter_system",
            verb="alter_system",
            items=[row],
            transaction_id=committed.lsn,
        )

    async def _create_index(self, statement: syntax.CreateIndex, run: Execution) -> Result:
        check_verb(run.access, "create_index")
        self._virtual.check(statement.collection)
        include = self._parameters.boolean("dql_index_default_include_missing")
        definition = IndexDefinition(
            collection=statement.collection.name,
            name=statement.name,
            keys=tuple(
                IndexKey(path=key.path.names, direction="desc" if key.descending else "asc")
                for key in statement.keys
            ),
            include_missing=include,
        )
        committed: Committed[None] | None = None
        try:
            committed = await self._store.write(
                "create index", lambda transaction: transaction.create_index(definition)
            )
        except IndexExists:
            if not statement.if_not_exists:
                raise
        await self._store.index_ready(definition.collection, definition.name)
        return self._defined(statement, committed)

    async def _drop_index(self, statement: syntax.DropIndex, run: Execution) -> Result:
        check_verb(run.access, "drop_index")
        committed: Committed[None] | None = None
        try:
            committed = await self._store.write(
                "drop index",
                lambda transaction: transaction.drop_index(
                    statement.collection.name, statement.name
                ),
            )
        except UnknownIndex:
            if not statement.if_exists:
                raise
        return self._defined(statement, committed)

    def _defined(self, statement: syntax.Statement, committed: Committed[None] | None) -> Result:
        return Result(
            query_type=statement.query_type,
            verb=statement.query_type,
            collections=collections_of(statement),
            items=[],
            transaction_id=committed.lsn if committed else self._store.lsn,
        )

    async def _transaction(self, statements: Sequence[Call], run: Execution) -> Sequence[Result]:
        prepared: list[tuple[Parsed, Execution]] = []
        for index, (text, args) in enumerate(statements):
            try:
                parsed = self._statements.parse(text)
                check_arguments(parsed, args)
                if not isinstance(parsed.statement, (syntax.Select, *MUTATIONS)):
                    name = parsed.statement.query_type.replace("_", " ").upper()
                    raise UnsupportedError(
                        f"{name} is not supported in a transaction", parsed.statement.span
                    ).within(parsed.source)
            except EdgeError as error:
                raise TransactionFailed(index, error) from None
            prepared.append((parsed, evolve(run, arguments=args)))
        committed = await self._store.write(
            "transaction", lambda transaction: _run_all(prepared, transaction)
        )
        return [
            _numbered(result, committed.lsn)
            if result.query_type != "select"
            else evolve(result, transaction_id=committed.lsn)
            for result in committed.result
        ]


def _run_all(
    prepared: Sequence[tuple[Parsed, Execution]], transaction: WriteTransaction
) -> list[Result]:
    results: list[Result] = []
    for index, (parsed, run) in enumerate(prepared):
        statement = parsed.statement
        try:
            if isinstance(statement, syntax.Select):
                results.append(run.query(statement, transaction))
            else:
                assert isinstance(statement, MUTATIONS)
                results.append(run.mutate(statement, transaction))
        except DqlError as error:
            raise TransactionFailed(index, error.within(parsed.source)) from None
        except EdgeError as error:
            raise TransactionFailed(index, error) from None
    return results


def _numbered(result: Result, lsn: int) -> Result:
    return evolve(result, transaction_id=lsn, commit_id=lsn)


def _is_cheap(plan: QueryPlan) -> bool:
    """Return whether a plan reads so little that a thread would cost more."""
    if plan.choice is None:
        return True
    access = plan.choice.access
    if not isinstance(access, IdScan) or plan.joins:
        return plan.counts_all is not None
    return not access.lists and len(access.ids) <= INLINE_IDS
