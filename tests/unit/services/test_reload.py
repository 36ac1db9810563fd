# SPDX-License-Identifier: Apache-2.0
"""Reload is all or nothing, and says what it could not change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
from attrs import define, evolve, field
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from edge_twisted.config.model import Configuration, DatabaseConfig, Secret, SmallPeerOnly
from edge_twisted.errors import EdgeError
from edge_twisted.services.reload import Reloader

OLD = Configuration(
    path=Path("/etc/edge.yaml"),
    database=DatabaseConfig(
        db_id="12345678-1234-4123-1234-123456789012",
        device_name="till-1",
        auth=SmallPeerOnly(offline_license_token=Secret("token")),
        persistence_dir=Path("/var/lib/edge"),
    ),
    http_server=None,
    auth=None,
)
NEW = evolve(OLD, path=Path("/etc/new.yaml"))


@define
class Part:
    problems: Sequence[str] = ()
    restart: Sequence[str] = ()
    committed: list[Configuration] = field(factory=list)

    def verify(self, new: Configuration) -> Sequence[str]:
        return self.problems

    def commit(self, new: Configuration) -> Sequence[str]:
        self.committed.append(new)
        return self.restart


class Broken(EdgeError):
    def __str__(self) -> str:
        return "edge.yaml:1:1: a: is wrong; b\nedge.yaml:2:1: c: is wrong; d"


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []
    observer = cast(ILogObserver, events.append)
    globalLogPublisher.addObserver(observer)
    yield events
    globalLogPublisher.removeObserver(observer)


def test_all_commit_when_all_verify() -> None:
    parts = [Part(restart=["database.db_id"]), Part(restart=["database.db_id", "logging"])]
    outcome = Reloader(lambda: NEW, parts).reload()
    assert outcome.applied
    assert outcome.needs_restart == ("database.db_id", "logging")
    assert [part.committed for part in parts] == [[NEW], [NEW]]


def test_one_refusal_and_nothing_changes(logged: list[LogEvent]) -> None:
    parts = [Part(), Part(problems=["no such folder"]), Part(problems=["nor this"])]
    outcome = Reloader(lambda: NEW, parts).reload()
    assert not outcome.applied
    assert outcome.problems == ("no such folder", "nor this"), "all problems at once"
    assert all(not part.committed for part in parts)
    assert [event.get("problem") for event in logged] == ["no such folder", "nor this"]


def test_an_invalid_file_changes_nothing() -> None:
    def load() -> Configuration:
        raise Broken

    part = Part()
    outcome = Reloader(load, [part]).reload()
    assert len(outcome.problems) == 2
    assert not part.committed
