# SPDX-License-Identifier: Apache-2.0
"""
The lexer: from text to tokens, by one regular expression that matches any token.

Its quantifiers are possessive where they could backtrack, so any text takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final

from edge_twisted.dql.errors import LexicalError
from edge_twisted.dql.literals import decode_number, decode_string
from edge_twisted.dql.source import SourceText, Span
from edge_twisted.dql.tokens import BARE_NAME, END, NAME, NUMBER, STRING, DirectiveComment, Tokens

#: Statements are typed or made from templates; data belongs into arguments.
TEXT_LIMIT_BYTES: Final = 1_048_576
#: As many tokens are parsed in well under a second; only texts of tiny tokens have more.
TOKEN_LIMIT: Final = 300_000
#: The most comments that `first_word_of` skips.
_LEADING_COMMENTS: Final = 100

_TOKEN: Final = re.compile(
    rf"""
    (?: (?P<word> {BARE_NAME} )
      | (?P<comment> --(?!\+)[^\n]*+ | /\*(?!\+) .*? \*/ )
      | (?P<directive> --\+[^\n]*+ | /\*\+ .*? \*/ )
      | (?P<open_comment> /\* )
      | (?P<symbol> \|\| | << | >> | <= | >= | <> | != | == | -> | [-+*/%=<>(){{}}\[\],.:;] )
      | (?P<string> '(?: [^'\\]++ | \\. | '' )*+' | "(?: [^"\\]++ | \\. )*+" )
      | (?P<number> (?: 0[xX][0-9a-fA-F]++ | [0-9]++ (?: \.[0-9]++ )? (?: [eE][+-]?[0-9]++ )? )
                    (?! [A-Za-z0-9_] ) )
      | (?P<name> `(?: [^`]++ | `` )*+` )
      | (?P<space> [ \t\r\n\f\v] )
      | (?P<stray> . )
    )
    [ \t\r\n\f\v]*+
    """,
    re.VERBOSE | re.DOTALL,
)

#: Unfinished tokens, by the character that they begin with.
_UNFINISHED: Final = {
    "'": "unterminated string",
    '"': "unterminated string",
    "`": "unterminated quoted name",
}


def source_of(text: str | bytes) -> SourceText:
    """
    Return the source text of a statement; bytes must be UTF-8.

    :raises LexicalError: the bytes are not UTF-8; the error has the position.
    """
    if isinstance(text, str):
        return SourceText(text)
    try:
        return SourceText(text.decode())
    except UnicodeDecodeError as error:
        readable = text[: error.start].decode()
        place = len(readable), len(readable) + 1
        raise LexicalError("not valid UTF-8", place, SourceText(readable)) from None


def tokenize(source: SourceText) -> Tokens:
    """
    Return the tokens of a statement in the order of the text, and `END` after them.

    :raises LexicalError: the text is too long, or has a character that begins no token; the error
        has the position.
    """
    text = source.text
    _check_text(text)
    tokens = Tokens([], [], [], [], {})
    matches = _TOKEN.finditer(text)
    _add_tokens(tokens, islice(matches, TOKEN_LIMIT))
    for match in matches:
        raise _too_many(match.start())
    # Three, so that the grammar may look ahead at the last token without a check.
    tokens.words.extend((END, END, END))
    tokens.values.append("")
    tokens.starts.append(len(text))
    tokens.ends.append(len(text))
    return tokens


def _add_tokens(tokens: Tokens, matches: Iterable[re.Match[str]]) -> None:
    add_word, add_value = tokens.words.append, tokens.values.append
    add_start, add_end = tokens.starts.append, tokens.ends.append
    for match in matches:
        group = match.lastgroup
        # Nine of ten tokens are words and symbols.
        if group == "word":
            piece = match[1]
            add_value(piece)
            add_word(piece.upper())
            start = match.start()
            add_start(start)
            add_end(start + len(piece))
            continue
        if group is None or group == "comment" or group == "space":
            continue
        start = match.start()
        piece = match[group]
        end = start + len(piece)
        if group == "directive":
            directives = tokens.directives.setdefault(len(tokens.words), [])
            directives.append(_directive(piece, (start, end)))
            continue
        add_start(start)
        add_end(end)
        if group == "symbol":
            add_word(piece)
            add_value(piece)
        elif group in _LITERALS:
            kind, decode = _LITERALS[group]
            add_word(kind)
            add_value(decode(piece, start))
        else:
            raise _stray(piece, (start, end))


def _unquote(piece: str, start: int) -> str:
    return piece[1:-1].replace("``", "`")


#: Kinds of token by group: what stands for the word, and the function from text and start to value.
_LITERALS: Final[Mapping[str, tuple[str, Callable[[str, int], str | int | float]]]] = {
    "string": (STRING, decode_string),
    "number": (NUMBER, decode_number),
    "name": (NAME, _unquote),
}


def first_word_of(text: str) -> str:
    """
    Return the first word of a statement after its comments, as it is written.

    Empty if something else comes first, or more than `_LEADING_COMMENTS` comments.
    """
    for match in islice(_TOKEN.finditer(text), _LEADING_COMMENTS):
        if match.lastgroup == "word":
            return match["word"]
        if match.lastgroup not in ("comment", "directive", "space"):
            break
    return ""


def _check_text(text: str) -> None:
    if text.isascii():
        length = len(text)
    else:
        try:
            length = len(text.encode())
        except UnicodeEncodeError as error:
            span = error.start, error.start + 1
            raise LexicalError("half of a surrogate pair stands alone", span) from None
    if length > TEXT_LIMIT_BYTES:
        message = f"a statement may be {TEXT_LIMIT_BYTES} bytes long, this one has {length}"
        raise LexicalError(message, (0, 1))


def _too_many(start: int) -> LexicalError:
    message = f"a statement may have {TOKEN_LIMIT} tokens; large data goes into arguments"
    return LexicalError(message, (start, start + 1))


def _directive(piece: str, span: Span) -> DirectiveComment:
    text = piece[3:].removesuffix("*/") if piece[0] == "/" else piece[3:]
    return DirectiveComment(text.strip(), span)


def _stray(piece: str, span: Span) -> LexicalError:
    if piece == "/*":
        message = "unterminated comment"
    elif piece.isdecimal() and piece.isascii():
        message = "malformed number"
    elif piece in _UNFINISHED:
        message = _UNFINISHED[piece]
    elif piece.isprintable():
        message = f"unexpected character {piece}"
        if piece.isalpha():
            message += ": a name that is not plain ASCII stands in backticks"
    else:
        message = f"unexpected character U+{ord(piece):04X}"
    return LexicalError(message, span)
