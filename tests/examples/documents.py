# SPDX-License-Identifier: Apache-2.0
"""Which document has which example, and where in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.examples import document_state, sync

DECISIONS = Path(__file__).parents[2] / "docs" / "decisions"
EXAMPLES: Mapping[Path, Callable[[], str]] = {
    DECISIONS / "0001-document-state.md": document_state.text,
    DECISIONS / "0009-mesh-sync.md": sync.text,
}
_PLACE = re.compile(
    r"(?<=^<!-- example: python -m tests\.examples -->\n```text\n).*?(?=^```$)", re.M | re.S
)


def with_example(document: str, example: str) -> str:
    """Return a document with the example in its place, which is a code block after a comment."""
    found, count = _PLACE.subn(lambda _: example, document)
    assert count == 1, "no place for the example"
    return found
