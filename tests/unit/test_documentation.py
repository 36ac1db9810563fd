# SPDX-License-Identifier: Apache-2.0
"""What users meet is documented: configuration keys, error codes, routes, metrics, commands."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import edge_twisted
from bench.table import table
from edge_twisted.api.metrics import Metrics
from edge_twisted.cli.main import COMMANDS
from edge_twisted.config.reference import paths, reference
from edge_twisted.config.schema import schema
from edge_twisted.errors import EdgeError

DOCS = Path(__file__).parents[2] / "docs"
#: Bases that only group other errors, and never reach anybody themselves.
GROUPING = {"error"}


@cache
def pages() -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md")))


def test_the_configuration_page_is_made_from_the_schema() -> None:
    """``python -m edge_twisted.config.reference > docs/configuration.md`` mends it."""
    assert (DOCS / "configuration.md").read_text("utf-8") == reference(schema())


def test_every_key_is_on_it() -> None:
    page = (DOCS / "configuration.md").read_text("utf-8")
    found = list(paths(schema()))
    assert len(found) > 100
    assert [path for path in found if f"| `{path}` |" not in page] == []


def test_the_performance_page_shows_the_kept_figures() -> None:
    """``python -m bench.table`` mends it."""
    assert table() in (DOCS / "performance.md").read_text("utf-8")


def errors() -> Iterator[type[EdgeError]]:
    for module in pkgutil.walk_packages(edge_twisted.__path__, "edge_twisted."):
        if not module.name.startswith("edge_twisted.cli"):
            importlib.import_module(module.name)
    waiting = [EdgeError]
    while waiting:
        each = waiting.pop()
        waiting.extend(each.__subclasses__())
        if each.__module__.startswith("edge_twisted."):
            yield each


def test_every_error_code_is_documented() -> None:
    codes = {each.code for each in errors()} - GROUPING
    assert len(codes) > 50
    assert sorted(code for code in codes if f"`{code}`" not in pages()) == []


def test_every_metric_is_documented() -> None:
    families = [each.name for each in Metrics().registry.collect()]
    ours = [name for name in families if name.startswith("edge_")]
    assert ours
    assert [name for name in ours if name not in pages()] == []


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_documented(command: str) -> None:
    assert f"edge-server {command}" in pages()


def test_the_production_checklist_names_settings_that_exist() -> None:
    page = (DOCS / "security.md").read_text("utf-8").partition("## Production checklist")[2]
    named = set(re.findall(r"`((?:database|http_server|auth|logging)\.[\w.\[\]]+)`", page))
    assert len(named) > 15
    assert named - set(paths(schema())) == set()
