# SPDX-License-Identifier: Apache-2.0
"""
One statement, on one snapshot or in one unit of work.

Runs on whatever thread the snapshot belongs to, and touches nothing of the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from attrs import evolve, frozen

from edge_twisted.database import changes, system
from edge_twisted.database.advice import advise
from edge_twisted.database.catalog import SnapshotCatalog
from edge_twisted.database.changes import Changed, Changing
from edge_twisted.database.mutations import Document, Limits, Rules
from edge_twisted.database.parameters import ParameterValues
from edge_twisted.database.permissions import (
    Access,
    check_verb,
    named,
    predicate,
    read_rule,
    restricted,
    write_rule,
)
from edge_twisted.database.planning import Planning
from edge_twisted.database.result import Result, Warnings
from edge_twisted.database.select import Reading
from edge_twisted.database.stored import Writer, hides_variants, typed_document
from edge_twisted.database.typing import reads_of, writes_of
from edge_twisted.database.virtual import VirtualCollections
from edge_twisted.documents.operations import UNTYPED, Typing
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Environment
from edge_twisted.dql.errors import SemanticError, UnsupportedError
from edge_twisted.dql.execute.interruption import Interruption
from edge_twisted.dql.functions.context import FunctionContext
from edge_twisted.dql.plan.choice import Fidelity
from edge_twisted.dql.plan.query import QueryPlan, plan_query
from edge_twisted.store.interface import Snapshot, WriteTransaction

Mutation = syntax.Insert | syntax.Update | syntax.Delete | syntax.Evict
MUTATIONS = (syntax.Insert, syntax.Update, syntax.Delete, syntax.Evict)

#: Without an index, a join of more inner documents than this gets a warning.
JOIN_WARNING_ROWS = 10_000


@frozen(kw_only=True)
class Execution:
    """What a statement runs with, the same on every thread."""

    arguments: Mapping[str, Value]
    context: FunctionContext
    interruption: Interruption
    parameters: ParameterValues
    access: Access
    virtual: VirtualCollections
    plans: Planning
    new_id: Callable[[], str]

    # -- reading

    def query(self, statement: syntax.Select, snapshot: Snapshot) -> Result:
        """Run SELECT."""
        plan = self.plan(statement, snapshot)
        reading = self._reading(snapshot, statement)
        texts = reading.texts(plan)
        warnings = self._join_warnings(plan, snapshot)
        return Result(
            query_type="select",
            verb="select",
            collections=collections_of(statement),
            texts=texts,
            items=reading.rows(plan) if texts is None else None,
            warnings=warnings.shown,
            total_warnings=warnings.total,
            transaction_id=snapshot.lsn,
        )

    def explain(self, statement: syntax.Statement, snapshot: Snapshot) -> Result:
        """Return the plan of a statement as a row, and run nothing."""
        check_verb(self.access, "explain")
        plan = self.plan_of(statement, snapshot)
        shown = plan.describe() if plan is not None else _insertion(statement)
        return self._shown("explain", statement, snapshot, [{"plan": shown}])

    def advise(self, statement: syntax.Statement, snapshot: Snapshot) -> Result:
        """Return which indexes would serve a statement."""
        check_verb(self.access, "advise")
        plan = self.plan_of(statement, snapshot)
        row = advise(statement, plan, SnapshotCatalog(snapshot))
        return self._shown("advise", statement, snapshot, [row])

    def show(self, statement: syntax.ShowParameter | syntax.ShowAll, snapshot: Snapshot) -> Result:
        """Run SHOW."""
        check_verb(self.access, "show")
        row = system.show(statement, self.parameters)
        return self._shown("show", statement, snapshot, [row])

    def plan(self, statement: syntax.Select, snapshot: Snapshot) -> QueryPlan:
        """
        Return the plan of a SELECT, within what the caller may see.

        :raises SemanticError: it means nothing.
        :raises Forbidden: it names what the caller may not read.
        """
        check_verb(self.access, "select")
        return self._planned(self._restricted(statement), snapshot)

    def _planned(self, statement: syntax.Select, snapshot: Snapshot) -> QueryPlan:
        defaults = self.parameters.mapping("dql_default_directives")
        fidelity = self._fidelity(statement, snapshot)
        key = (statement, snapshot.catalog_version, repr(sorted(defaults.items())), fidelity)
        catalog = SnapshotCatalog(snapshot)
        return self.plans.get(key, lambda: plan_query(statement, catalog, defaults, fidelity))

    def _fidelity(self, statement: syntax.Select, snapshot: Snapshot) -> Fidelity:
        """Return what the bodies of a statement's collection are to it."""
        source = statement.source
        if source is None or self._reads(source.collection) is UNTYPED:
            return Fidelity.WHOLE
        hides = hides_variants(snapshot, source.collection.name)
        return Fidelity.OTHER if hides else Fidelity.MORE

    def _reads(self, collection: syntax.CollectionRef) -> Typing:
        return (
            UNTYPED if collection.namespace == "system" else reads_of(collection, self.parameters)
        )

    def rows(self, statement: syntax.Select, snapshot: Snapshot) -> list[Value]:
        """Return the rows of a SELECT as values, whatever their stored form."""
        return self._reading(snapshot, statement).rows(self.plan(statement, snapshot))

    def environment(self) -> Environment:
        """Return what expressions without a row need."""
        return Environment(self.arguments, self.context)

    def plan_of(self, statement: syntax.Statement, snapshot: Snapshot) -> QueryPlan | None:
        """
        Return the plan of the reading part of a statement; None for INSERT of documents.

        :raises UnsupportedError: it is no statement about documents.
        """
        match statement:
            case syntax.Select():
                return self.plan(statement, snapshot)
            case syntax.Update() | syntax.Delete() | syntax.Evict():
                return self._target(statement, snapshot)
            case syntax.Insert(documents=syntax.Select() as source):
                return self.plan(source, snapshot)
            case syntax.Insert():
                return None
        raise UnsupportedError(
            f"{statement.query_type.replace('_', ' ').upper()} has no plan", statement.span
        )

    def _restricted(self, statement: syntax.Select) -> syntax.Select:
        """Return the statement with the rules of its collections in it."""
        source = statement.source
        if source is None:
            return statement
        for term in _terms(statement):
            self.virtual.check(term.collection)
            rule = read_rule(self.access, term.collection)
            if rule and self._in_condition(statement):
                statement = self._with_rules(statement, term.name, (rule,))
        return statement

    def _in_condition(self, statement: syntax.Select) -> bool:
        """
        Return whether the rules of a statement's collection become part of its condition.

        Else documents are tested one by one: in joins, and where declared types could hide from a
        rule what it asks for.
        """
        source = statement.source
        if source is None or statement.joins:
            return False
        return self._reads(source.collection) is UNTYPED

    def _with_rules(
        self, statement: syntax.Select, term: str, rules: tuple[tuple[str, ...], ...]
    ) -> syntax.Select:
        selection = statement.selection
        where = restricted(selection.where, term, rules, self.access.identity)
        return evolve(statement, selection=evolve(selection, where=where))

    def _reading(
        self, snapshot: Snapshot, statement: syntax.Select, *, writes: bool = False
    ) -> Reading:
        env = Environment(self.arguments, self.context)
        return Reading(
            snapshot=snapshot,
            env=env,
            interruption=self.interruption,
            virtual=lambda name: self.virtual.documents(
                name, snapshot, self.parameters, self.context.now_ms
            ),
            visible=self._visible(statement, env, writes),
            views=self._views(statement, snapshot),
        )

    def _views(
        self, statement: syntax.Select, snapshot: Snapshot
    ) -> Mapping[str, Callable[[Document], Document]]:
        found: dict[str, Callable[[Document], Document]] = {}
        for term in _terms(statement):
            typing = self._reads(term.collection)
            if typing is not UNTYPED:
                name = term.collection.name
                found[term.name] = partial(_viewed, snapshot, name, typing)
        return found

    def _visible(
        self, statement: syntax.Select, env: Environment, writes: bool
    ) -> Mapping[str, Callable[[Document], bool]]:
        """Return the rules that are in no condition, those for changing as well if it `writes`."""
        if statement.source is None or self._in_condition(statement):
            return MappingProxyType({})
        found: dict[str, Callable[[Document], bool]] = {}
        for term in _terms(statement):
            rules = [read_rule(self.access, term.collection)]
            if writes:
                rules.append(write_rule(self.access, term.collection))
            tests = [predicate(rule, self.access.identity, env) for rule in rules]
            kept = [test for test in tests if test is not None]
            if kept:
                found[term.name] = kept[0] if len(kept) == 1 else partial(_all_hold, kept)
        return found

    def _join_warnings(self, plan: QueryPlan, snapshot: Snapshot) -> Warnings:
        warnings = Warnings()
        for join in plan.joins:
            name = join.term.collection.name
            known = snapshot.collection(name)
            if not join.equalities and known and known.count > JOIN_WARNING_ROWS:
                warnings.add(
                    f"joining {known.count} documents of {name} without an equality; "
                    f"compare a field of {name}, and create an index on it"
                )
        return warnings

    def _shown(
        self, kind: str, statement: syntax.Statement, snapshot: Snapshot, items: list[Any]
    ) -> Result:
        return Result(
            query_type=kind,
            verb=kind,
            collections=collections_of(statement),
            items=items,
            transaction_id=snapshot.lsn,
        )

    def history(self, statement: syntax.Delete, snapshot: Snapshot) -> Result:
        """Return what DELETE from the history of requests removes; it is not removed here."""
        check_verb(self.access, "delete")
        write_rule(self.access, statement.term.collection)
        rows = self.rows(changes.targets_of(statement), snapshot)
        found = [row for row in rows if isinstance(row, dict)]
        items: list[Value] = []
        select = changes.returning_of(statement.returning, statement.term)
        if select is not None:
            plan = self._planned(select, snapshot)
            items = self._reading(snapshot, select).shaped(plan, iter(found))
        return evolve(
            self._shown("delete", statement, snapshot, items),
            mutated_ids=[row["_id"] for row in found],
        )

    # -- writing

    def mutate(self, statement: Mutation, transaction: WriteTransaction) -> Result:
        """Run INSERT, UPDATE, DELETE or EVICT."""
        check_verb(self.access, statement.query_type)
        collection = _collection_of(statement)
        self.virtual.check(collection)
        if collection.namespace == "system":
            raise SemanticError("a virtual collection cannot be written", collection.span)
        changes_found = not isinstance(statement, syntax.Insert)
        reading = self._reading(transaction, _read_by(statement), writes=changes_found)
        warnings = Warnings()
        run = Changing(
            reading=reading,
            writer=Writer(transaction),
            rules=self._rules(statement, collection, reading.env, warnings),
            warnings=warnings,
            new_id=self.new_id,
        )
        changed = self._change(statement, run, transaction)
        return Result(
            query_type=statement.query_type,
            verb=statement.query_type,
            collections=collections_of(statement),
            items=self._returned(statement, changed, run, transaction),
            mutated_ids=changed.ids,
            warnings=run.warnings.shown,
            total_warnings=run.warnings.total,
        )

    def _change(self, statement: Mutation, run: Changing, transaction: WriteTransaction) -> Changed:
        match statement:
            case syntax.Insert(documents=documents):
                source = None
                if isinstance(documents, syntax.Select):
                    source = self.plan(documents, transaction)
                return changes.insert(statement, run, source)
            case syntax.Update():
                plan = changes.plan_update(statement)
                return changes.update(plan, self._target(statement, transaction), run)
            case syntax.Delete():
                return changes.delete(self._target(statement, transaction), run)
            case syntax.Evict():
                return changes.evict(self._target(statement, transaction), run)

    def _target(
        self, statement: syntax.Update | syntax.Delete | syntax.Evict, snapshot: Snapshot
    ) -> QueryPlan:
        """Return what finds the documents: those that the caller may see and change."""
        self.virtual.check(statement.term.collection)
        rules = (
            read_rule(self.access, statement.term.collection),
            write_rule(self.access, statement.term.collection),
        )
        select = changes.targets_of(statement)
        if any(rules) and self._in_condition(select):
            select = self._with_rules(select, statement.term.name, rules)
        return self._planned(select, snapshot)

    def _rules(
        self,
        statement: Mutation,
        collection: syntax.CollectionRef,
        env: Environment,
        warnings: Warnings,
    ) -> Rules:
        readable = read_rule(self.access, collection)
        condition = write_rule(self.access, collection)
        return Rules(
            limits=Limits(
                soft_bytes=self.parameters.integer("document_size_soft_limit_bytes"),
                hard_bytes=self.parameters.integer("document_size_hard_limit_bytes"),
            ),
            warn=warnings.add,
            typing=writes_of(collection, self.parameters),
            reads=self._reads(collection),
            may_see=predicate(readable, self.access.identity, env),
            may_write=predicate(condition, self.access.identity, env),
        )

    def _returned(
        self,
        statement: Mutation,
        changed: Changed,
        run: Changing,
        transaction: WriteTransaction,
    ) -> list[Value]:
        term = (
            syntax.Term(statement.collection)
            if isinstance(statement, syntax.Insert)
            else statement.term
        )
        select = changes.returning_of(statement.returning, term)
        if select is None:
            return []
        plan = self._planned(select, transaction)
        return run.reading.shaped(plan, iter(changed.documents))


