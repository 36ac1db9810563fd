# SPDX-License-Identifier: Apache-2.0
"""The configurations in etc/ load once their placeholders are filled in."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_twisted.config.checks import Checks
from edge_twisted.config.load import load
from edge_twisted.config.model import FineGrained

ETC = Path(__file__).parents[3] / "etc"


@pytest.mark.parametrize("path", sorted(ETC.glob("*.yaml")), ids=lambda path: path.name)
def test_it_loads(path: Path) -> None:
    loaded = load(path, {}, Checks())
    assert not [str(each) for each in loaded.warnings]
    assert loaded.configuration.http_server is not None


def test_production_grants_as_little_as_it_says() -> None:
    auth = load(ETC / "production.yaml", {}, Checks()).configuration.auth
    assert auth is not None
    [metrics] = [each for each in auth.identities if each.id == "prometheus"]
    assert metrics.permissions == (FineGrained(endpoints=("metrics",)),)
