# SPDX-License-Identifier: Apache-2.0
"""
Nodes of expressions, before name resolution.

Forms with the same meaning are one node, so that later stages handle only one: ``x NOT IN y``
is NOT of ``x IN y``, ``IS UNKNOWN`` is ``IS NULL``, ``IN (a, b)`` is ``IN [a, b]``,
``POSITION(a IN b)`` is ``pos(b, a)``, ``TRIM(BOTH a FROM b)`` is ``trim(b, a)``.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from edge_twisted.dql.syntax.node import Node


@frozen(eq=False)
class Expression(Node):
    """An expression: a node that has a value."""


@frozen(eq=False)
class Literal(Expression):
    """A value in the text: NULL (`None`), a boolean, a 64-bit integer, a finite float, a string."""

    value: bool | int | float | str | None


@frozen(eq=False)
class MissingLiteral(Expression):
    """``MISSING`` as an expression."""


@frozen(eq=False)
class Parameter(Expression):
    """``:name``: a value that comes with the statement."""

    name: str


@frozen(eq=False)
class Path(Expression):
    """
    Names with dots between them, at least one.

    The first may be a source of the statement, a bound variable or a field: semantics decides.
    """

    names: tuple[str, ...]


@frozen(eq=False)
class Call(Expression):
    """
    A function or an aggregate, ``name`` in lower case.

    ``star`` is ``COUNT(*)``, which has no arguments; ``distinct`` the word before them.
    """

    name: str
    arguments: tuple[Expression, ...]
    distinct: bool = False
    star: bool = False


@frozen(eq=False)
class Cast(Expression):
    """``CAST(operand AS type_name)``, the type in lower case and not yet known to exist."""

    operand: Expression
    type_name: str


class UnaryOperator(Enum):
    """Operators of one operand."""

    NEGATE = "-"
    PLUS = "+"
    NOT = "NOT"


@frozen(eq=False)
class Unary(Expression):
    """``-``, ``+`` or NOT."""

    operator: UnaryOperator
    operand: Expression


class BinaryOperator(Enum):
    """Operators of two operands; those that may be written in several ways are one here."""

    MULTIPLY = "*"
    DIVIDE = "/"
    MODULO = "%"
    ADD = "+"
    SUBTRACT = "-"
    CONCATENATE = "||"
    SHIFT_LEFT = "<<"
    SHIFT_RIGHT = ">>"
    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    IN = "IN"
    XOR = "XOR"


@frozen(eq=False)
class Binary(Expression):
    """``left operator right``; a chain is grouped from the left."""

    operator: BinaryOperator
    left: Expression
    right: Expression


def spine(node: Expression) -> list[Binary]:
    """
    Return the operators of a chain such as ``a + b + c``, from the first to the last.

    ``a + b + c`` gives [``a + b``, ``a + b + c``], each the left operand of the next; what is no
    operator gives none.  A chain may be as long as the statement, so callers must iterate over this
    list instead of recursing.  IN is no part of a chain: its right side is a list.
    """
    found: list[Binary] = []
    while isinstance(node, Binary) and node.operator is not BinaryOperator.IN:
        found.append(node)
        node = node.left
    found.reverse()
    return found


@frozen(eq=False)
class And(Expression):
    """A conjunction of at least two operands, none of them an `And` itself."""

    operands: tuple[Expression, ...]


@frozen(eq=False)
class Or(Expression):
    """A disjunction of at least two operands, none of them an `Or` itself."""

    operands: tuple[Expression, ...]


@frozen(eq=False)
class Between(Expression):
    """``operand BETWEEN low AND high``, both inclusive."""

    operand: Expression
    low: Expression
    high: Expression


class PatternKind(Enum):
    """The language of a pattern."""

    LIKE = "LIKE"
    ILIKE = "ILIKE"
    SIMILAR_TO = "SIMILAR TO"


@frozen(eq=False)
class Like(Expression):
    """``operand LIKE pattern [ESCAPE escape]`` and its relatives."""

    kind: PatternKind
    operand: Expression
    pattern: Expression
    escape: Expression | None = None


class Absence(Enum):
    """The absent value that IS tests for."""

    NULL = "NULL"
    MISSING = "MISSING"


@frozen(eq=False)
class Is(Expression):
    """``operand IS NULL`` or ``IS MISSING``: always TRUE or FALSE."""

    operand: Expression
    absence: Absence


@frozen(eq=False)
class When(Node):
    """One branch of a CASE."""

    condition: Expression
    result: Expression


@frozen(eq=False)
class Case(Expression):
    """
    ``CASE [operand] WHEN ... THEN ... [ELSE otherwise] END`` with at least one branch.

    With an operand a branch's condition is compared with it, without one it is a condition.
    """

    operand: Expression | None
    branches: tuple[When, ...]
    otherwise: Expression | None


@frozen(eq=False)
class ArrayLiteral(Expression):
    """``[a, b]``."""

    elements: tuple[Expression, ...]


@frozen(eq=False)
class ObjectPair(Node):
    """``key: value`` of an object; the key is a string in any sensible statement."""

    key: Expression
    value: Expression


@frozen(eq=False)
class ObjectLiteral(Expression):
    """``{'a': b}``; of two equal keys the later counts."""

    pairs: tuple[ObjectPair, ...]


@frozen(eq=False)
class Binding(Node):
    """
    ``[index:]name IN source``: ``name`` takes the values of an array or object in turn.

    ``index`` takes their positions, from 0, or keys.  ``recursive`` is WITHIN: everything below
    the source at any depth.
    """

    index: str | None
    name: str
    source: Expression
    recursive: bool = False


class Quantifier(Enum):
    """How many values must satisfy the condition."""

    ANY = "ANY"
    EVERY = "EVERY"
    ANY_AND_EVERY = "ANY AND EVERY"


@frozen(eq=False)
class QuantifiedExpression(Expression):
    """``ANY v IN source SATISFIES condition END`` and its relatives."""

    quantifier: Quantifier
    binding: Binding
    condition: Expression


@frozen(eq=False)
class ArrayComprehension(Expression):
    """``ARRAY element FOR v IN source [WHEN condition] END``."""

    element: Expression
    binding: Binding
    condition: Expression | None


@frozen(eq=False)
class ObjectComprehension(Expression):
    """``OBJECT key : value FOR v IN source [WHEN condition] END``."""

    key: Expression
    value: Expression
    binding: Binding
    condition: Expression | None


def deeper_than(root: Node, limit: int) -> Expression | None:
    """
    Return the first expression that is nested more than ``limit`` levels deep, or None.

    A chain of operators (`spine`) is one level, however long it is.
    """
    stack: list[tuple[Node, int]] = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, Expression):
            depth += 1
            if depth > limit:
                return node
        children = node.children()
        if len(spine(node) if isinstance(node, Expression) else ()) > 1:
            chain = spine(node)  # type: ignore[arg-type]
            children = [chain[0].left, *[each.right for each in chain]]
        stack.extend((child, depth) for child in reversed(children))
    return None
