# SPDX-License-Identifier: Apache-2.0
"""
Read access for the rules to the values of a file that may violate the schema.

Rules run even if the file violates the schema, so that all problems are reported at once.  A value
that already has a problem reads as absent, so that no rule reports it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import field, frozen

from edge_twisted.config.checks import Checks, QueryProblem
from edge_twisted.config.paths import PathContext
from edge_twisted.config.problems import KeyPath
from edge_twisted.config.reporter import Reporter
from edge_twisted.config.yaml.nodes import Plain, Scalar, YamlDocument
from edge_twisted.config.yaml.places import locate

_NOTHING: Final[Mapping[str, Plain]] = {}


@frozen(kw_only=True)
class ConfigView:
    """Values of a file for the rules, and their way to report problems."""

    document: YamlDocument
    data: Plain = field(repr=False)
    lines: Sequence[str] = field(repr=False)
    reporter: Reporter
    context: PathContext
    checks: Checks

    def value(self, *path: str | int) -> Plain:
        """Return the value at `path`, None if it is absent or already has a problem."""
        value = self.data
        for step in path:
            if isinstance(value, dict) and isinstance(step, str):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int):
                value = value[step]
            else:
                return None
        return value if self.reporter.is_clean(path) or isinstance(value, dict | list) else None

    def text(self, *path: str | int) -> str | None:
        """Return the text at `path`, None if there is no valid one."""
        value = self.value(*path)
        return value if isinstance(value, str) else None

    def mapping(self, *path: str | int) -> Mapping[str, Plain]:
        """Return the object at `path`, else an empty one; parts of it may have problems."""
        value = self.value(*path)
        return value if isinstance(value, dict) else _NOTHING

    def items(self, *path: str | int) -> Sequence[Plain]:
        """Return the list at `path`, else an empty one; parts of it may have problems."""
        value = self.value(*path)
        return value if isinstance(value, list) else ()

    # -- reports

    def problem(self, path: KeyPath, what: str, right: str) -> None:
        """Report an error in the value at `path`: what is wrong, and what would be right."""
        self.reporter.problem(path, self.document.value_position(path), what, right)

    def wrong_key(self, path: KeyPath, what: str, right: str) -> None:
        """Report that the key at `path` should not be there: what is wrong, what would be right."""
        self.reporter.problem(path, self.document.key_position(path), what, right)

    def warning(self, path: KeyPath, what: str, right: str) -> None:
        """Report a warning about the value at `path`: what is wrong, and what would be right."""
        self.reporter.warning(path, self.document.value_position(path), what, right)

    def old_spelling(self, path: KeyPath, new: str) -> None:
        """Warn that the key at `path` is deprecated in favour of `new`."""
        position = self.document.key_position(path)
        self.reporter.warning(path, position, "is deprecated", f"write {new} instead")

    def queries(self, path: KeyPath, problems: Sequence[QueryProblem], right: str) -> None:
        """
        Report each of the problems inside the DQL text at `path`, at its own line and column.

        :param right: what would be right, the same for all problems.
        """
        node = self.document.node(path)
        for each in problems:
            position = None
            if isinstance(node, Scalar):
                position = locate(node, self.lines, each.line, each.column)
            what = each.reason
            if position is None:
                position = self.document.value_position(path)
                what += f" (line {each.line}, column {each.column} of the text)"
            self.reporter.problem(path, position, what, right)
