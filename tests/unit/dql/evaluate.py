# SPDX-License-Identifier: Apache-2.0
"""
Evaluates one expression over constants, by the operators and the registry alone.

A precedence climber over constants, of just the syntax that the tables use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from attrs import define, frozen

from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.dql import logic
from edge_twisted.dql.functions.conversion import CASTS
from edge_twisted.dql.functions.registry import FUNCTIONS
from edge_twisted.dql.operators import arithmetic, bits, comparison, membership, text
from edge_twisted.dql.patterns import like, similar

TOKEN = re.compile(
    r"""\s*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<name>`[^`]+`|[A-Za-z_][A-Za-z_0-9]*)
    |(?P<symbol>\|\||<<|>>|<=|>=|<>|!=|==|[-+*/%=<>()\[\]{},:]))""",
    re.VERBOSE,
)
BINARY: dict[str, tuple[int, Callable[..., Operand]]] = {
    "*": (40, arithmetic.multiply),
    "/": (40, arithmetic.divide),
    "%": (40, arithmetic.modulo),
    "+": (30, arithmetic.add),
    "-": (30, arithmetic.subtract),
    "||": (30, text.concatenate),
    "<<": (22, bits.shift_left),
    ">>": (22, bits.shift_right),
    "=": (20, comparison.equal),
    "==": (20, comparison.equal),
    "!=": (20, comparison.not_equal),
    "<>": (20, comparison.not_equal),
    "<": (20, comparison.less),
    "<=": (20, comparison.less_or_equal),
    ">": (20, comparison.greater),
    ">=": (20, comparison.greater_or_equal),
    "IN": (20, membership.member),
    "AND": (10, logic.logical_and),
    "XOR": (7, logic.logical_xor),
    "OR": (5, logic.logical_or),
}
CONSTANTS: dict[str, Operand] = {"TRUE": True, "FALSE": False, "NULL": None, "MISSING": MISSING}


@frozen
class Now:
    now_ms: int = 1791454108090
    app_id: str = "app"
    request_id: str = "request"
    start_time: str = "2026-10-08T10:08:28.090+00:00"


@define
class Evaluator:
    tokens: list[tuple[str, str]]
    at: int = 0

    def peek(self) -> str:
        kind, token = self.tokens[self.at]
        return token.upper() if kind == "name" else token

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        assert not wanted or token == wanted, (wanted, self.tokens[self.at :])
        self.at += 1
        return token

    def accept(self, *wanted: str) -> bool:
        if [self.tokens[self.at + i][1].upper() for i in range(len(wanted))] != list(wanted):
            return False
        self.at += len(wanted)
        return True

    def expression(self, level: int = 0) -> Operand:
        if self.accept("NOT"):
            value = logic.logical_not(self.expression(15))
        else:
            value = self.operand()
        while True:
            token = self.peek()
            if token in BINARY and BINARY[token][0] > level:
                self.take()
                value = BINARY[token][1](value, self.expression(BINARY[token][0]))
            elif level < 20 and self.accept("NOT", "IN"):
                value = logic.logical_not(membership.member(value, self.expression(20)))
            elif level < 20 and self.accept("NOT", "BETWEEN"):
                value = logic.logical_not(self.between(value))
            elif level < 20 and self.accept("BETWEEN"):
                value = self.between(value)
            elif level < 19 and self.accept("NOT", "LIKE"):
                value = logic.logical_not(like.like(value, *self.pattern()))
            elif level < 19 and self.accept("LIKE"):
                value = like.like(value, *self.pattern())
            elif level < 19 and self.accept("NOT", "ILIKE"):
                value = logic.logical_not(like.ilike(value, *self.pattern()))
            elif level < 19 and self.accept("ILIKE"):
                value = like.ilike(value, *self.pattern())
            elif level < 19 and self.accept("SIMILAR", "TO"):
                value = similar.similar_to(value, *self.pattern())
            elif level < 17 and self.accept("IS"):
                positive = not self.accept("NOT")
                value = (value is CONSTANTS[self.take().replace("UNKNOWN", "NULL")]) is positive
            else:
                return value

    def between(self, value: Operand) -> Operand:
        low = self.expression(20)
        self.take("AND")
        return comparison.between(value, low, self.expression(20))

    def pattern(self) -> list[Operand]:
        pattern = [self.expression(19)]
        return [*pattern, self.expression(19)] if self.accept("ESCAPE") else pattern

    def operand(self) -> Operand:
        kind, token = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            return int(token, 0) if token.isalnum() and "e" not in token else float(token)
        if kind == "string":
            quoted = re.sub(
                r"""\\'|\\.|\"""", lambda f: {"\\'": "'", '"': '\\"'}.get(f[0], f[0]), token[1:-1]
            )
            return str(json.loads(f'"{quoted}"'))
        if token == "-":
            if self.tokens[self.at][1] == "9223372036854775808":
                self.at += 1
                return -(2**63)
            return arithmetic.negate(self.operand())
        if token == "(":
            value = self.expression()
            if self.peek() == ",":
                return self.array([value, *self.rest(")")])
            self.take(")")
            return value
        if token == "[":
            return self.array(self.items("]"))
        if token == "{":
            return self.pairs()
        if token.upper() in CONSTANTS:
            return CONSTANTS[token.upper()]
        return self.call(token.strip("`").lower())

    def items(self, end: str) -> list[Operand]:
        return [] if self.accept(end) else [self.expression(), *self.rest(end)]

    def rest(self, end: str) -> list[Operand]:
        values = []
        while self.accept(","):
            values.append(self.expression())
        self.take(end)
        return values

    def pairs(self) -> Operand:
        pairs: dict[str, Value] = {}
        while not self.accept("}"):
            key = str(self.operand())
            self.take(":")
            value = self.expression()
            self.accept(",")
            if value is not MISSING:
                pairs[key] = value
        return pairs

    def array(self, values: list[Operand]) -> Operand:
        return [None if value is MISSING else value for value in values]

    def call(self, name: str) -> Operand:
        self.take("(")
        if name == "cast":
            operand = self.expression()
            assert self.accept("AS") or self.accept(",")
            convert = CASTS[self.take().strip("'").lower()]
            self.take(")")
            return convert(operand)
        if name == "position":
            part = self.expression(20)
            self.take("IN")
            text = self.expression()
            self.take(")")
            return FUNCTIONS["pos"].implementation(text, part)
        function = FUNCTIONS[name]
        arguments = self.items(")")
        assert function.accepts(len(arguments)), name
        context = (Now(),) if function.needs_context else ()
        return function.implementation(*context, *arguments)


def evaluate(source: str) -> Operand:
    tokens = []
    position = 0
    while position < len(source.rstrip()):
        found = TOKEN.match(source, position)
        assert found is not None, source[position:]
        assert found.lastgroup is not None
        tokens.append((found.lastgroup, found[found.lastgroup]))
        position = found.end()
    evaluator = Evaluator([*tokens, ("end", ""), ("end", "")])
    value = evaluator.expression()
    assert evaluator.peek() == "", evaluator.tokens[evaluator.at :]
    return value
