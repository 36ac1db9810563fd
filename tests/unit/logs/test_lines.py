# SPDX-License-Identifier: Apache-2.0
"""One event, one line: its JSON, its text, and what no value may do to either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogEvent, Logger, LogLevel, globalLogPublisher
from twisted.python import log as legacy
from twisted.python.failure import Failure

from edge_twisted.config.model import Secret
from edge_twisted.logs.lines import MAX_LINE_BYTES, Line
from edge_twisted.logs.redaction import Redactor
from tests.unit.logs.support import START, as_observer

REDACTOR = Redactor()


def event_of(template: str = "Hello {name}", **fields: object) -> LogEvent:
    events: list[LogEvent] = []
    logger = Logger(namespace="edge_twisted.api.site", observer=as_observer(events.append))
    logger.info(template)
    # Not as arguments: Logger's own parameters are called level and format.
    events[0].update(fields, log_time=START + 0.1239)
    return events[0]


def line_of(template: str = "Hello {name}", **fields: object) -> Line:
    return Line(event_of(template, **fields), "info", REDACTOR)


def json_of(template: str = "Hello {name}", **fields: object) -> dict[str, Any]:
    encoded = line_of(template, **fields).json
    assert encoded.endswith(b"\n") and encoded.count(b"\n") == 1
    decoded: dict[str, Any] = json.loads(encoded)
    return decoded


def text_of(template: str = "Hello {name}", **fields: object) -> str:
    return line_of(template, **fields).text(colour=False).decode()


def test_json_holds_time_level_message_then_the_fields() -> None:
    assert line_of(name="world", answer=42, tags=["a"]).json == (
        b'{"time":"2026-11-24T07:50:00.123Z","level":"info","message":"Hello world",'
        b'"logger":"edge_twisted.api.site","name":"world","answer":42,"tags":["a"]}\n'
    )


def test_text_shows_what_the_message_left_out() -> None:
    assert text_of(name="world", answer=42, title="a b", empty="") == (
        '2026-11-24T07:50:00.123Z info     api.site: Hello world answer=42 title="a b" empty=""\n'
    )


def test_colour_is_around_the_level_only() -> None:
    text = line_of(name="world").text(colour=True).decode()
    assert text == "2026-11-24T07:50:00.123Z \x1b[32minfo    \x1b[0m api.site: Hello world\n"


def test_a_failure_brings_its_traceback_in_one_field() -> None:
    try:
        raise ValueError("of {braces}")
    except ValueError:
        event = event_of("It broke", log_failure=Failure())
    line = Line(event, "critical", REDACTOR)
    record = json.loads(line.json)
    assert list(record) == ["time", "level", "message", "logger", "failure"]
    assert record["failure"].startswith("Traceback")
    assert "ValueError: of {braces}" in record["failure"]
    text = line.text(colour=False).decode().splitlines()
    assert text[0].endswith("api.site: It broke")
    assert all(each.startswith("    ") for each in text[1:])


def test_own_fields_do_not_hide_the_standard_ones() -> None:
    record = json_of("x", level="mine", time=1, message="mine", logger="mine", failure="mine")
    assert record["level"] == "info" and record["level_"] == "mine"
    assert record["message"] == "x" and record["message_"] == "mine"
    assert record["failure_"] == "mine" and "failure" not in record


def test_lines_of_the_old_logging_module_have_no_odd_fields() -> None:
    events: list[LogEvent] = []
    observer = as_observer(events.append)
    publisher = legacy.theLogPublisher
    publisher._publishPublisher.addObserver(observer)
    try:
        legacy.msg("old %s", "way", peer="p1")
    finally:
        publisher._publishPublisher.removeObserver(observer)
    record = json.loads(Line(events[0], "info", REDACTOR).json)
    assert record["message"].startswith("old")
    assert set(record) == {"time", "level", "message", "logger", "peer"}


def test_values_that_json_does_not_know() -> None:
    record = json_of(
        "x",
        raw=b"a\xffb",
        path=Path("/x"),
        some={1, 2},
        secret=Secret("s"),
        error=KeyError("k"),
        many=2**70,
        lone="\ud800",
        keys={1: "one"},
    )
    assert record["raw"] == "a\\xffb"
    assert record["path"] == "/x"
    assert sorted(record["some"]) == [1, 2]
    assert "<redacted>" in record["secret"]
    assert record["error"] == "'k'"
    assert record["many"] == str(2**70)
    assert record["lone"] == "\\ud800"
    assert record["keys"] == {"1": "one"}


def test_a_cycle_and_a_broken_value_cost_nothing_but_themselves() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    cycle: list[object] = []
    cycle.append(cycle)
    record = json_of("x", cycle=cycle, broken=Broken(), fine=1)
    assert record["cycle"] == "[[...]]"
    assert "Broken" in record["broken"]
    assert record["fine"] == 1


def test_a_template_without_its_field_says_so() -> None:
    assert "Unable to format" in json_of("Hello {nobody}")["message"]


def test_calls_in_templates_work() -> None:
    assert json_of("n={value.bit_length()}", value=255)["message"] == "n=8"


def test_what_is_cut_hides_its_secrets_first() -> None:
    redactor = Redactor()
    redactor.add("canary-canary")
    for before in range(1000, 1060):  # around where the cut is
        text = "x" * before + "canary-canary" + "y" * MAX_LINE_BYTES
        line = Line({"log_format": "{t}", "log_time": START, "t": text}, "info", redactor)
        for shown in (line.json, line.text(colour=False)):
            assert b"cana" not in shown
            assert len(shown) <= MAX_LINE_BYTES


def test_the_old_modules_failures_are_in_their_field() -> None:
    events: list[LogEvent] = []
    observer = as_observer(events.append)
    globalLogPublisher.addObserver(observer)
    try:
        legacy.err(Failure(ValueError("old")), "Why")
    finally:
        globalLogPublisher.removeObserver(observer)
    record = json.loads(Line(events[0], "critical", REDACTOR).json)
    assert "ValueError: old" in record["failure"]
    assert record["message"] == "Why"


@pytest.mark.parametrize("filler", ["x", "\x01", "\U0001f600", '"'])
def test_lines_are_bounded(filler: str) -> None:
    fields: dict[str, object] = {f"f{i}" * 50: filler * 50_000 for i in range(40)}
    encoded = line_of("{big}", big=filler * 1_000_000, **fields).json
    assert len(encoded) <= MAX_LINE_BYTES
    record = json.loads(encoded)
    assert "characters cut" in record["message"]
    assert record["time"] and record["level"] == "info"


def test_a_cut_line_keeps_both_ends_of_its_failure() -> None:
    event = event_of("x", a="y" * MAX_LINE_BYTES)
    event["log_failure"] = Failure(ValueError("the end"))
    record = json.loads(Line(event, "critical", REDACTOR).json)
    assert "the end" in record["failure"]


def test_no_value_moves_the_cursor_or_forges_a_line() -> None:
    forged = "x\n2026-11-24T07:50:00.123Z info     api.site: forged\r\x1b[2J\x9b1m"
    text = text_of("{name}", name=forged, other=forged)
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert "\x9b" not in text and "\\x1b[2J" in text
    assert [line for line in text.splitlines() if line.startswith("2026")] == [text.splitlines()[0]]


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.text(),
    st.dictionaries(
        st.text().filter(lambda s: s not in ("self", "format") and not s.startswith("log_")),
        _values,
        max_size=4,
    ),
)
def test_any_event_is_one_line_of_json_and_one_text(template: str, fields: dict[str, Any]) -> None:
    event: LogEvent = {"log_format": template, "log_time": START, "log_level": LogLevel.info}
    event.update(fields)
    line = Line(event, "info", REDACTOR)
    assert line.json.count(b"\n") == 1
    assert list(json.loads(line.json))[:4] == ["time", "level", "message", "logger"]
    first, *rest = line.text(colour=False)[:-1].split(b"\n")
    assert first.startswith(b"2026-11-24T07:50:00.000Z info     -: ")
    assert all(each.startswith(b"    ") for each in rest)