def _all_hold(tests: Sequence[Callable[[Document], bool]], document: Document) -> bool:
    return all(test(document) for test in tests)


def _viewed(snapshot: Snapshot, collection: str, typing: Typing, document: Document) -> Document:
    return typed_document(snapshot, collection, document, typing)


def _terms(statement: syntax.Select) -> tuple[syntax.Term, ...]:
    if statement.source is None:
        return ()
    return (statement.source, *(join.term for join in statement.joins))


def _read_by(statement: Mutation) -> syntax.Select:
    """Return the SELECT by which a mutation reads."""
    if not isinstance(statement, syntax.Insert):
        return changes.targets_of(statement)
    if isinstance(statement.documents, syntax.Select):
        return statement.documents
    return syntax.Select(projections=(syntax.Wildcard(),))


def _insertion(statement: syntax.Statement) -> dict[str, Any]:
    """Return the plan of INSERT of documents, which reads nothing."""
    assert isinstance(statement, syntax.Insert)
    step = {"#operator": "insert", "collection": statement.collection.name}
    return {"#operator": "sequence", "children": [step]}


def _collection_of(statement: Mutation) -> syntax.CollectionRef:
    if isinstance(statement, syntax.Insert):
        return statement.collection
    return statement.term.collection


def collections_of(statement: syntax.Statement) -> list[str]:
    """Return the names of the collections that a statement names, for the audit log."""
    found = [named(each) for each in statement.walk() if isinstance(each, syntax.CollectionRef)]
    return list(dict.fromkeys(found))
