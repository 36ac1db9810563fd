# SPDX-License-Identifier: Apache-2.0
"""The audit log: exact fields, no lost line, no secret, whatever callers send."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from edge_twisted.logs.audit import (
    FLUSH_LINES,
    FLUSH_SECONDS,
    AuditEvent,
    AuditLine,
    AuditLog,
    FileAuditLog,
    NullAuditLog,
)
from edge_twisted.logs.patient_writer import RETRY_SECONDS, PatientWriter
from edge_twisted.logs.redaction import Redactor
from edge_twisted.logs.rotating_file import RotatingFile
from edge_twisted.logs.rotation import Rotation
from tests.unit.logs.support import FakeDisk, clock_at, json_lines

FIELDS = [
    "time", "event", "request_id", "identity", "client", "method", "path", "verb", "collections",
    "status", "duration_ms", "bytes_in", "bytes_out",
]  # fmt: skip


class Audit:
    """An audit log over real files, on a clock and a disk that tests hold in hand."""

    def __init__(self, folder: Path, **rotation: Any) -> None:
        self.folder = folder
        self.clock: Clock = clock_at()
        self.disk = FakeDisk()
        self.redactor = Redactor()
        self.writer = PatientWriter("The audit log", self.clock, max_backlog_bytes=1 << 20)
        self.log = FileAuditLog(self.writer, self.clock, self.redactor, self.clock.seconds)
        self._rotation = Rotation(prefix="audit.log", **rotation)

    def open(self) -> None:
        self.writer.open(
            RotatingFile(
                self.folder,
                self._rotation,
                self.clock.seconds,
                self.clock.seconds,
                write=self.disk.write,
            )
        )

    def stop(self) -> None:
        self.log.flush()
        self.writer.close()

    def lines(self) -> list[dict[str, Any]]:
        return json_lines(self.folder)


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    audit = Audit(tmp_path / "audit")
    audit.open()
    return audit


def request(log: AuditLog, **said: Any) -> None:
    log.add(AuditLine("", AuditEvent.REQUEST, **said))


def test_a_line_has_exactly_the_documented_fields(audit: Audit) -> None:
    request(
        audit.log,
        request_id="r1",
        identity="prod-api-service",
        client="10.0.0.1",
        method="POST",
        path="/execute",
        verb="select",
        collections=["tasks"],
        status=200,
        duration_ms=0.812,
        bytes_in=123,
        bytes_out=532,
    )
    audit.stop()
    (path,) = audit.folder.iterdir()
    assert path.name == "audit.log.2026-11-24T07-50-00.000Z"
    assert path.read_bytes() == (
        b'{"time":"2026-11-24T07:50:00.000Z","event":"request","request_id":"r1",'
        b'"identity":"prod-api-service","client":"10.0.0.1","method":"POST","path":"/execute",'
        b'"verb":"select","collections":["tasks"],"status":200,"duration_ms":0.812,'
        b'"bytes_in":123,"bytes_out":532}\n'
    )


@pytest.mark.parametrize("event", list(AuditEvent))
def test_all_fields_are_there_whatever_the_event(audit: Audit, event: AuditEvent) -> None:
    audit.log.add(AuditLine("", event))
    audit.stop()
    (line,) = audit.lines()
    assert list(line) == FIELDS
    assert line["event"] == event.value
    assert line["identity"] is None and line["collections"] == []


def test_an_unknown_field_is_a_mistake(audit: Audit) -> None:
    with pytest.raises(TypeError):
        request(audit.log, statement="SELECT * FROM secrets")


def test_the_query_string_goes(audit: Audit) -> None:
    request(audit.log, path="/attachments/x?key=canary")
    audit.stop()
    assert audit.lines()[0]["path"] == "/attachments/x"


def test_a_key_in_a_path_goes(audit: Audit) -> None:
    audit.redactor.add("registered-canary")
    request(audit.log, path="/registered-canary")
    request(audit.log, path="/edge_00000000000_canarycanary")
    request(audit.log, path="/fine")
    audit.stop()
    assert [line["path"] for line in audit.lines()] == ["/<redacted>", "/<redacted>", "/fine"]
    assert all(list(line) == FIELDS for line in audit.lines())


def test_lines_are_written_within_the_promised_time(audit: Audit) -> None:
    request(audit.log)
    request(audit.log)
    audit.clock.advance(FLUSH_SECONDS / 2)
    assert not audit.lines()
    audit.clock.advance(FLUSH_SECONDS / 2)
    assert len(audit.lines()) == 2
    assert not audit.clock.getDelayedCalls()


def test_a_burst_does_not_wait_for_the_time(audit: Audit) -> None:
    for _ in range(FLUSH_LINES):
        request(audit.log)
    assert len(audit.lines()) == FLUSH_LINES


def test_what_callers_send_does_not_cost_other_lines(audit: Audit) -> None:
    request(audit.log, path="/a")
    request(audit.log, path="/\udcff", identity="\ud800", collections=["\udfff"])
    request(audit.log, path="/" + "x" * 100_000, collections=["c" * 999] * 9999)
    request(audit.log, method="M" * 10_000)
    request(audit.log, path='/"\n\x00\x1b[2J', bytes_in=2**80)
    request(audit.log, path="/b")
    audit.stop()
    lines = audit.lines()
    assert [line["path"] and line["path"][:4] for line in lines] == [
        "/a",
        "/\\ud",
        "/xxx",
        None,
        '/"\n\x00',
        "/b",
    ]
    assert len(json.dumps(lines[2])) < 8192 and len(json.dumps(lines[3])) < 1024
    assert all(list(line) == FIELDS for line in lines)


def test_no_line_is_lost_over_rotation_and_stop_under_load(tmp_path: Path) -> None:
    audit = Audit(tmp_path, frequency="minutely", max_size_bytes=20_000)
    chance = random.Random(7)
    number = 0
    for _ in range(5):  # five runs of the server, in one folder
        audit.writer = PatientWriter("The audit log", audit.clock, max_backlog_bytes=1 << 20)
        audit.log = FileAuditLog(audit.writer, audit.clock, audit.redactor, audit.clock.seconds)
        request(audit.log, request_id=str(number))  # before the start already
        number += 1
        audit.open()
        for _ in range(100):
            for _ in range(chance.randrange(40)):
                request(audit.log, request_id=str(number))
                number += 1
            audit.clock.advance(chance.random() * 10)
            if chance.random() < 0.1:
                audit.disk.free = chance.randrange(3000)
            elif chance.random() < 0.5:
                audit.disk.free = float("inf")
        request(audit.log, request_id=str(number))
        number += 1
        audit.disk.free = float("inf")
        audit.stop()
        assert not audit.clock.getDelayedCalls()
    assert len(list(tmp_path.iterdir())) > 20
    assert [line["request_id"] for line in audit.lines()] == [str(n) for n in range(number)]


def test_nothing_is_deleted_unless_asked(tmp_path: Path) -> None:
    for max_files, left in ((None, 40), (5, 5)):
        audit = Audit(tmp_path / str(max_files), frequency="minutely", max_files=max_files)
        audit.open()
        for _ in range(40):
            request(audit.log)
            audit.clock.advance(60)
        audit.stop()
        assert len(audit.lines()) == left


def test_a_full_disk_does_not_reach_the_caller(audit: Audit) -> None:
    audit.disk.free = 0
    for number in range(100):
        request(audit.log, request_id=str(number))
        audit.clock.advance(FLUSH_SECONDS)
    audit.disk.free = float("inf")
    audit.clock.advance(RETRY_SECONDS)
    assert [line["request_id"] for line in audit.lines()] == [str(n) for n in range(100)]


def test_a_server_without_an_audit_log_records_nothing() -> None:
    log: AuditLog = NullAuditLog()
    request(log, path="/execute")
