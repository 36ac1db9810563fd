# SPDX-License-Identifier: Apache-2.0
"""The worked examples of the decisions are what the code does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.documents import EXAMPLES, with_example


@pytest.mark.parametrize(
    ("path", "example"), EXAMPLES.items(), ids=[path.stem for path in EXAMPLES]
)
def test_it_is_what_the_code_does(path: Path, example: Callable[[], str]) -> None:
    """``python -m tests.examples`` mends it; read afterwards whether the text still fits."""
    text = path.read_text("utf-8")
    assert with_example(text, example()) == text
