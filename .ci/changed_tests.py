# SPDX-License-Identifier: Apache-2.0
"""
Print the test files that are nearest to what changed, for ``nox -s quick``.

Usage: ``python .ci/changed_tests.py [COMMIT]``, from the top of a checkout.  What changed is what
differs from COMMIT (the commit where this branch left main, unless given), uncommitted and new
files included.  Near are changed test files, and test files that import a changed module or have
its name.  The nearest come first, then the tests of the house's rules.  At most `MOST_FILES` near
files are printed; standard error says how many more there are, for CI.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

#: Layering, sizes, documentation: what a change of any file can break.
ALWAYS = tuple(Path("tests/unit").glob("test_[!_]*.py"))
#: What runs within the minute that `quick` has; the nearest come first.
MOST_FILES = 25
#: Folders of tests that run for minutes.
LONG = ("tests/system/", "tests/simulation/")


def git(*arguments: str) -> list[str]:
    """Return the lines that git prints; none if it fails (no such commit)."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def changed(since: str | None) -> list[Path]:
    """Return the files that differ from a commit, and those that git does not know yet."""
    if since is None:
        [since] = git("merge-base", "HEAD", "main") or git("rev-parse", "HEAD")
    names = git("diff", "--name-only", since) + git("ls-files", "--others", "--exclude-standard")
    return [Path(name) for name in names if Path(name).exists()]


def module_of(path: Path) -> str:
    """Return the name by which a file is imported."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Return the modules, and the names in modules, that a test file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def near(files: list[Path]) -> list[Path]:
    """Return the test files near to changed files, the nearest first."""
    modules = {module_of(path) for path in files if path.suffix == ".py"}
    stems = {path.stem for path in files if path.suffix == ".py"}
    ranked: list[tuple[float, Path]] = []
    for path in Path("tests").rglob("test_*.py"):
        if path in ALWAYS or path.as_posix().startswith(LONG):
            continue
        if path in files:
            ranked.append((0, path))
        elif path.stem.removeprefix("test_") in stems:
            ranked.append((1, path))
        elif shared := len(imported(path) & modules):
            ranked.append((1 + 1 / shared, path))
    return [path for _, path in sorted(ranked)]


def main(arguments: list[str]) -> None:
    """Print the files, a line each; nothing if nothing changed."""
    files = changed(arguments[0] if arguments else None)
    if not files:
        return
    found = near(files)
    if left := found[MOST_FILES:]:
        print(f"left to CI: {len(left)} more test files", file=sys.stderr)
    for path in (*found[:MOST_FILES], *sorted(ALWAYS)):
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
