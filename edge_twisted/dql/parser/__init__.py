# SPDX-License-Identifier: Apache-2.0
"""
The parser: recursive descent for statements, precedence climbing for expressions.

One module per family of statements; `parse` is the way in.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from edge_twisted.dql.errors import ArgumentError, DqlError
from edge_twisted.dql.lexer import source_of, tokenize
from edge_twisted.dql.parser.cursor import NESTING_LIMIT, PARAMETER_LIMIT, Cursor
from edge_twisted.dql.parser.expressions import climb
from edge_twisted.dql.parser.statements import statement
from edge_twisted.dql.source import SourceText, Span
from edge_twisted.dql.syntax import Expression, Statement, deeper_than
from edge_twisted.dql.tokens import END


@frozen(kw_only=True)
class ParsedStatement:
    """A statement, its text, and its parameters with the place where each is named first."""

    statement: Statement
    source: SourceText
    parameters: dict[str, Span]

    def check_arguments(self, arguments: Mapping[str, object]) -> None:
        """
        Check the arguments, name -> value, against the parameters of the statement.

        :raises ArgumentError: a parameter lacks its argument, or an argument has no parameter.
        """
        if self.parameters.keys() == arguments.keys():
            return
        for name, span in self.parameters.items():
            if name not in arguments:
                raise ArgumentError(f"Parameter {name} was not provided", span, self.source)
        for name in arguments:
            if name not in self.parameters:
                message = f"Argument {name} is not used by the statement"
                raise ArgumentError(message, None, self.source)


def parse(text: str | bytes) -> ParsedStatement:
    """
    Return the tree and the parameters of one statement, whose text may end in a semicolon.

    Bytes are UTF-8.  Takes time linear in the length of the text, and never more than a fixed depth
    of the stack.

    :raises DqlError: a `LexicalError`, `ParseError` or `UnsupportedError` with its position; show
        it to the user.
    """
    source = source_of(text)
    cursor = _cursor(source)
    try:
        tree = statement(cursor)
        cursor.accept(";")
        _finish(cursor, tree, "end of statement")
    except DqlError as error:
        raise error.within(source) from None
    return ParsedStatement(statement=tree, source=source, parameters=cursor.parameters)


def parse_expression(text: str) -> Expression:
    """
    Return the tree of an expression that stands by itself, as in a test or a rule.

    :raises DqlError: as `parse` does.
    """
    source = SourceText(text)
    cursor = _cursor(source)
    try:
        tree = climb(cursor)
        _finish(cursor, tree, "end of expression")
    except DqlError as error:
        raise error.within(source) from None
    return tree


def _cursor(source: SourceText) -> Cursor:
    try:
        return Cursor(source, tokenize(source), climb)
    except DqlError as error:
        raise error.within(source) from None


def _finish(cursor: Cursor, tree: Statement | Expression, expected: str) -> None:
    """Check that nothing is left, and that a long chain of operators made no tree too high."""
    if cursor.word != END:
        raise cursor.unexpected_error(expected)
    if cursor.deepest + cursor.operators > NESTING_LIMIT:
        node = deeper_than(tree, NESTING_LIMIT + 1)
        if node is not None:
            raise cursor.too_deep(node.span)


__all__ = ["NESTING_LIMIT", "PARAMETER_LIMIT", "ParsedStatement", "parse", "parse_expression"]
