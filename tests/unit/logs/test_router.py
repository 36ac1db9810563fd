# SPDX-License-Identifier: Apache-2.0
"""Who gets which line, on which thread, and what a broken output costs the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field
from twisted.logger import Logger

from edge_twisted.config.model import Level, Logging
from edge_twisted.logs.levels import RANK, Levels, Part, part_of
from edge_twisted.logs.redaction import Redactor
from edge_twisted.logs.router import MAX_LINES_ABOUT_A_LINE, LogRouter, OutputRoute

EDGE, DATA = "edge_twisted.api.site", "edge_twisted.store.sqlite.writer"
ALL = {Part.EDGE_SERVER: 0, Part.DATA: 0}


@define
class Kept:
    """An output that keeps its lines, after doing `first`."""

    first: Callable[[], object] = lambda: None
    lines: list[dict[str, Any]] = field(factory=list)

    def write(self, line: bytes) -> None:
        self.first()
        self.lines.append(json.loads(line))

    @property
    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines]


def fail() -> None:
    raise RuntimeError("broken")


def router_to(*outputs: Kept) -> LogRouter:
    router = LogRouter(Redactor(), call_from_thread=lambda function: function())
    router.use(
        [OutputRoute(name=f"o{i}", output=output, ranks=ALL) for i, output in enumerate(outputs)]
    )
    return router


def logger(router: LogRouter, namespace: str = EDGE) -> Logger:
    return Logger(namespace=namespace, observer=router)


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize(("namespace", "part"), [(EDGE, Part.EDGE_SERVER), (DATA, Part.DATA)])
def test_each_part_has_its_level(level: Level, namespace: str, part: Part) -> None:
    output = Kept()
    router = LogRouter(Redactor(), call_from_thread=lambda function: function())
    router.use([OutputRoute(name="o", output=output, ranks={part: RANK[level]})])
    for each in (EDGE, DATA):
        log = logger(router, each)
        log.debug("verbose", log_verbose=True)
        log.debug("debug")
        log.info("info")
        log.warn("warning")
        log.error("error")
        log.critical("critical")
    names = ["verbose", "debug", "info", "warning", "error", "critical"]
    expected = names[names.index(level.value) :]
    assert output.messages == expected
    assert [line["level"] for line in output.lines] == expected
    assert {line["logger"] for line in output.lines} == {namespace}


def test_parts_go_by_namespace() -> None:
    for room in ("store", "database", "dql", "documents", "mesh", "replication"):
        assert part_of(f"edge_twisted.{room}") is Part.DATA
        assert part_of(f"edge_twisted.{room}.deep.Class") is Part.DATA
    for other in ("edge_twisted.storefront", "edge_twisted.api", "twisted.internet", "", "mesh"):
        assert part_of(other) is Part.EDGE_SERVER


def test_levels_tell_what_is_shown() -> None:
    levels = Levels(Logging(level=Level.DEBUG))
    assert levels.shows(Part.EDGE_SERVER, Level.DEBUG)
    assert not levels.shows(Part.EDGE_SERVER, Level.VERBOSE)
    assert not levels.shows(Part.DATA, Level.INFO)
    levels.apply(Logging(ditto_sdk=Level.VERBOSE))
    assert levels.shows(Part.DATA, Level.VERBOSE)
    assert not levels.shows(Part.EDGE_SERVER, Level.DEBUG)


def test_a_broken_output_does_not_hurt_the_others_and_is_told_once() -> None:
    broken, healthy, other = Kept(fail), Kept(), Kept()
    log = logger(router_to(healthy, broken, other))
    log.info("one")
    log.info("two")
    told = "The log output o1 failed and lost a line"
    assert healthy.messages == other.messages == ["one", told, "two"]
    assert "RuntimeError: broken" in healthy.lines[1]["failure"]
    broken.first = lambda: None
    log.info("three")
    broken.first = fail
    log.info("four")
    assert broken.messages == ["three"]
    assert healthy.messages[3:] == ["three", "four", told]


def test_outputs_that_are_all_broken_end_quietly() -> None:
    log = logger(router_to(Kept(fail), Kept(fail)))
    log.info("one")
    log.info("two")


def test_an_output_is_not_entered_twice() -> None:
    depth: list[int] = [0]
    said: list[bool] = []

    def talk() -> None:
        depth[0] += 1
        assert depth[0] == 1
        if not said:
            said.append(True)
            log.warn("about it")
        depth[0] -= 1

    talkative, other = Kept(talk), Kept()
    log = logger(router_to(talkative, other))
    log.info("one")
    log.info("two")
    assert talkative.messages == other.messages == ["one", "about it", "two"]


def test_an_output_that_talks_about_every_line_is_stopped() -> None:
    talkative = Kept(lambda: log.warn("about it"))
    log = logger(router_to(talkative))
    log.info("one")
    assert len(talkative.lines) == MAX_LINES_ABOUT_A_LINE
    log.info("two")
    assert talkative.messages[MAX_LINES_ABOUT_A_LINE] == "two"


def test_a_line_from_another_thread_is_rendered_there_and_written_here() -> None:
    calls: list[Callable[[], None]] = []
    output = Kept()
    router = LogRouter(Redactor(), call_from_thread=calls.append, on_reactor_thread=lambda: False)
    router.use([OutputRoute(name="o", output=output, ranks=ALL)])
    things = ["a"]
    logger(router).info("{things}", things=things)
    things.append("changed afterwards")
    assert not output.lines
    for call in calls:
        call()
    assert output.messages == ["['a']"]


def test_an_event_that_cannot_be_rendered_is_told() -> None:
    class Nasty(dict):  # type: ignore[type-arg]
        def items(self) -> Any:
            raise RuntimeError("nasty")

    output = Kept()
    router_to(output)(Nasty(log_namespace="edge_twisted.api", log_time=0.0))
    assert output.messages == ["An event of edge_twisted.api could not be rendered"]
    assert "RuntimeError: nasty" in output.lines[0]["failure"]


def test_without_outputs_nothing_is_rendered() -> None:
    router = LogRouter(Redactor(), call_from_thread=lambda function: function())

    class Untouchable:
        def __format__(self, spec: str) -> str:
            raise AssertionError

    logger(router).critical("{thing}", thing=Untouchable())
