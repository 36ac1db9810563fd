# SPDX-License-Identifier: Apache-2.0
"""
Hard-wrap the prose of Markdown files at 100 characters; tables, code and headings stay.

Usage: ``python .ci/wrap.py FILE...``, or ``--check`` first to name the lines that are too long.
A paragraph whose lines all fit is left as its author broke it.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

WIDTH = 100
#: The first line of an item of a list: its bullet or number, then its text.
ITEM = re.compile(r"^( *)([-*+]|\d+\.) +")
#: What is never broken: tables, headings, comments, definitions of links.
FIXED = re.compile(r"^\s*(\||#|<!--|\[[^\]]+\]: )")


def blocks(text: str) -> Iterator[tuple[bool, list[str]]]:
    """Yield groups of lines, and whether each is prose; joined, they are the text again."""
    group: list[str] = []
    in_fence = in_list = False
    for line in text.splitlines():
        is_fence = line.lstrip().startswith("```")
        is_code = in_fence or is_fence or (line.startswith("    ") and not in_list)
        if is_fence:
            in_fence = not in_fence
        item = ITEM.match(line) is not None
        if is_code or not line.strip() or FIXED.match(line) or item:
            yield True, group
            group = []
        if is_code or not line.strip() or FIXED.match(line):
            in_list = in_list and (is_code or not line.strip())
            yield False, [line]
            continue
        in_list = item or (in_list and line.startswith(" "))
        group.append(line)
    yield True, group


def wrapped(text: str) -> str:
    """Return a text whose prose has no line beyond `WIDTH` that could be broken."""
    lines: list[str] = []
    for is_prose, group in blocks(text):
        if not is_prose or all(len(line) <= WIDTH for line in group):
            lines += group
            continue
        found = ITEM.match(group[0])
        first = found.group() if found else re.match(r" *", group[0])[0]  # type: ignore[index]
        joined = " ".join(line.strip() for line in group)[len(first.lstrip(" ")) :]
        # Code stays on one line, and is searched for so.
        joined = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", "\0"), joined)
        lines += textwrap.wrap(
            joined,
            WIDTH,
            initial_indent=first,
            subsequent_indent=" " * len(first),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines).replace("\0", " ") + "\n"


def main(arguments: list[str]) -> int:
    """Wrap the files, or with ``--check`` say which are not; return 1 if there are such."""
    check = "--check" in arguments
    bad = 0
    for path in (Path(each) for each in arguments if each != "--check"):
        text = path.read_text("utf-8")
        new = wrapped(text)
        if new != text:
            bad += 1
            if check:
                print(f"{path}: python .ci/wrap.py {path}")
            else:
                path.write_text(new, "utf-8")
    return bad > 0 if check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
