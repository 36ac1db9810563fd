# SPDX-License-Identifier: Apache-2.0
"""Nodes of the clauses that statements share: collections, projections, order, joins."""

from __future__ import annotations

from enum import Enum
from typing import Final

from attrs import frozen

from edge_twisted.dql.syntax.expressions import Expression, Path
from edge_twisted.dql.syntax.node import Node


class FieldType(Enum):
    """The types that a field may be declared as."""

    REGISTER = "REGISTER"
    MAP = "MAP"
    COUNTER = "COUNTER"
    PN_COUNTER = "PN_COUNTER"
    ATTACHMENT = "ATTACHMENT"


@frozen(eq=False)
class FieldDeclaration(Node):
    """``path TYPE`` of a type list; only a MAP has ``fields``, declared inside it."""

    path: Path
    type: FieldType
    fields: tuple[FieldDeclaration, ...] = ()


@frozen(eq=False)
class CollectionRef(Node):
    """
    ``[COLLECTION] [namespace:]name [(declarations)]``.

    The namespace is ``system`` for virtual collections, ``default`` or none for stored ones.
    """

    namespace: str | None
    name: str
    declarations: tuple[FieldDeclaration, ...] = ()


@frozen(eq=False)
class UseIds(Node):
    """``USE IDS a, b``: the documents with these ids, an array being one id."""

    ids: tuple[Expression, ...]


@frozen(eq=False)
class UseIdList(Node):
    """``USE IDS LIST ids``: the documents whose ids an array holds."""

    ids: Expression


@frozen(eq=False)
class UseIndex(Node):
    """``USE INDEX 'name'``; the empty name is a collection scan."""

    name: str


@frozen(eq=False)
class UseDirectives(Node):
    """
    ``USE DIRECTIVES '{...}'``, or a directive comment in its place.

    ``json`` is a JSON object in canonical form: compact, keys sorted.
    """

    json: str


Use = UseIds | UseIdList | UseIndex | UseDirectives


@frozen(eq=False)
class Term(Node):
    """A collection in a statement, with its alias and its USE clauses."""

    collection: CollectionRef
    alias: str | None = None
    uses: tuple[Use, ...] = ()

    @property
    def name(self) -> str:
        """The name by which paths refer to the term: its alias, else its collection's name."""
        return self.alias or self.collection.name


class JoinKind(Enum):
    """The kind of a join: the side whose unmatched documents it keeps."""

    INNER = "INNER"
    LEFT = "LEFT"
    RIGHT = "RIGHT"


@frozen(eq=False)
class Join(Node):
    """``[LEFT|RIGHT] JOIN term ON condition``."""

    kind: JoinKind
    term: Term
    condition: Expression


@frozen(eq=False)
class Wildcard(Node):
    """``*`` or ``qualifier.*``."""

    qualifier: str | None = None


@frozen(eq=False)
class Omission(Node):
    """``MISSING path``: removes this field from the wildcards before it."""

    path: Path


@frozen(eq=False)
class ResultExpression(Node):
    """``expression [AS alias]``."""

    expression: Expression
    alias: str | None = None


Projection = Wildcard | Omission | ResultExpression


@frozen(eq=False)
class SortKey(Node):
    """``expression [ASC|DESC]``."""

    expression: Expression
    descending: bool = False


@frozen(eq=False)
class Selection(Node):
    """
    The selection of documents: WHERE, ORDER BY, LIMIT and OFFSET.

    ``limit`` and ``offset`` are literals or parameters in any statement that means something.
    """

    where: Expression | None = None
    order_by: tuple[SortKey, ...] = ()
    limit: Expression | None = None
    offset: Expression | None = None


#: All documents, in any order.
EVERYTHING: Final = Selection()
