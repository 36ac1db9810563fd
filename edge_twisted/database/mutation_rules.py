# SPDX-License-Identifier: Apache-2.0
"""Rules of a mutation: declared types, size limits, and what the caller may see and write."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from edge_twisted.database.attachment_rights import AttachmentRights
from edge_twisted.database.permissions import Access, compile_rule, read_rule, write_rule
from edge_twisted.database.statement_cache import PreparedStatement
from edge_twisted.database.system_parameters import ParameterValues
from edge_twisted.database.type_declarations import reads_of, writes_of
from edge_twisted.documents.operations import UNTYPED, VariantRules
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment
from edge_twisted.dql.rows import Document


# Not frozen: one may be made for every statement, and frozen doubles the cost of making it.
@define(kw_only=True)
class MutationRules:
    """The rules of a mutation of one collection."""

    #: The system parameters: limits of a document's size.
    parameters: ParameterValues
    #: The types with which values are written.
    typing: VariantRules = UNTYPED
    #: The types with which RETURNING shows the documents.
    reads: VariantRules = UNTYPED
    #: Tests whether the caller may see a document; None: every one.
    may_see: Callable[[Document], bool] | None = None
    #: Tests whether the caller may write a document; None: every one.
    may_write: Callable[[Document], bool] | None = None
    #: Checks the attachments that a document names; None: all are allowed.
    attachments: AttachmentRights | None = None

    @property
    def are_conditional(self) -> bool:
        """Whether documents are tested at all."""
        return self.may_see is not None or self.may_write is not None

    def shows(self, document: Document) -> bool:
        """Return whether the caller may see a document."""
        return self.may_see is None or self.may_see(document)

    def permits(self, document: Document) -> bool:
        """Return whether the caller may write a document, as it is before or after the change."""
        return self.may_write is None or self.may_write(document)


def rules_of(
    prepared: PreparedStatement,
    collection: syntax.CollectionRef,
    parameters: ParameterValues,
    access: Access,
    env: Environment,
) -> MutationRules:
    """
    Return the rules for a mutation by this caller of a collection.

    :raises StatementForbidden: the caller may see, or change, no document of the collection.
    """
    if not access.is_full:
        seen, changed = read_rule(access, collection), write_rule(access, collection)
        rules = _unconditional(collection, parameters)
        rules.may_see = compile_rule(seen, access.identity, env)
        rules.may_write = compile_rule(changed, access.identity, env)
        if not access.reads_all:
            rules.attachments = AttachmentRights(access, env)
        return rules
    # A caller with full access has the same rules until a system parameter changes.
    kept: MutationRules | None = prepared.made.get("rules")
    if kept is None or kept.parameters is not parameters:
        kept = prepared.made["rules"] = _unconditional(collection, parameters)
    return kept


def _unconditional(collection: syntax.CollectionRef, parameters: ParameterValues) -> MutationRules:
    return MutationRules(
        parameters=parameters,
        typing=writes_of(collection, parameters),
        reads=reads_of(collection, parameters),
    )
