# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for configuration files: texts that are almost right, and damage."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

#: What has a meaning in YAML, or is near to what has one.
TOKENS = (
    ": ", ":\n", "- ", "\n", "\n  ", "\n    ", "[", "]", "{", "}", ", ", "&a ", "*a", "<<: *a",
    "!x ",
    "!!int ", "---\n", "...\n", "|\n", ">-\n", "'", '"', "# ", "? ", "\t", "%YAML 1.2\n", "\r\n",
    "~",
    "null", "true", "0", "-1", "1e999", ".nan", "0x1F", "\\", "\ufeff", "\u2028", "\x00", "é", "@",
)  # fmt: skip


def token_soups() -> st.SearchStrategy[str]:
    """Texts of tokens of YAML in any order."""
    parts = st.sampled_from(TOKENS) | st.text("ab \n:-#", max_size=5)
    return st.lists(parts, max_size=40).map("".join)


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """`text` with some pieces cut out, doubled, moved or replaced by tokens of YAML."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        piece = text[start:end]
        new = draw(st.sampled_from(TOKENS) | st.sampled_from(("", piece * 2, piece[::-1])))
        text = text[:start] + new + text[end:]
    return text


@st.composite
def moved_lines(draw: st.DrawFn, text: str) -> str:
    """`text` with lines deleted, doubled, swapped or indented differently."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        if not lines:
            break
        index = draw(st.integers(0, len(lines) - 1))
        other = draw(st.integers(0, len(lines) - 1))
        line = lines[index]
        choices: Sequence[Sequence[str]] = ((), (line, line), (lines[other],), (f"  {line}",))
        lines[index : index + 1] = draw(st.sampled_from(choices))
    return "\n".join(lines)
