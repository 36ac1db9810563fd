# SPDX-License-Identifier: Apache-2.0
"""
Nodes of statements.

Forms of the 4.x language are represented by the newer forms that replace them: ``TOMBSTONE FROM``
is DELETE, ``f -> (a = 1, b -> tombstone())`` is SET and UNSET of paths below ``f``.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

from attrs import frozen

from edge_twisted.dql.syntax.clauses import (
    EVERYTHING,
    CollectionRef,
    Join,
    Projection,
    Selection,
    Term,
    UseDirectives,
)
from edge_twisted.dql.syntax.expressions import Expression, Path
from edge_twisted.dql.syntax.node import Node


@frozen(eq=False)
class Statement(Node):
    """A whole statement."""

    #: What the API calls this kind of statement (``queryType``).
    query_type: ClassVar[str] = "unknown"


@frozen(eq=False, kw_only=True)
class Select(Statement):
    """
    SELECT.  Without FROM there is one row and nothing to select from.

    ``directives`` are those of the whole statement: in a comment before it or after SELECT.
    """

    query_type = "select"

    distinct: bool = False
    projections: tuple[Projection, ...]
    source: Term | None = None
    joins: tuple[Join, ...] = ()
    group_by: tuple[Expression, ...] = ()
    having: Expression | None = None
    selection: Selection = EVERYTHING
    directives: tuple[UseDirectives, ...] = ()


class ConflictPolicy(Enum):
    """The policy of INSERT for an id that is in use."""

    FAIL = "FAIL"
    NOTHING = "DO NOTHING"
    UPDATE = "DO UPDATE"
    UPDATE_LOCAL_DIFF = "DO UPDATE_LOCAL_DIFF"


@frozen(eq=False)
class DocumentsClause(Node):
    """``DOCUMENTS (a), (b)``: each a document, or an array of documents."""

    items: tuple[Expression, ...]


@frozen(eq=False, kw_only=True)
class Insert(Statement):
    """INSERT; an ``initial`` one takes no policy and no SELECT."""

    query_type = "insert"

    collection: CollectionRef
    documents: DocumentsClause | Select
    initial: bool = False
    policy: ConflictPolicy = ConflictPolicy.FAIL
    returning: tuple[Projection, ...] = ()


class CounterOperation(Enum):
    """The operation of APPLY on a counter."""

    INCREMENT = "INCREMENT BY"
    RESTART = "RESTART WITH"
    PN_INCREMENT = "PN_INCREMENT BY"


@frozen(eq=False)
class Apply(Node):
    """``path INCREMENT BY operand`` and its relatives; only RESTART may lack the operand."""

    path: Path
    operation: CounterOperation
    operand: Expression | None


@frozen(eq=False)
class Assignment(Node):
    """``path = value``; without a value it is the 4.x ``path -> default()``."""

    path: Path
    value: Expression | None


@frozen(eq=False, kw_only=True)
class Update(Statement):
    """UPDATE; at least one of ``applies``, ``assignments``, ``removals`` (UNSET) is not empty."""

    query_type = "update"

    term: Term
    applies: tuple[Apply, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    removals: tuple[Path, ...] = ()
    selection: Selection = EVERYTHING
    returning: tuple[Projection, ...] = ()
    directives: tuple[UseDirectives, ...] = ()


@frozen(eq=False, kw_only=True)
class Delete(Statement):
    """DELETE: deletes documents for all peers."""

    query_type = "delete"

    term: Term
    selection: Selection = EVERYTHING
    returning: tuple[Projection, ...] = ()
    directives: tuple[UseDirectives, ...] = ()


@frozen(eq=False, kw_only=True)
class Evict(Statement):
    """EVICT: removes documents from this server, until a subscription brings them back."""

    query_type = "evict"

    term: Term
    selection: Selection = EVERYTHING
    returning: tuple[Projection, ...] = ()
    directives: tuple[UseDirectives, ...] = ()


@frozen(eq=False)
class IndexKeyClause(Node):
    """``path [ASC|DESC]``."""

    path: Path
    descending: bool = False


@frozen(eq=False, kw_only=True)
class CreateIndex(Statement):
    """CREATE INDEX."""

    query_type = "create_index"

    name: str
    collection: CollectionRef
    keys: tuple[IndexKeyClause, ...]
    if_not_exists: bool = False


@frozen(eq=False, kw_only=True)
class DropIndex(Statement):
    """DROP INDEX."""

    query_type = "drop_index"

    name: str
    collection: CollectionRef
    if_exists: bool = False


@frozen(eq=False)
class Explain(Statement):
    """EXPLAIN: shows the plan of a statement without running it."""

    query_type = "explain"

    statement: Statement


@frozen(eq=False)
class Profile(Statement):
    """PROFILE: runs a statement and shows its plan with the figures of each step."""

    query_type = "profile"

    statement: Statement


@frozen(eq=False)
class Advise(Statement):
    """ADVISE: names the indexes that a statement lacks; ``provision`` creates them."""

    query_type = "advise"

    statement: Statement
    provision: bool = False


@frozen(eq=False)
class SetParameter(Statement):
    """``ALTER SYSTEM SET name = value``; without a value the default, ``name`` in lower case."""

    query_type = "alter_system"

    name: str
    value: Expression | None


@frozen(eq=False)
class ResetParameter(Statement):
    """``ALTER SYSTEM RESET name``, or ALL without a name."""

    query_type = "alter_system"

    name: str | None


@frozen(eq=False)
class ShowParameter(Statement):
    """``SHOW name``, in lower case."""

    query_type = "show"

    name: str


@frozen(eq=False)
class ShowAll(Statement):
    """``SHOW ALL [LIKE|ILIKE pattern [ESCAPE escape]]``."""

    query_type = "show"

    pattern: str | None = None
    escape: str | None = None
    ignore_case: bool = False
