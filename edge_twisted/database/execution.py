# SPDX-License-Identifier: Apache-2.0
"""
One execution of a statement, on a snapshot or in a unit of work.

The code runs on the thread that the snapshot belongs to, and uses nothing of the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from attrs import define, evolve

from edge_twisted.database.catalog import SnapshotCatalog
from edge_twisted.database.history import StatementRecord
from edge_twisted.database.index_advice import advise, create_statement
from edge_twisted.database.inline_policy import UNBOUNDED, ReadBudget
from edge_twisted.database.permissions import Access, check_verb, rule_name_of
from edge_twisted.database.row_batches import RowBatch, Warnings
from edge_twisted.database.select import PlanReader
from edge_twisted.database.statement_cache import PreparedStatement
from edge_twisted.database.system_parameters import ParameterValues, show_parameters
from edge_twisted.database.virtual_collections import (
    COUNT,
    FULL_VIEWER,
    RestrictedViewer,
    Viewer,
    VirtualCollections,
    count_of,
)
from edge_twisted.database.visibility import EVERYTHING, Visibility, visibility_of
from edge_twisted.documents import progress
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment
from edge_twisted.dql.errors import UnsupportedError
from edge_twisted.dql.execution.interruption import Interruption
from edge_twisted.dql.execution.step_meters import NO_METER, StepObserver
from edge_twisted.dql.formatter import format_statement
from edge_twisted.dql.functions.context import FunctionContext
from edge_twisted.dql.plan.access_choice import Fidelity
from edge_twisted.dql.plan.catalog import KeyPart
from edge_twisted.dql.plan.joins import JoinPlan
from edge_twisted.dql.plan.nodes import Description, sequence
from edge_twisted.dql.plan.query import QueryPlan, plan_query
from edge_twisted.dql.result import Result, Rows
from edge_twisted.dql.rows import Document
from edge_twisted.store.interface import Snapshot

#: Without an index, a join of more inner documents than this gets a warning.
JOIN_WARNING_ROWS = 10_000

NO_WARNINGS = Warnings()


@define
class OpenPlan:
    """A plan and the reader of its rows."""

    plan: QueryPlan
    reader: PlanReader


# Not frozen: one is made for every statement, and frozen doubles the cost of making it.
@define(kw_only=True)
class Execution:
    """A prepared statement with its arguments, its caller and its limits."""

    prepared: PreparedStatement
    arguments: Mapping[str, Value]
    context: FunctionContext
    interruption: Interruption
    parameters: ParameterValues
    access: Access
    virtual: VirtualCollections
    new_id: Callable[[], str]
    record: StatementRecord
    monotonic: Callable[[], float]
    meter: StepObserver = NO_METER

    def inner_execution(self, statement: syntax.Statement) -> Execution:
        """Return the execution of the statement inside this one (EXPLAIN, PROFILE, ADVISE)."""
        return evolve(self, prepared=self.prepared.inner(statement))

    # -- reading

    def query(self, snapshot: Snapshot, opened: OpenPlan | None = None) -> Result:
        """
        Run a SELECT on a snapshot; return its whole result.

        :param opened: the plan and its reader, if `open` was called already.
        :raises BeyondBounds: the read exceeds the budget of `opened`: read on a thread.
        :raises UnknownIndex: the plan's index was dropped: run again on a new snapshot.
        """
        if opened is None:
            opened = self.open(self.select, snapshot)
        self.interruption.check()
        token = progress.begin(opened.reader.env.spend)
        try:
            rows = opened.reader.read_all(opened.plan)
        finally:
            progress.end(token)
        return self._result_of(opened.plan, snapshot, rows)

    def is_reusable(self, opened: OpenPlan) -> bool:
        """Return whether the plan answers this SELECT for every caller with full access."""
        plan = opened.plan
        stored = plan.one_id is not None or plan.one_index is not None
        return stored and self.access.is_full and not opened.reader.views

    def batches(self, snapshot: Snapshot, most: int) -> Iterator[Result | RowBatch]:
        """
        Yield a result with the first rows, then batches of the other rows, `most` at a time.

        The first one is the last if `Result.is_whole`, a batch if `RowBatch.last`.  The time that
        the consumer takes between two of them does not count for the statement's timeout.

        :raises UnknownIndex: as `query`.
        """
        opened = self.open(self.select, snapshot)
        batches = progress.iterate(
            self.interruption.spend, opened.reader.read_batches(opened.plan, most)
        )
        following = next(batches, None)
        first = True
        while first or following is not None:
            rows = following if following is not None else Rows(texts=())
            following = next(batches, None)
            item: Result | RowBatch = RowBatch(rows, following is None)
            if first:
                item = self._result_of(opened.plan, snapshot, rows)
                item.is_whole = following is None
                first = False
            mark = self.interruption.pause()
            yield item
            self.interruption.resume(mark)

    def _result_of(self, plan: QueryPlan, snapshot: Snapshot, rows: Rows) -> Result:
        warnings = self._join_warnings(plan, snapshot) if plan.joins else NO_WARNINGS
        return Result(
            query_type="select",
            verb="select",
            collections=self.prepared.collections,
            texts=rows.texts,
            items=rows.items,
            warnings=warnings.shown,
            total_warnings=warnings.total,
            transaction_id=snapshot.lsn,
        )

    @property
    def select(self) -> syntax.Select:
        """The statement, which must be a SELECT."""
        statement = self.prepared.statement
        assert isinstance(statement, syntax.Select)
        return statement

    def open(
        self,
        statement: syntax.Select,
        snapshot: Snapshot,
        role: str = "select",
        bounds: ReadBudget = UNBOUNDED,
    ) -> OpenPlan:
        """
        Plan a SELECT within what the caller may see; return the plan and its reader.

        :param role: the part of the statement that this SELECT is: ``select`` itself, or the
            ``target``, which finds the documents that a mutation changes.
        :param bounds: what the read may cost; it is for a reader thread if unbounded.
        :raises SemanticError: a name or an expression of the SELECT has no meaning.
        :raises StatementForbidden: the caller may not read a collection, or not run SELECT.
        """
        if role == "select":
            check_verb(self.access, "select")
        visibility = self.visibility_of(statement, writes=role == "target")
        plan = self._plan(statement, snapshot, role, visibility)
        return OpenPlan(plan, self._reader(snapshot, visibility, bounds))

    def visibility_of(self, statement: syntax.Select, *, writes: bool = False) -> Visibility:
        """
        Return what the caller sees of the collections of a SELECT; raises as `visibility_of`.

        :param writes: the statement changes the documents that it finds.
        """
        return visibility_of(statement, self.access, self.parameters, self.virtual, writes=writes)

    def plan_over_rows(self, statement: syntax.Select, snapshot: Snapshot) -> QueryPlan:
        """Return the plan of a SELECT whose rows are at hand already (RETURNING)."""
        return self._plan(statement, snapshot, "returning", EVERYTHING)

    def _plan(
        self, statement: syntax.Select, snapshot: Snapshot, role: str, visibility: Visibility
    ) -> QueryPlan:
        fidelity = visibility.fidelity(snapshot) if visibility.typings else Fidelity.WHOLE
        parameters = self.parameters
        version = snapshot.catalog_version
        # Looking up the value of an `Enum` member is slow Python code, so WHOLE is spared it.
        kind = fidelity is Fidelity.WHOLE or fidelity.value
        key = (role, version, parameters.directives_key, visibility.key, kind)
        plan = self.prepared.plans.peek(key)
        if plan is not None:
            self.record.note_plan(plan, 0.0)
            return plan

        def make() -> QueryPlan:
            catalog = SnapshotCatalog(snapshot)
            whole, guard = visibility.restrict(statement), visibility.guard_of(statement)
            return plan_query(whole, catalog, parameters.directives, fidelity, guard)

        begun = self.monotonic()
        plan = self.prepared.plans.get(key, make)
        self.record.note_plan(plan, self.monotonic() - begun)
        return plan

    def _reader(self, snapshot: Snapshot, visibility: Visibility, bounds: ReadBudget) -> PlanReader:
        spend = self.interruption.spend if bounds is UNBOUNDED else bounds.spend
        env = Environment(self.arguments, self.context, spend)
        reader = PlanReader(
            snapshot=snapshot,
            env=env,
            interruption=self.interruption,
            bounds=bounds,
            virtual=self._virtual_documents,
            meter=self.meter,
        )
        if visibility is not EVERYTHING:
            reader.visible = visibility.row_tests(env)
            reader.views = visibility.views_of(snapshot)
            if self.meter.of_visible:
                reader.measured_tests = visibility.condition_tests(env)
        return reader

    def _virtual_documents(self, name: str, snapshot: Snapshot) -> Iterable[Document]:
        viewer: Viewer = FULL_VIEWER
        if not self.access.is_full:
            viewer = RestrictedViewer(self.access, partial(self._count_visible, snapshot))
        return self.virtual.documents(
            name, snapshot, self.parameters, self.context.now_ms, viewer=viewer
        )

    def _count_visible(self, snapshot: Snapshot, collection: str) -> int:
        """Return the number of documents of a collection that the caller may see."""
        statement = count_of(syntax.CollectionRef(None, collection))
        visibility = self.visibility_of(statement)
        whole, guard = visibility.restrict(statement), visibility.guard_of(statement)
        fidelity = visibility.fidelity(snapshot) if visibility.typings else Fidelity.WHOLE
        plan = plan_query(
            whole, SnapshotCatalog(snapshot), self.parameters.directives, fidelity, guard
        )
        reader = self._reader(snapshot, visibility, UNBOUNDED)
        reader.meter = NO_METER
        [row] = reader.read_rows(plan)
        assert isinstance(row, dict) and isinstance(row[COUNT], int)
        return row[COUNT]

    @property
    def hides_documents(self) -> bool:
        """Whether some documents of the statement's collections may be hidden from the caller."""
        if self.access.is_full:
            return False
        refs = [n for n in self.prepared.statement.walk() if isinstance(n, syntax.CollectionRef)]
        return any(each.namespace == "system" or self._is_partly_visible(each) for each in refs)

    def _is_partly_visible(self, collection: syntax.CollectionRef) -> bool:
        return isinstance(self.access.read(rule_name_of(collection)), tuple)

    def _join_warnings(self, plan: QueryPlan, snapshot: Snapshot) -> Warnings:
        warnings = Warnings()
        for join in plan.joins:
            name = join.term.collection.name
            if self._is_partly_visible(join.term.collection):
                # The warning would reveal the number of all documents, hidden ones included.
                continue
            known = snapshot.collection(name)
            if join.lookup is None and known and known.count > JOIN_WARNING_ROWS:
                warnings.add(_without_index(join, known.count))
        return warnings

    def select_finished(self, statement: syntax.Delete, snapshot: Snapshot) -> Result:
        """
        Return the result of DELETE from the history of requests; the caller removes the rows.

        `Result.mutated_ids` has the ids of the requests to be removed.

        :raises StatementForbidden: the caller may not run DELETE, or not see the history.
        """
        check_verb(self.access, "delete")
        opened = self.open(target_query_of(statement), snapshot, "target")
        found = [row for row in opened.reader.read_rows(opened.plan) if isinstance(row, dict)]
        items: list[Value] = []
        if statement.returning:
            select = returning_query_of(statement.returning, statement.term)
            items = opened.reader.shape(self.plan_over_rows(select, snapshot), iter(found))
        result = self._result("delete", snapshot, items)
        result.mutated_ids = [row["_id"] for row in found]
        return result

    # -- statements about statements

    def explain(self, snapshot: Snapshot) -> Result:
        """
        Return the statement's plan as a result of one row, ``{"plan": ...}``; runs nothing.

        :raises StatementForbidden: the caller may not run EXPLAIN, or the statement.
        :raises UnsupportedError: the statement has no plan, see `plan_of`.
        """
        check_verb(self.access, "explain")
        return self._result("explain", snapshot, [{"plan": self.describe_plan(snapshot)}])

    def describe_plan(
        self, snapshot: Snapshot, stats: Mapping[str, object] = MappingProxyType({})
    ) -> Description:
        """
        Return the plan as EXPLAIN shows it; with `stats`, as PROFILE shows it.

        :param stats: name of a step of the plan -> what `StepObserver` measured of it.
        :raises UnsupportedError: the statement has no plan, see `plan_of`.
        """
        plan = self.plan_of(snapshot)
        if plan is not None:
            return plan.describe(stats)
        statement = self.prepared.statement
        assert isinstance(statement, syntax.Insert)
        return sequence([{"#operator": "insert", "collection": statement.collection.name}])

    def advise(self, snapshot: Snapshot) -> Result:
        """
        Return a result of one row with the indexes that would serve the statement; runs nothing.

        :raises StatementForbidden: the caller may not run ADVISE, or the statement.
        :raises UnsupportedError: the statement has no plan, see `plan_of`.
        """
        check_verb(self.access, "advise")
        plan = self.plan_of(snapshot)
        row = advise(self.prepared.statement, plan, SnapshotCatalog(snapshot))
        return self._result("advise", snapshot, [row])

    def show(self, statement: syntax.ShowParameter | syntax.ShowAll, snapshot: Snapshot) -> Result:
        """
        Return the result of SHOW: one row of system parameters, name -> value.

        :raises UnknownParameter: no parameter has that name; SHOW ALL lists them.
        """
        check_verb(self.access, "show")
        row = show_parameters(statement, self.parameters)
        return self._result("show", snapshot, [row])

    def _result(self, kind: str, snapshot: Snapshot, items: list[Any]) -> Result:
        return Result(
            query_type=kind,
            verb=kind,
            collections=self.prepared.collections,
            items=items,
            transaction_id=snapshot.lsn,
        )

    def make_environment(self) -> Environment:
        """Return an environment with arguments and request, for expressions without a row."""
        return Environment(self.arguments, self.context, self.interruption.spend)

    def plan_of(self, snapshot: Snapshot) -> QueryPlan | None:
        """
        Return the plan of the statement's reading part; None for INSERT of documents.

        :raises UnsupportedError: the statement reads no documents, so it has no plan.
        """
        statement = self.prepared.statement
        match statement:
            case syntax.Select():
                return self.open(statement, snapshot).plan
            case syntax.Update() | syntax.Delete() | syntax.Evict():
                return self.open(target_query_of(statement), snapshot, "target").plan
            case syntax.Insert(documents=syntax.Select() as source):
                return self.open(source, snapshot).plan
            case syntax.Insert():
                return None
        raise UnsupportedError(
            f"{statement.query_type.replace('_', ' ').upper()} has no plan", statement.span
        )


def _without_index(join: JoinPlan, count: int) -> str:
    """Return the warning that names the index a join lacks."""
    name = join.term.collection.name
    if not join.keys:
        return (
            f"joining {count} documents of {name} without an equality; "
            f"compare a field of {name}, and create an index on it"
        )
    create = format_statement(create_statement(name, tuple(map(KeyPart, join.keys[:1]))))
    return f"joining {count} documents of {name} without an index: {create}"


def target_query_of(statement: syntax.Update | syntax.Delete | syntax.Evict) -> syntax.Select:
    """Return the SELECT that finds the documents, whole, that a mutation changes."""
    return syntax.Select(
        projections=(syntax.Wildcard(),),
        source=statement.term,
        selection=statement.selection,
        directives=statement.directives,
    )


def returning_query_of(
    projections: tuple[syntax.Projection, ...], term: syntax.Term
) -> syntax.Select:
    """Return the SELECT that makes the rows of RETURNING from a mutation's documents."""
    return syntax.Select(projections=projections, source=term)
