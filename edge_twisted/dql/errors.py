# SPDX-License-Identifier: Apache-2.0
"""
Errors in statements: one class for each phase.

The client can correct each of them in the statement or its arguments.  Where the reference
documents a wording, ``message`` has exactly that.
"""

from __future__ import annotations

from typing import ClassVar, Self

from edge_twisted.dql.source import SourcePosition, SourceText, Span
from edge_twisted.errors import Culprit, EdgeError


class DqlError(EdgeError):
    """
    An error in a statement; its ``str`` has the message and the position.

    ``span`` is the position in ``source``.  Either may be None at first; callers that know them add
    them (`at`, `within`) as the error propagates.
    """

    culprit = Culprit.CALLER

    #: The beginning of the error's text.
    phase: ClassVar[str] = "error"

    def __init__(
        self, message: str, span: Span | None = None, source: SourceText | None = None
    ) -> None:
        super().__init__(message, span, source)
        self.message = message
        self.span = span
        self.source = source

    def at(self, span: Span) -> Self:
        """Set the span of the cause, unless one nearer to the cause is known; return this error."""
        if self.span is None:
            self.span = span
        return self

    def within(self, source: SourceText) -> Self:
        """Set the source text of the statement, unless it is known; return this error."""
        if self.source is None:
            self.source = source
        return self

    @property
    def position(self) -> SourcePosition | None:
        """Line, column and snippet of the cause; None unless span and source are known."""
        if self.span is None or self.source is None:
            return None
        return self.source.position(self.span)

    def __str__(self) -> str:
        text = f"DQL {self.phase} error: {self.message}"
        position = self.position
        if position is None or self.span is None or self.source is None:
            return text
        near = self.source.near(self.span)
        where = f' near "{near}"' if near else ""
        return f"{text} at line {position.line} column {position.column}{where}"


class LexicalError(DqlError):
    """The text cannot be divided into tokens: a stray character, an unterminated string."""

    code = "query_lexical"
    phase = "lexer"


class ParseError(DqlError):
    """The tokens form no statement, or a limit of the language's text is exceeded."""

    code = "query_syntax"
    phase = "parser"


class SemanticError(DqlError):
    """The statement is well-formed but has no meaning: an unknown function, a misused group."""

    code = "query_invalid"
    phase = "compile"


class ArgumentError(DqlError):
    """The arguments do not fit the statement: one is missing, unused, or of a wrong kind."""

    code = "query_arguments_invalid"
    phase = "argument"


class EvaluationError(DqlError):
    """The statement failed on a value: a bad pattern, an oversized result."""

    code = "query_evaluation"
    phase = "evaluation"


class UnsupportedError(DqlError):
    """The statement is valid DQL that this server does not support."""

    code = "query_unsupported"
    phase = "unsupported"


class TransactionFailed(EdgeError):
    """One statement of a transaction failed, and nothing of the transaction was stored."""

    code: ClassVar[str] = "transaction_failed"
    culprit = Culprit.CALLER

    def __init__(self, index: int, cause: Exception) -> None:
        super().__init__(index, cause)
        #: Which statement, from 0.
        self.index = index
        self.cause = cause

    def __str__(self) -> str:
        return f"statement {self.index}: {self.cause}"
