# SPDX-License-Identifier: Apache-2.0
"""How a request that failed is logged: a line, a traceback, or a flood held back."""

from __future__ import annotations

import pytest
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from edge_twisted.api.failures import response_to
from edge_twisted.api.request_ids import RequestId
from edge_twisted.errors import EdgeError


class Full(EdgeError):
    code = "store_full"

    def __str__(self) -> str:
        return "put: database or disk is full"


class Unread(EdgeError):
    code = "read_cancelled"


class Damaged(EdgeError):
    code = "store_corrupt"


def logged(error: BaseException) -> LogEvent:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]
    try:
        response_to(error, RequestId("r-1"))
    finally:
        globalLogPublisher.removeObserver(events.append)  # type: ignore[arg-type]
    (event,) = events
    return event


@pytest.mark.parametrize("error", [Full(), Unread()])
def test_what_the_server_can_meet_any_day_is_a_line(error: EdgeError) -> None:
    event = logged(error)
    assert event["log_level"] is LogLevel.error
    assert "log_failure" not in event
    assert event["log_repeats"] == error.code
    assert event["log_format"].format(**event) == f"Request r-1 failed: {error.code}: {error}"


def test_a_fault_of_the_disk_has_its_traceback_now_and_then() -> None:
    event = logged(Damaged())
    assert event["log_level"] is LogLevel.critical
    assert "log_failure" in event
    assert event["log_repeats"] == "store_corrupt"


def test_a_bug_is_always_logged() -> None:
    event = logged(KeyError("x"))
    assert event["log_level"] is LogLevel.critical
    assert "log_repeats" not in event
