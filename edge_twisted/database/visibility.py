# SPDX-License-Identifier: Apache-2.0
"""
What a statement sees of its collections: permission rules, declared types, strict mode.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from edge_twisted.database.permissions import (
    Access,
    add_rules,
    compile_guard,
    compile_rule,
    read_rule,
    write_rule,
)
from edge_twisted.database.system_parameters import ParameterValues
from edge_twisted.database.type_declarations import reads_of
from edge_twisted.database.virtual_collections import VirtualCollections
from edge_twisted.documents.operations import UNTYPED, VariantRules
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment
from edge_twisted.dql.plan.access_choice import Fidelity
from edge_twisted.dql.plan.query import Guard
from edge_twisted.dql.rows import Document
from edge_twisted.records.documents import hides_variants, load_typed_document
from edge_twisted.store.interface import Snapshot

#: Conditions in DQL; a document passes if one of them holds.
Conditions = tuple[str, ...]
#: Document tests by the name of a term: none.
NO_TESTS: Final[Mapping[str, Callable[[Document], bool]]] = MappingProxyType({})
_NO_VIEWS: Final[Mapping[str, Callable[[Document], Document]]] = MappingProxyType({})


@frozen(kw_only=True)
class Visibility:
    """
    The permission rules and the declared types that apply to a statement, by the name of a term.

    The rules of a SELECT from one collection become part of its condition (`in_condition`), so an
    index can serve them.  In joins, and where declared types could hide a field that a rule tests,
    each document is tested by itself instead (`row_tests`).
    """

    #: Of each term with rules: the name, and the rules, all of which must pass.
    rules: tuple[tuple[str, tuple[Conditions, ...]], ...] = ()
    #: Of each term with declared types or strict reading: name, collection, types.
    typings: tuple[tuple[str, str, VariantRules], ...] = ()
    identity: str | None = None
    in_condition: bool = True

    @property
    def key(self) -> Hashable:
        """The part of a plan's cache key that stands for rules in its condition; None: no rules."""
        return (self.rules, self.identity) if self.rules and self.in_condition else None

    def guard_of(self, statement: syntax.Select) -> Guard | None:
        """Return the test of the rules that precedes the statement's own condition, if any."""
        if not self.rules or not self.in_condition:
            return None
        ((_, rules),) = self.rules
        return Guard(compile_guard(rules, self.identity), statement.selection.where)

    def restrict(self, statement: syntax.Select) -> syntax.Select:
        """Return the statement with the rules added to its condition, where they belong into it."""
        if not self.rules or not self.in_condition:
            return statement
        ((term, rules),) = self.rules
        selection = statement.selection
        where = add_rules(selection.where, term, rules, self.identity)
        return evolve(statement, selection=evolve(selection, where=where))

    def fidelity(self, snapshot: Snapshot) -> Fidelity:
        """
        Return how far stored bodies show what the statement is to see of its documents.

        `WHOLE` without declared types; `MORE` if the statement may only miss fields; else `OTHER`.
        """
        if not self.typings:
            return Fidelity.WHOLE
        if self.rules:
            # Whether a hidden variant exists must not depend on documents that rules hide.
            return Fidelity.OTHER
        hides = any(hides_variants(snapshot, collection) for _, collection, _ in self.typings)
        return Fidelity.OTHER if hides else Fidelity.MORE

    def row_tests(self, env: Environment) -> Mapping[str, Callable[[Document], bool]]:
        """Return term -> test of its documents, for rules that are not in the condition."""
        return NO_TESTS if self.in_condition else self._tests(env)

    def condition_tests(self, env: Environment) -> Mapping[str, Callable[[Document], bool]]:
        """Return term -> test of its documents, for rules that are in the condition."""
        return self._tests(env) if self.in_condition else NO_TESTS

    def _tests(self, env: Environment) -> Mapping[str, Callable[[Document], bool]]:
        if not self.rules:
            return NO_TESTS
        found: dict[str, Callable[[Document], bool]] = {}
        for term, rules in self.rules:
            tests = [compile_rule(rule, self.identity, env) for rule in rules]
            kept = [test for test in tests if test is not None]
            found[term] = partial(_all_hold, kept)
        return found

    def views_of(self, snapshot: Snapshot) -> Mapping[str, Callable[[Document], Document]]:
        """Return term -> function from a stored document to the one that declared types show."""
        if not self.typings:
            return _NO_VIEWS
        return {
            term: partial(load_typed_document, snapshot, collection, typing)
            for term, collection, typing in self.typings
        }


EVERYTHING: Final = Visibility()


def visibility_of(
    statement: syntax.Select,
    access: Access,
    parameters: ParameterValues,
    virtual: VirtualCollections,
    *,
    writes: bool = False,
) -> Visibility:
    """
    Return what a statement of a caller sees of its collections: rules and types by term.

    :param writes: the statement changes the documents that it finds, so write rules apply too.
    :raises StatementForbidden: the caller may see, or change, no document of a collection.
    :raises SemanticError: a virtual collection does not exist.
    """
    source = statement.source
    if source is None:
        return EVERYTHING
    is_simple = access.is_full and not statement.joins and source.collection.namespace is None
    if is_simple and reads_of(source.collection, parameters) is UNTYPED:
        # Short cut for the most frequent case.
        return EVERYTHING
    rights = (read_rule, write_rule) if writes else (read_rule,)

    def rules_of(collection: syntax.CollectionRef) -> tuple[Conditions, ...]:
        virtual.check(collection)
        return tuple([right(access, collection) for right in rights])

    terms = [
        (term.name, term.collection) for term in (source, *(join.term for join in statement.joins))
    ]
    rules = tuple((name, each) for name, ref in terms if any(each := rules_of(ref)))
    read = [(name, ref.name, reads_of(ref, parameters)) for name, ref in terms]
    typings = tuple(each for each in read if each[2] is not UNTYPED)
    if not rules and not typings:
        return EVERYTHING
    in_condition = not statement.joins and not typings
    return Visibility(
        rules=rules, typings=typings, identity=access.identity, in_condition=in_condition
    )


def _all_hold(tests: Sequence[Callable[[Document], bool]], document: Document) -> bool:
    return all(test(document) for test in tests)
