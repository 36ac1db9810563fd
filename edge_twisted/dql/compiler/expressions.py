# SPDX-License-Identifier: Apache-2.0
"""
Compilation of expressions to closures, one case for each kind of node.

An error on a value gets the span of the node in which it happens, so that it can be shown in the
statement's text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import singledispatch
from itertools import groupby
from typing import Final, TypeVar

from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler.environment import CompiledExpression, Environment
from edge_twisted.dql.compiler.scope import NameScope
from edge_twisted.dql.errors import ArgumentError, DqlError, SemanticError
from edge_twisted.dql.functions.aggregates import AGGREGATES
from edge_twisted.dql.functions.context import NO_CONTEXT
from edge_twisted.dql.functions.conversion import CASTS
from edge_twisted.dql.functions.registry import Function, find_function
from edge_twisted.dql.logic import logical_and, logical_not, logical_or, logical_xor
from edge_twisted.dql.operators import arithmetic, bits, comparison, concatenation, membership
from edge_twisted.dql.patterns.like import ilike, like
from edge_twisted.dql.patterns.similar import similar_to
from edge_twisted.dql.rows import Row

Node_ = TypeVar("Node_", bound=syntax.Expression)

_BINARY: Final[dict[syntax.BinaryOperator, Callable[[Operand, Operand], Operand]]] = {
    syntax.BinaryOperator.MULTIPLY: arithmetic.multiply,
    syntax.BinaryOperator.DIVIDE: arithmetic.divide,
    syntax.BinaryOperator.MODULO: arithmetic.modulo,
    syntax.BinaryOperator.ADD: arithmetic.add,
    syntax.BinaryOperator.SUBTRACT: arithmetic.subtract,
    syntax.BinaryOperator.CONCATENATE: concatenation.concatenate,
    syntax.BinaryOperator.SHIFT_LEFT: bits.shift_left,
    syntax.BinaryOperator.SHIFT_RIGHT: bits.shift_right,
    syntax.BinaryOperator.EQUAL: comparison.equal,
    syntax.BinaryOperator.NOT_EQUAL: comparison.not_equal,
    syntax.BinaryOperator.LESS: comparison.less,
    syntax.BinaryOperator.LESS_OR_EQUAL: comparison.less_or_equal,
    syntax.BinaryOperator.GREATER: comparison.greater,
    syntax.BinaryOperator.GREATER_OR_EQUAL: comparison.greater_or_equal,
    syntax.BinaryOperator.IN: membership.member,
    syntax.BinaryOperator.XOR: logical_xor,
}
_UNARY: Final[dict[syntax.UnaryOperator, Callable[[Operand], Operand]]] = {
    syntax.UnaryOperator.NEGATE: arithmetic.negate,
    syntax.UnaryOperator.PLUS: arithmetic.plus,
    syntax.UnaryOperator.NOT: logical_not,
}
_PATTERNS: Final[dict[syntax.PatternKind, Callable[..., Operand]]] = {
    syntax.PatternKind.LIKE: like,
    syntax.PatternKind.ILIKE: ilike,
    syntax.PatternKind.SIMILAR_TO: similar_to,
}


def compile_expression(node: syntax.Expression, scope: NameScope) -> CompiledExpression:
    """
    Return the function (row, environment) -> value that computes an expression.

    The function raises `EvaluationError` for a row on which the expression fails.

    :param scope: what the names in the expression mean, and so what a row is.
    :raises SemanticError: a name or function is unknown, or has the wrong number of arguments; show
        it to the user, with its position.
    """
    ready = scope.whole(node)
    if ready is not None:
        return ready
    return _compile(node, scope)


@singledispatch
def _compile(node: syntax.Expression, scope: NameScope) -> CompiledExpression:
    raise SemanticError(f"{type(node).__name__} cannot stand here", node.span)


def add_case(kind: type[Node_], case: Callable[[Node_, NameScope], CompiledExpression]) -> None:
    """Register the compiler of one kind of expression with `compile_expression`."""
    _compile.register(kind)(case)


def _constant(value: Operand) -> CompiledExpression:
    return lambda row, env: value


@_compile.register(syntax.Literal)
def _(node: syntax.Literal, scope: NameScope) -> CompiledExpression:
    return _constant(node.value)


@_compile.register(syntax.MissingLiteral)
def _(node: syntax.MissingLiteral, scope: NameScope) -> CompiledExpression:
    return _constant(MISSING)


@_compile.register(syntax.Parameter)
def _(node: syntax.Parameter, scope: NameScope) -> CompiledExpression:
    name = node.name

    def argument(row: Row, env: Environment) -> Operand:
        try:
            return env.arguments[name]
        except KeyError:
            raise ArgumentError(f"Parameter {name} was not provided", node.span) from None

    return argument


@_compile.register(syntax.Path)
def _(node: syntax.Path, scope: NameScope) -> CompiledExpression:
    return scope.path(node)


@_compile.register(syntax.Unary)
def _(node: syntax.Unary, scope: NameScope) -> CompiledExpression:
    operand = compile_expression(node.operand, scope)
    apply = _UNARY[node.operator]
    return lambda row, env: apply(operand(row, env))


@_compile.register(syntax.Binary)
def _(node: syntax.Binary, scope: NameScope) -> CompiledExpression:
    if isinstance(node.left, syntax.Binary) and node.operator is not syntax.BinaryOperator.IN:
        return _compile_chain(syntax.spine(node), scope)
    left = compile_expression(node.left, scope)
    right = compile_expression(node.right, scope)
    apply = _BINARY[node.operator]
    if node.operator is syntax.BinaryOperator.IN:
        listed = _written_out(node.right, right)
        if listed is not None:
            test = membership.member_of(listed)
            return lambda row, env: test(left(row, env))
        if needs_no_row(node.right):
            return _with_position(node, with_list(membership.member_of, right, left))
    if isinstance(node.right, syntax.Literal):
        value: Operand = node.right.value
        return _with_position(node, lambda row, env: apply(left(row, env), value))
    return _with_position(node, lambda row, env: apply(left(row, env), right(row, env)))


#: Applies the next operator of a chain to its value so far.
_Link = Callable[[Operand, Row, Environment], Operand]


def _compile_chain(chain: list[syntax.Binary], scope: NameScope) -> CompiledExpression:
    """
    Compile a chain of operators, grouped from the left, to a loop instead of nested calls.

    The scope may already have computed the beginning of the chain.
    """
    begun = 0
    first: CompiledExpression | None = None
    for length in sorted(scope.chains, reverse=True):
        if first is None and length < len(chain):
            first, begun = scope.whole(chain[length - 1]), length
    if first is None:
        first, begun = compile_expression(chain[0].left, scope), 0
    start = first
    links = [_link(list(run), scope) for run in _runs(chain[begun:])]
    steps = len(chain)

    def run(row: Row, env: Environment) -> Operand:
        env.spend(steps)
        value = start(row, env)
        for link in links:
            value = link(value, row, env)
        return value

    return run


def _runs(chain: list[syntax.Binary]) -> Iterator[list[syntax.Binary]]:
    """Yield the operators of a chain one by one, but consecutive ``||`` as one run."""
    for is_text, run in groupby(
        chain, lambda node: node.operator is syntax.BinaryOperator.CONCATENATE
    ):
        if is_text:
            yield list(run)
        else:
            yield from ([each] for each in run)


def _link(operators: list[syntax.Binary], scope: NameScope) -> _Link:
    rights = [compile_expression(each.right, scope) for each in operators]
    span = operators[-1].span
    if len(operators) > 1:

        def concatenate(value: Operand, row: Row, env: Environment) -> Operand:
            try:
                return concatenation.concatenate_all(value, (right(row, env) for right in rights))
            except DqlError as error:
                raise error.at(span) from None

        return concatenate
    apply, right = _BINARY[operators[0].operator], rights[0]

    def run(value: Operand, row: Row, env: Environment) -> Operand:
        try:
            return apply(value, right(row, env))
        except DqlError as error:
            raise error.at(span) from None

    return run


@_compile.register(syntax.And)
def _(node: syntax.And, scope: NameScope) -> CompiledExpression:
    operands = [compile_expression(each, scope) for each in node.operands]

    def conjunction(row: Row, env: Environment) -> Operand:
        found: Operand = True
        for operand in operands:
            found = logical_and(found, operand(row, env))
            if found is False:
                return False
        return found

    return conjunction


@_compile.register(syntax.Or)
def _(node: syntax.Or, scope: NameScope) -> CompiledExpression:
    operands = [compile_expression(each, scope) for each in node.operands]

    def disjunction(row: Row, env: Environment) -> Operand:
        found: Operand = False
        for operand in operands:
            found = logical_or(found, operand(row, env))
            if found is True:
                return True
        return found

    return disjunction


@_compile.register(syntax.Between)
def _(node: syntax.Between, scope: NameScope) -> CompiledExpression:
    operand = compile_expression(node.operand, scope)
    low = compile_expression(node.low, scope)
    high = compile_expression(node.high, scope)
    return lambda row, env: comparison.between(operand(row, env), low(row, env), high(row, env))


@_compile.register(syntax.Like)
def _(node: syntax.Like, scope: NameScope) -> CompiledExpression:
    apply = _PATTERNS[node.kind]
    parts = [node.operand, node.pattern, *([node.escape] if node.escape else [])]
    return _call(node, apply, [compile_expression(part, scope) for part in parts])


@_compile.register(syntax.Is)
def _(node: syntax.Is, scope: NameScope) -> CompiledExpression:
    operand = compile_expression(node.operand, scope)
    wanted = None if node.absence is syntax.Absence.NULL else MISSING
    return lambda row, env: operand(row, env) is wanted


@_compile.register(syntax.Case)
def _(node: syntax.Case, scope: NameScope) -> CompiledExpression:
    branches = [
        (compile_expression(each.condition, scope), compile_expression(each.result, scope))
        for each in node.branches
    ]
    last = compile_expression(node.otherwise, scope) if node.otherwise else _constant(None)
    if node.operand is None:

        def run(row: Row, env: Environment) -> Operand:
            for condition, result in branches:
                if condition(row, env) is True:
                    return result(row, env)
            return last(row, env)

        return run
    operand = compile_expression(node.operand, scope)

    def simple(row: Row, env: Environment) -> Operand:
        value = operand(row, env)
        for condition, result in branches:
            if comparison.equal(value, condition(row, env)) is True:
                return result(row, env)
        return last(row, env)

    return simple


@_compile.register(syntax.Cast)
def _(node: syntax.Cast, scope: NameScope) -> CompiledExpression:
    convert = CASTS.get(node.type_name)
    if convert is None:
        raise SemanticError(
            f"unknown type {node.type_name}: the types are {', '.join(CASTS)}", node.span
        )
    return _call(node, convert, [compile_expression(node.operand, scope)])


@_compile.register(syntax.Call)
def _(node: syntax.Call, scope: NameScope) -> CompiledExpression:
    if node.name in AGGREGATES:
        raise SemanticError(f"the aggregate {node.name} cannot stand here", node.span)
    function = find_function(node.name)
    if function is None:
        raise SemanticError(f"unknown function {node.name}", node.span)
    if node.star or node.distinct:
        raise SemanticError(f"{node.name} is no aggregate", node.span)
    if not function.accepts(len(node.arguments)):
        most = "or more" if function.max_args is None else f"to {function.max_args}"
        raise SemanticError(
            f"{node.name} takes {function.min_args} {most} arguments, not {len(node.arguments)}",
            node.span,
        )
    _check_part(function, node)
    arguments = [compile_expression(each, scope) for each in node.arguments]
    if node.name == "array_contains" and needs_no_row(node.arguments[0]):
        return _with_position(node, with_list(membership.contained_in, *arguments))
    implementation = function.implementation
    if function.needs_context:
        return _with_position(
            node,
            lambda row, env: implementation(env.context, *[a(row, env) for a in arguments]),
        )
    if function.takes_long:
        return _with_position(
            node,
            lambda row, env: implementation(env.spend, *[a(row, env) for a in arguments]),
        )
    return _call(node, implementation, arguments)


def needs_no_row(node: syntax.Expression) -> bool:
    """Return whether an expression has one value per execution, because it contains no path."""
    return not any(isinstance(each, syntax.Path) for each in node.walk())


def with_list(
    hashed: Callable[[Operand], Callable[[Operand], Operand]],
    array: CompiledExpression,
    value: CompiledExpression,
) -> CompiledExpression:
    """
    Return the function that tests each row's ``value`` against an array that needs no row.

    The array is evaluated and hashed at the first row of an execution, and not if there is none.

    :param hashed: makes the test of a value from the value of the array.
    """
    key = object()

    def test(row: Row, env: Environment) -> Operand:
        found = env.cache.get(key)
        if found is None:
            found = env.cache[key] = hashed(array(row, env))
        result: Operand = found(value(row, env))
        return result

    return test


def _check_part(function: Function, node: syntax.Call) -> None:
    """
    Check a literal argument that names a part of dates, such as ``'day'``.

    :raises SemanticError: no part of dates has that name.
    """
    if function.parts is None:
        return
    position, names = function.parts
    part = node.arguments[position]
    if not isinstance(part, syntax.Literal) or not isinstance(part.value, str):
        return
    if part.value.lower() not in names:
        raise SemanticError(
            f"unknown part {part.value!r} of a date: the parts are {', '.join(names)}", part.span
        )


#: Elements of an array whose value is known with the plan.
_WRITTEN: Final = (
    syntax.ArrayLiteral,
    syntax.ObjectLiteral,
    syntax.ObjectPair,
    syntax.Literal,
    syntax.MissingLiteral,
)


def _written_out(node: syntax.Expression, compiled: CompiledExpression) -> list[Value] | None:
    """Return the elements of an array of literals, to be hashed once with the plan, else None."""
    if not isinstance(node, syntax.ArrayLiteral):
        return None
    if not all(isinstance(each, _WRITTEN) for each in node.walk()):
        return None
    value = compiled(None, Environment({}, NO_CONTEXT))
    assert isinstance(value, list)
    return value


@_compile.register(syntax.ArrayLiteral)
def _(node: syntax.ArrayLiteral, scope: NameScope) -> CompiledExpression:
    elements = [compile_expression(each, scope) for each in node.elements]

    def array(row: Row, env: Environment) -> Operand:
        found = [element(row, env) for element in elements]
        return [None if value is MISSING else value for value in found]

    return array


@_compile.register(syntax.ObjectLiteral)
def _(node: syntax.ObjectLiteral, scope: NameScope) -> CompiledExpression:
    pairs = [
        (compile_expression(each.key, scope), compile_expression(each.value, scope))
        for each in node.pairs
    ]

    def object_(row: Row, env: Environment) -> Operand:
        found: dict[str, Value] = {}
        for key, value in pairs:
            name, content = key(row, env), value(row, env)
            if isinstance(name, str) and content is not MISSING:
                found[name] = content
        return found

    return object_


def _call(
    node: syntax.Expression, apply: Callable[..., Operand], arguments: list[CompiledExpression]
) -> CompiledExpression:
    """Return a call with the value of each argument; the usual numbers without a list."""
    if len(arguments) == 1:
        (only,) = arguments
        return _with_position(node, lambda row, env: apply(only(row, env)))
    if len(arguments) == 2:
        first, second = arguments
        return _with_position(node, lambda row, env: apply(first(row, env), second(row, env)))
    return _with_position(node, lambda row, env: apply(*[each(row, env) for each in arguments]))


def _with_position(node: syntax.Expression, compiled: CompiledExpression) -> CompiledExpression:
    """Return a function whose errors carry the position in the statement."""

    def run(row: Row, env: Environment) -> Operand:
        try:
            return compiled(row, env)
        except DqlError as error:
            raise error.at(node.span) from None

    return run
