# SPDX-License-Identifier: Apache-2.0
"""Problems of a configuration file, and the error that has all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import ClassVar

from attrs import frozen

from edge_twisted.errors import Culprit, EdgeError

#: Path of a value in the file: keys and list indices from the top, ``()`` for the whole file.
KeyPath = tuple[str | int, ...]

#: Most characters of a quotation from the file, so that a problem fits a line.
MAX_QUOTED = 60
#: Most problems reported for one file, so that a hostile file cannot exhaust memory.
MAX_PROBLEMS = 1000

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_*-]+", re.ASCII)


@frozen(order=True)
class FilePosition:
    """Line and column in a text, both counted from 1, columns in characters."""

    line: int
    column: int


@frozen(kw_only=True)
class ConfigProblem:
    """
    One error in a configuration file, or one warning about it.

    ``str`` gives ``FILE:LINE:COLUMN: path.to.key: what is wrong; what would be right``, always one
    line.  `position` is None for a file that cannot be read at all; `right` is empty where `what`
    needs no remedy.
    """

    file: str
    position: FilePosition | None
    path: KeyPath
    what: str
    right: str
    is_warning: bool = False

    def __str__(self) -> str:
        where = f"{self.file}:"
        if self.position is not None:
            where += f"{self.position.line}:{self.position.column}:"
        if self.is_warning:
            where += " warning:"
        if self.path:
            where += f" {dotted(self.path)}:"
        return f"{where} {self.what}; {self.right}" if self.right else f"{where} {self.what}"


class ConfigurationError(EdgeError):
    """
    The configuration file cannot be used; nothing has been opened or created.

    `problems` has every error and `warnings` every warning, in file order.  The user has to mend
    the file; a process ends with `EXIT_STATUS`.
    """

    code = "bad_configuration"
    culprit = Culprit.OPERATOR
    #: EX_CONFIG of sysexits.h.
    EXIT_STATUS: ClassVar[int] = 78

    def __init__(
        self, problems: Iterable[ConfigProblem], warnings: Iterable[ConfigProblem] = ()
    ) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__(self.problems, self.warnings)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def dotted(path: KeyPath) -> str:
    """
    Return a key path as messages show it.

    Example: ``http_server.throttling.strategies[1].window_secs``.
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{quoted(step)}]"
    return text


def quoted(text: str) -> str:
    """Return `text` in double quotes, on one line, cut when it is long."""
    cut = text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 3] + "..."
    return json.dumps(cut, ensure_ascii=not cut.isprintable())
