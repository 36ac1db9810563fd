# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a configuration file: one `ConfigProblem` a line, all of them in one error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import ClassVar

from attrs import frozen

from edge_twisted.errors import EdgeError

#: Where a value stands in the file: keys and list indices from the top, ``()`` for the whole file.
KeyPath = tuple[str | int, ...]

#: What is quoted from the file is cut to this many characters, so that a problem stays a line.
MAX_QUOTED = 60
#: A file has no more problems than this reported, so that a flood of them stays bounded.
MAX_PROBLEMS = 1000

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_*-]+", re.ASCII)


@frozen(order=True)
class FilePosition:
    """A place in a text; line and column count characters from 1."""

    line: int
    column: int


@frozen(kw_only=True)
class ConfigProblem:
    """
    One thing that is wrong, or a warning.

    ``str`` of it is ``FILE:LINE:COLUMN: path.to.key: what is wrong; what would be right``, in one
    line whatever is in the file.  `position` is None for a file that cannot be read at all;
    `right` is empty where `what` says it all.
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
    The file cannot be used; nothing has been opened or made.

    `problems` has all that is wrong in file order, `warnings` what is merely doubtful.  The user
    has to mend the file; a process ends with `EXIT_STATUS`.
    """

    code = "bad_configuration"
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
    """Return `path` as messages have it: ``http_server.throttling.strategies[1].window_secs``."""
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
