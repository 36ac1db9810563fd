# SPDX-License-Identifier: Apache-2.0
"""The parser's cursor: a position in the tokens of a statement, with look-ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from attrs import define, field

from edge_twisted.dql.errors import ParseError, UnsupportedError
from edge_twisted.dql.source import SourceText, Span
from edge_twisted.dql.syntax import Expression
from edge_twisted.dql.tokens import (
    END,
    NAME,
    NEVER_A_BARE_ALIAS,
    RESERVED,
    STRING,
    DirectiveComment,
    Tokens,
)

T = TypeVar("T")

#: How deep a statement may be nested.  Three frames of Python's stack a level, so that even a
#: thread that is deep in other things has room.
NESTING_LIMIT: Final = 200
PARAMETER_LIMIT: Final = 10_000

#: Parse an expression of the operators that bind tighter than a precedence.
Climb: TypeAlias = Callable[["Cursor", int], Expression]


@define(eq=False)
class Cursor:
    """
    The current token, and what has been gathered from the statement so far.

    ``word`` is the current token's entry in `Tokens.words`, ``start`` the offset where it begins,
    ``end`` the offset where the token before it ended.  A rule of the grammar is a function of a
    cursor; it is called at the first token of its construct and leaves the cursor after the last.
    """

    source: SourceText
    tokens: Tokens
    #: The rule for expressions, which the rules of its parts need in turn.
    climb: Climb
    index: int = field(init=False, default=0)
    word: str = field(init=False)
    start: int = field(init=False)
    end: int = field(init=False, default=0)
    #: Expressions that enclose the current one, and the most that ever did.
    nesting: int = field(init=False, default=0)
    deepest: int = field(init=False, default=0)
    #: Operators applied so far; with ``deepest`` a bound on the tree's height.
    operators: int = field(init=False, default=0)
    #: Where each parameter is named first, in the order of the text.
    parameters: dict[str, Span] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self.word = self.tokens.words[0]
        self.start = self.tokens.starts[0]

    @property
    def value(self) -> str | int | float:
        """The value of the current token: of a literal or name, without quotes and escapes."""
        return self.tokens.values[self.index]

    @property
    def text(self) -> str:
        """The text of the current token, as the statement has it."""
        return self.source.text[self.start : self.tokens.ends[self.index]]

    @property
    def span(self) -> Span:
        """The span of the current token: its offsets in the text, the end exclusive."""
        return self.start, self.tokens.ends[self.index]

    # -- moving on

    def advance(self) -> None:
        """Go to the next token; never called at the end of the statement."""
        tokens = self.tokens
        self.end = tokens.ends[self.index]
        self.index = index = self.index + 1
        self.word = tokens.words[index]
        self.start = tokens.starts[index]

    def go(self, index: int) -> None:
        """Go forward to the token at ``index``, by one token at least."""
        tokens = self.tokens
        self.end = tokens.ends[index - 1]
        self.index = index
        self.word = tokens.words[index]
        self.start = tokens.starts[index]

    def accept(self, word: str) -> bool:
        """
        Skip the current token if it is ``word``; return whether it was.

        :param word: a keyword in capitals, or a symbol.
        """
        if self.word != word:
            return False
        tokens, index = self.tokens, self.index
        self.end = tokens.ends[index]
        self.index = index = index + 1
        self.word = tokens.words[index]
        self.start = tokens.starts[index]
        return True

    def expect(self, word: str) -> None:
        """
        Skip the current token, which must be ``word``.

        :param word: a keyword in capitals, or a symbol.
        :raises ParseError: the current token is another one.
        """
        if self.word != word:
            raise self.unexpected_error(word)
        tokens, index = self.tokens, self.index
        self.end = tokens.ends[index]
        self.index = index = index + 1
        self.word = tokens.words[index]
        self.start = tokens.starts[index]

    def expect_all(self, *words: str) -> None:
        """
        Skip several tokens in a row, which must be ``words``.

        :raises ParseError: a token is another one.
        """
        for word in words:
            self.expect(word)

    def read_list(self, rule: Callable[[Cursor], T]) -> list[T]:
        """
        Read one part or more by ``rule``, with commas between them.

        :raises DqlError: ``rule`` raises it.
        """
        found = [rule(self)]
        while self.accept(","):
            found.append(rule(self))
        return found

    def read_expressions(self) -> list[Expression]:
        """
        Read one expression or more, with commas between them.

        :raises DqlError: there is no expression at the cursor, or after a comma.
        """
        return self.read_list(lambda cursor: cursor.climb(cursor, 0))

    def peek(self, distance: int = 1) -> str:
        """Return the word of a token after the current one, at most two after it."""
        return self.tokens.words[self.index + distance]

    def enter(self) -> None:
        """
        Count one more level of nesting; the caller subtracts 1 from ``nesting`` when it leaves.

        :raises ParseError: the statement is nested too deep.
        """
        self.nesting += 1
        if self.nesting > self.deepest:
            self.deepen()

    def deepen(self) -> None:
        """
        Record a new maximum of ``nesting``.

        :raises ParseError: the statement is nested too deep.
        """
        self.deepest = self.nesting
        # The outermost expression is not nested in anything.
        if self.nesting > NESTING_LIMIT + 1:
            raise self.too_deep()

    # -- names

    @property
    def at_identifier(self) -> bool:
        """Whether the current token may be read as a name."""
        word = self.word
        return word == NAME or (word not in RESERVED and word.isidentifier())

    def identifier(self, what: str = "identifier") -> str:
        """
        Read a name, and return it without backticks.

        :param what: what messages call the name.
        :raises ParseError: the current token is a reserved word, or no name at all.
        """
        word = self.word
        if word != NAME and (word in RESERVED or not word.isidentifier()):
            raise self.unexpected_error(what)
        # `advance`, written out: most of what a statement holds are names.
        tokens, index = self.tokens, self.index
        name = str(tokens.values[index])
        self.end = tokens.ends[index]
        self.index = index = index + 1
        self.word = tokens.words[index]
        self.start = tokens.starts[index]
        return name

    def read_name(self, what: str) -> str:
        """
        Read a name that may not be empty, and return it without backticks.

        :param what: what messages call the name.
        :raises ParseError: the name is empty, or there is none.
        """
        span = self.span
        name = self.identifier(what)
        if not name:
            raise self.error(f"empty name, expected {what}", span)
        return name

    def alias(self) -> str | None:
        """
        Read ``[AS] name`` and return the name; None if there is no alias.

        :raises ParseError: no name comes after AS.
        """
        word = self.word
        if word == "AS":
            self.advance()
            return self.identifier()
        if word != NAME and (word in NEVER_A_BARE_ALIAS or not word.isidentifier()):
            return None
        return self.identifier()

    def string(self, what: str) -> str:
        """
        Read a string literal, and return its value.

        :param what: what messages call the string.
        :raises ParseError: the current token is no string.
        """
        if self.word != STRING:
            raise self.unexpected_error(what)
        text = str(self.value)
        self.advance()
        return text

    # -- directives

    def directives(self) -> list[DirectiveComment]:
        """Return the directive comments right before the current token."""
        return self.tokens.directives.get(self.index, [])

    # -- spans and errors

    def since(self, start: int) -> Span:
        """Return the span from the offset ``start`` to the end of the last token read."""
        return start, self.end

    def error(self, message: str, span: Span | None = None) -> ParseError:
        """Return, for the caller to raise, an error at ``span``, or at the current token."""
        return ParseError(message, span or self.span, self.source)

    def unsupported_error(self, what: str, span: Span | None = None) -> UnsupportedError:
        """
        Return, for the caller to raise, the error for DQL that this server does not support.

        :param what: the beginning of the message, such as ``"a subquery is"``.
        """
        message = f"{what} not supported"
        return UnsupportedError(message, span or self.span, self.source)

    def too_deep(self, span: Span | None = None) -> ParseError:
        """Return, for the caller to raise, the error for too many levels of nesting."""
        return self.error(f"the statement is nested more than {NESTING_LIMIT} levels deep", span)

    def unexpected_error(self, expected: str) -> ParseError:
        """
        Return, for the caller to raise, the error of a token that stands in a wrong place.

        :param expected: what should be in place of the current token.
        """
        if self.word == END:
            return self.error(f"Unexpected end of statement, expected {expected}")
        shown = self.text
        message = f"Unexpected token {shown}, expected {expected}"
        if self.word in RESERVED and expected == "identifier":
            message += " (a reserved word is a name only in backticks)"
        return self.error(message)
