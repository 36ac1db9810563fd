# SPDX-License-Identifier: Apache-2.0
"""
``regexp_like``: regular expressions in the syntax of RE2, found anywhere in the text.

Flags: ``i`` ignores case, ``c`` does not (the later one wins), ``m`` lets ``^`` and ``$`` match
at lines, ``s`` lets ``.`` match a newline, ``x`` ignores white space and ``#`` comments in the
pattern.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from edge_twisted.documents.values import Operand
from edge_twisted.dql.errors import EvaluationError
from edge_twisted.dql.patterns.engine import (
    CACHED_PATTERNS,
    Matcher,
    check_length,
    compile_expression,
)
from edge_twisted.dql.propagation import propagate

_KIND: Final = "regular expression"
_FLAGS: Final = "icmsx"

#: What ``x`` keeps: escaped characters, quoted texts and sets; and what it drops.
_VERBOSE: Final = re.compile(
    r"""
    (?P<kept>
        \\Q .*? (?: \\E | \Z )
      | \\ .
      | \[ \^? \]? (?: \[:\^?[a-z]+:\] | \\. | [^\]\\] )*+ \]?
    )
    | \s+
    | \# [^\n]*
    """,
    re.DOTALL | re.VERBOSE,
)


def regexp_like(value: Operand, pattern: Operand, *flags: Operand) -> Operand:
    """
    Return whether the regular expression ``pattern`` matches somewhere in ``value``.

    NULL or MISSING if one is no string.

    :param flags: strings of the letters that `compile_regexp` takes.
    :raises EvaluationError: as `compile_regexp`.
    """
    if type(value) is str and type(pattern) is str:
        if not flags:
            return compile_regexp(pattern)(value)
        letters = [letter for letter in flags if type(letter) is str]
        if len(letters) == len(flags):
            return compile_regexp(pattern, "".join(letters))(value)
    return propagate(value, pattern, *flags)


@lru_cache(maxsize=CACHED_PATTERNS)
def compile_regexp(pattern: str, flags: str = "") -> Matcher:
    """
    Return the function of a text that tells whether a regular expression matches in it.

    :param flags: any of the letters i, c, m, s and x.
    :raises EvaluationError: pattern or flags are invalid, or the pattern is too long.
    """
    check_length(pattern, _KIND)
    check_length(flags, "list of flags")
    for flag in flags:
        if flag not in _FLAGS:
            raise EvaluationError(
                f"unknown flag '{flag}' of a regular expression: the flags are i, c, m, s and x"
            )
    ignore_case = flags.rfind("i") > flags.rfind("c")
    prefix = "i" * ignore_case + "".join(flag for flag in "ms" if flag in flags)
    expression = _without_white_space(pattern) if "x" in flags else pattern
    if prefix:
        expression = f"(?{prefix}){expression}"
    return compile_expression(expression, pattern, _KIND, whole=False)


def _without_white_space(pattern: str) -> str:
    return _VERBOSE.sub(lambda found: found["kept"] or "", pattern)
