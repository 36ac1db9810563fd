# SPDX-License-Identifier: Apache-2.0
"""Collects the problems and warnings of one file, and sorts them by position."""

from __future__ import annotations

from edge_twisted.config.problems import MAX_PROBLEMS, ConfigProblem, FilePosition, KeyPath


class Reporter:
    """
    The problems and warnings of one file, each kept once.

    Reports after the first `MAX_PROBLEMS` are dropped, so that a hostile file cannot exhaust
    memory.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: dict[ConfigProblem, None] = {}
        self._paths: set[KeyPath] = set()
        #: The path of each problem, and all paths above it.
        self._above: set[KeyPath] = set()

    def problem(self, path: KeyPath, position: FilePosition | None, what: str, right: str) -> None:
        """
        Report an error, for which the file is refused.

        :param path: the keys that lead to the value; `position` is its place in the file, if known.
        :param what: what is wrong; `right` says what would be right.
        """
        if not self.is_full:
            self._paths.add(path)
            self._above.update(path[:length] for length in range(len(path) + 1))
        self._add(False, path, position, what, right)

    def warning(self, path: KeyPath, position: FilePosition | None, what: str, right: str) -> None:
        """Report a warning, with which the file is accepted; parameters as in `problem`."""
        self._add(True, path, position, what, right)

    def is_clean(self, path: KeyPath) -> bool:
        """Tell whether `path` has no error at, above or below it; warnings do not count."""
        if path in self._above:
            return False
        return not any(path[:length] in self._paths for length in range(len(path)))

    @property
    def is_full(self) -> bool:
        """Whether `MAX_PROBLEMS` were reported, so that further reports are dropped."""
        return len(self._found) >= MAX_PROBLEMS

    @property
    def problems(self) -> tuple[ConfigProblem, ...]:
        """The errors reported, in file order, and a last one that says if others were dropped."""
        found = self._sorted(is_warning=False)
        if not found or not self.is_full:
            return found
        more = ConfigProblem(
            file=self._file,
            position=None,
            path=(),
            what=f"further problems than these {MAX_PROBLEMS} are not shown",
            right="mend these first",
        )
        return (*found, more)

    @property
    def warnings(self) -> tuple[ConfigProblem, ...]:
        """The warnings reported, in file order."""
        return self._sorted(is_warning=True)

    def _add(
        self, is_warning: bool, path: KeyPath, position: FilePosition | None, what: str, right: str
    ) -> None:
        if self.is_full:
            return
        problem = ConfigProblem(
            file=self._file,
            position=position,
            path=path,
            what=what,
            right=right,
            is_warning=is_warning,
        )
        self._found.setdefault(problem)

    def _sorted(self, *, is_warning: bool) -> tuple[ConfigProblem, ...]:
        chosen = (each for each in self._found if each.is_warning == is_warning)
        return tuple(sorted(chosen, key=lambda each: each.position or FilePosition(0, 0)))
