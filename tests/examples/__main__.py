# SPDX-License-Identifier: Apache-2.0
"""Writes the examples into the decisions."""

from __future__ import annotations

from tests.examples.documents import EXAMPLES, with_example

for path, example in EXAMPLES.items():
    path.write_text(with_example(path.read_text("utf-8"), example()), "utf-8")
