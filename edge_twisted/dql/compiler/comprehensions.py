# SPDX-License-Identifier: Apache-2.0
"""Compilation of the forms that bind variables: ANY, EVERY, ARRAY and OBJECT."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import frozen

from edge_twisted.documents.values import MISSING, Missing, Operand, Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler.environment import CompiledExpression, Environment
from edge_twisted.dql.compiler.expressions import add_case, compile_expression, needs_no_row
from edge_twisted.dql.compiler.scope import NameScope
from edge_twisted.dql.operators.membership import ValueSet
from edge_twisted.dql.rows import Row

Pairs = Iterator[tuple[Value, Value]]


@frozen
class _CompiledBinding:
    """A compiled binding: its source, and the function that sets its variables."""

    source: CompiledExpression
    recursive: bool
    set: Callable[[Environment, Value, Value], None]

    def pairs(self, row: Row, env: Environment) -> Pairs | Missing | None:
        """Return pairs (index, value) of the source; MISSING or NULL (None) if it has none."""
        source = self.source(row, env)
        if source is MISSING:
            return MISSING
        if not isinstance(source, list | dict):
            return None
        return _deep(source) if self.recursive else _flat(source)


def _flat(source: list[Value] | dict[str, Value]) -> Pairs:
    return iter(source.items()) if isinstance(source, dict) else iter(enumerate(source))


def _deep(source: list[Value] | dict[str, Value]) -> Pairs:
    """Yield all nested elements, parents first; values are at most as deep as documents."""
    for index, value in _flat(source):
        yield index, value
        if isinstance(value, list | dict):
            yield from _deep(value)


def _bind(node: syntax.Binding, scope: NameScope) -> tuple[_CompiledBinding, NameScope]:
    source = compile_expression(node.source, scope)
    names = [node.name] if node.index is None else [node.name, node.index]
    inner, positions = scope.bind(names)

    def set_(env: Environment, index: Value, value: Value) -> None:
        env.variables[positions[0]] = value
        if len(positions) > 1:
            env.variables[positions[1]] = index

    return _CompiledBinding(source, node.recursive, set_), inner


def _compile_quantified(node: syntax.QuantifiedExpression, scope: NameScope) -> CompiledExpression:
    bound, inner = _bind(node.binding, scope)
    wanted = _equal_to_variable(node)
    if wanted is not None:
        return _any_equal(bound, compile_expression(wanted, scope))
    condition = compile_expression(node.condition, inner)
    any_ = node.quantifier is syntax.Quantifier.ANY
    # The truth value that ends the loop, and the result if no element has it.
    empty: Operand = node.quantifier is syntax.Quantifier.EVERY

    def run(row: Row, env: Environment) -> Operand:
        pairs = bound.pairs(row, env)
        if pairs is None or pairs is MISSING:
            return pairs
        found = empty
        spend = env.spend
        for index, value in pairs:
            spend(1)
            bound.set(env, index, value)
            if (condition(row, env) is True) is any_:
                return any_
            found = not any_
        return found

    return run


def _equal_to_variable(node: syntax.QuantifiedExpression) -> syntax.Expression | None:
    """
    Return e of ``ANY v IN source SATISFIES v = e END``, where the source needs no row.

    None for anything else; e may not have variables of the expression in it.
    """
    binding, condition = node.binding, node.condition
    if node.quantifier is not syntax.Quantifier.ANY or not needs_no_row(binding.source):
        return None
    match condition:
        case syntax.Binary(operator=syntax.BinaryOperator.EQUAL, left=left, right=right):
            pass
        case _:
            return None
    variable = syntax.Path((binding.name,))
    # Of two variables with one name the index is the inner one.
    if binding.index == binding.name:
        return None
    for one, other in ((left, right), (right, left)):
        if one == variable and not _names(other, {binding.name, binding.index}):
            return other
    return None


def _names(node: syntax.Expression, variables: set[str | None]) -> bool:
    return any(isinstance(each, syntax.Path) and each.names[0] in variables for each in node.walk())


def _any_equal(bound: _CompiledBinding, wanted: CompiledExpression) -> CompiledExpression:
    """Return whether a source that needs no row has a value; it is hashed once an execution."""
    key = object()

    def make_value_set(row: Row, env: Environment) -> ValueSet | Missing | None:
        pairs = bound.pairs(row, env)
        if pairs is None or pairs is MISSING:
            return pairs
        return ValueSet.of(value for _, value in pairs)

    def run(row: Row, env: Environment) -> Operand:
        try:
            values: ValueSet | Missing | None = env.cache[key]
        except KeyError:
            values = env.cache[key] = make_value_set(row, env)
        if values is None or values is MISSING:
            return values
        if values.is_empty:
            return False
        value = wanted(row, env)
        return value is not None and value is not MISSING and values.has(value)

    return run


def _array(node: syntax.ArrayComprehension, scope: NameScope) -> CompiledExpression:
    bound, inner = _bind(node.binding, scope)
    element = compile_expression(node.element, inner)
    when = compile_expression(node.condition, inner) if node.condition else None

    def array(row: Row, env: Environment) -> Operand:
        pairs = bound.pairs(row, env)
        if pairs is None or pairs is MISSING:
            return pairs
        found: list[Value] = []
        spend = env.spend
        for index, value in pairs:
            spend(1)
            bound.set(env, index, value)
            if when is None or when(row, env) is True:
                made = element(row, env)
                if made is not MISSING:
                    found.append(made)
        return found

    return array


def _object(node: syntax.ObjectComprehension, scope: NameScope) -> CompiledExpression:
    bound, inner = _bind(node.binding, scope)
    key = compile_expression(node.key, inner)
    content = compile_expression(node.value, inner)
    when = compile_expression(node.condition, inner) if node.condition else None

    def object_(row: Row, env: Environment) -> Operand:
        pairs = bound.pairs(row, env)
        if pairs is None or pairs is MISSING:
            return pairs
        found: dict[str, Value] = {}
        spend = env.spend
        for index, value in pairs:
            spend(1)
            bound.set(env, index, value)
            if when is None or when(row, env) is True:
                name, made = key(row, env), content(row, env)
                if isinstance(name, str) and made is not MISSING:
                    found[name] = made
        return found

    return object_


def register() -> None:
    """Register the compilers of comprehensions with `compile_expression`, once, at import."""
    add_case(syntax.QuantifiedExpression, _compile_quantified)
    add_case(syntax.ArrayComprehension, _array)
    add_case(syntax.ObjectComprehension, _object)
