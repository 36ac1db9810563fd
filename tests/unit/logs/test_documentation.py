# SPDX-License-Identifier: Apache-2.0
"""What scripts may rely on is in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_twisted.config.model import Level
from edge_twisted.logs.audit import AuditEvent
from edge_twisted.logs.fields import PUBLISHED
from edge_twisted.logs.redaction import MIN_SECRET_LENGTH

#: However its lines are wrapped.
TEXT = " ".join((Path(__file__).parents[3] / "docs" / "logging.md").read_text("utf-8").split())
NAMES = [*PUBLISHED, *(event.value for event in AuditEvent), *(level.value for level in Level)]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_published_name_is_documented(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_the_bound_for_secrets_is_documented() -> None:
    assert MIN_SECRET_LENGTH == 6 and "shorter than six characters" in TEXT
