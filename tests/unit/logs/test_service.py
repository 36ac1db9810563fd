# SPDX-License-Identifier: Apache-2.0
"""The whole: what a configuration makes of an event, where one reads it, what a reload changes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from zope.interface import implementer

from edge_twisted.config.model import (
    AuditLogs,
    Level,
    Logging,
    RotatingLogs,
    Secret,
    SmallPeerOnly,
    TemporaryFolder,
)
from edge_twisted.logs.audit import AuditEvent, AuditLine
from edge_twisted.logs.errors import LogFolderUnusable
from edge_twisted.logs.outputs import DATA_BUFFER_BYTES, EDGE_BUFFER_BYTES, StandardStreams
from edge_twisted.logs.service import LoggingService
from edge_twisted.services.reload import Reloadable
from tests.unit.logs.support import (
    CONFIGURATION,
    FakeStream,
    Server,
    clock_at,
    configuration,
    json_lines,
    messages,
)

STORE = "edge_twisted.store.sqlite.writer"


@implementer(IReactorFromThreads)
class NoThreads:
    """A reactor as far as threads know it, for a test that has none."""

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kw: object) -> None:
        callable(*args, **kw)


def archive(server: Server, *, with_audit: bool = False) -> dict[str, bytes]:
    packed = b"".join(server.service.archive(with_audit=with_audit))
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        files = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        return {name: file.read() for name, file in files.items() if file is not None}


# -- console ----------------------------------------------------------------------------------


def test_json_where_nobody_looks() -> None:
    server = Server(Logging())
    server.service.startService()
    server.log().info("Listening on {address}", address="127.0.0.1:8443")
    assert server.out.taken == (
        b'{"time":"2026-11-24T07:50:00.000Z","level":"info",'
        b'"message":"Listening on 127.0.0.1:8443","logger":"edge_twisted.api.site",'
        b'"address":"127.0.0.1:8443"}\n'
    )
    assert not server.err.taken


@pytest.mark.parametrize(
    ("environ", "level"), [({}, b"\x1b[32minfo    \x1b[0m"), ({"NO_COLOR": "1"}, b"info    ")]
)
def test_text_on_a_terminal(environ: dict[str, str], level: bytes) -> None:
    server = Server(Logging(), terminal=True, environ=environ)
    server.log().info("Hello")
    assert server.out.taken == b"2026-11-24T07:50:00.000Z " + level + b" api.site: Hello\n"


def test_the_format_can_be_chosen() -> None:
    json_server = Server(Logging(format="json"), terminal=True)
    json_server.log().info("Hello")
    assert json_server.out.json()[0]["message"] == "Hello"
    text_server = Server(Logging(format="text"))
    text_server.log().info("Hello")
    assert text_server.out.taken == b"2026-11-24T07:50:00.000Z info     api.site: Hello\n"


@pytest.mark.parametrize(
    ("console", "out", "err"),
    [
        ("std_out", ["edge"], ["store"]),
        ("std_err", [], ["edge", "store"]),
        ("off", [], ["store"]),
    ],
)
def test_store_query_and_mesh_go_to_stderr(console: Any, out: list[str], err: list[str]) -> None:
    server = Server(Logging(console=console))
    server.log().info("edge")
    server.log(STORE).warn("store")
    assert messages(server.out.json()) == out
    assert messages(server.err.json()) == err


def test_twistd_speaks_the_same_way() -> None:
    server = Server(Logging())
    server.log("twisted.scripts._twistd_unix.UnixAppLogger").info("twistd starting up.")
    assert messages(server.out.json()) == ["twistd starting up."]


# -- reload -----------------------------------------------------------------------------------


def test_levels_change_while_running() -> None:
    server = Server(Logging())
    server.service.startService()

    def log_all() -> list[str]:
        for stream in (server.out, server.err):
            stream.taken.clear()
        server.log().debug("edge")
        server.log(STORE).debug("store verbose", log_verbose=True)
        server.log(STORE).debug("store")
        return messages(server.out.json()) + messages(server.err.json())

    assert log_all() == []
    assert server.service.commit(configuration(Logging(level=Level.DEBUG))) == []
    assert log_all() == ["edge"]
    server.service.commit(configuration(Logging(ditto_sdk=Level.VERBOSE)))
    assert log_all() == ["store verbose", "store"]
    server.service.commit(configuration(Logging()))
    assert log_all() == []


def test_places_need_a_restart(tmp_path: Path) -> None:
    old = Logging(rotating=RotatingLogs(directory=tmp_path / "a"))
    server = Server(old)
    server.service.startService()
    part: Reloadable = server.service
    assert part.commit(configuration(old)) == []
    new = Logging(
        level=Level.DEBUG,
        console="off",
        format="json",
        audit=AuditLogs(directory=tmp_path / "c"),
        rotating=RotatingLogs(directory=tmp_path / "b"),
    )
    assert not server.service.verify(configuration(new))
    assert server.service.commit(configuration(new)) == [
        "logging.edge_server.console_logs",
        "logging.edge_server.format",
        "logging.edge_server.audit_logs",
        "logging.edge_server.rotating_logs",
    ]
    server.log().debug("still in the old place, at the new level")
    assert messages(json_lines(tmp_path / "a")) == ["still in the old place, at the new level"]
    assert server.out.taken and not (tmp_path / "b").exists()
    server.service.stopService()


def test_two_logs_of_one_name_are_refused(tmp_path: Path) -> None:
    logging = Logging(
        rotating=RotatingLogs(directory=tmp_path, prefix="audit.log"),
        audit=AuditLogs(directory=tmp_path),
    )
    (problem,) = Server(Logging()).service.verify(configuration(logging))
    assert problem.startswith("logging.edge_server.rotating_logs.prefix: ")
    with pytest.raises(LogFolderUnusable):
        Server(logging).service.startService()
    assert not list(tmp_path.iterdir())
    other = evolve(logging, audit=AuditLogs(directory=tmp_path / "audit"))
    assert not Server(Logging()).service.verify(configuration(other))


def test_secrets_of_a_new_configuration_are_hidden() -> None:
    server = Server(Logging())
    new = configuration(Logging())
    database = evolve(
        new.database,
        auth=SmallPeerOnly(
            offline_license_token=Secret("canary-one"), key_b64=Secret("canary-two")
        ),
    )
    server.service.commit(evolve(new, database=database))
    server.log().info("the canary-one and the canary-two")
    assert messages(server.out.json()) == ["the <redacted> and the <redacted>"]


# -- files ------------------------------------------------------------------------------------


def test_nothing_is_opened_before_the_start(tmp_path: Path) -> None:
    server = Server(
        Logging(
            rotating=RotatingLogs(directory=tmp_path / "logs"),
            audit=AuditLogs(directory=tmp_path / "audit"),
        )
    )
    server.service.observer({"log_format": "early", "log_time": 0.0, "log_namespace": "twisted"})
    server.service.audit.add(AuditLine("", AuditEvent.REQUEST))
    assert not list(tmp_path.iterdir())
    server.service.startService()
    assert messages(json_lines(tmp_path / "logs")) == ["early"], "it waited"
    server.service.stopService()
    assert [line["event"] for line in json_lines(tmp_path / "audit")] == [
        "request",
        "server_started",
        "server_stopped",
    ]
    assert not server.clock.getDelayedCalls()


def test_rotating_logs_hold_both_parts_each_at_its_level(tmp_path: Path) -> None:
    server = Server(Logging(console="off", rotating=RotatingLogs(directory=tmp_path)))
    server.service.startService()
    server.log().info("edge")
    server.log().debug("edge debug")
    server.log(STORE).info("store info")
    server.log(STORE).error("store error")
    server.service.stopService()
    assert messages(json_lines(tmp_path)) == ["edge", "store error"]


def test_the_audit_log_rotates_like_the_rotating_logs(tmp_path: Path) -> None:
    server = Server(
        Logging(
            rotating=RotatingLogs(directory=tmp_path, frequency="minutely", max_files=2),
            audit=AuditLogs(directory=tmp_path),
        )
    )
    server.service.startService()
    for _ in range(4):
        server.log().info("edge")
        server.service.audit.add(AuditLine("", AuditEvent.REQUEST))
        server.clock.advance(60)
    server.service.stopService()
    names = sorted(path.name.rpartition(".2026")[0] for path in tmp_path.iterdir())
    assert names == ["audit.log"] * 5 + ["edge-server.log"] * 2
    assert len(json_lines(tmp_path, "audit.log")) == 6


@pytest.mark.parametrize("kind", ["rotating", "audit"])
def test_an_unusable_folder_is_an_error_at_start(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "file" / "logs"
    (tmp_path / "file").write_bytes(b"")
    logging = (
        Logging(rotating=RotatingLogs(directory=folder))
        if kind == "rotating"
        else Logging(audit=AuditLogs(directory=folder))
    )
    server = Server(logging)
    with pytest.raises(LogFolderUnusable) as caught:
        server.service.startService()
    error = caught.value
    assert error.key == f"logging.edge_server.{kind}_logs"
    assert str(folder) in str(error) and "make the folder writable" in str(error)
    server.service.stopService()
    assert not server.clock.getDelayedCalls()


def test_a_temporary_folder_lives_as_long_as_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    server = Server(
        Logging(
            rotating=RotatingLogs(directory=TemporaryFolder()),
            audit=AuditLogs(directory=TemporaryFolder()),
        )
    )
    for _ in range(2):  # it can start again
        server.service.startService()
        server.log().info("hello")
        assert len(list(tmp_path.iterdir())) == 2
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o750}
        server.service.stopService()
        assert not list(tmp_path.iterdir())


# -- the archive ------------------------------------------------------------------------------


def test_the_archive_of_a_server_without_files() -> None:
    server = Server(Logging(console="off"))
    server.service.startService()
    server.log().info("edge")
    server.log().debug("edge debug")
    server.log(STORE).debug("store debug")
    server.log(STORE).debug("store verbose", log_verbose=True)
    files = archive(server, with_audit=True)
    assert {name: messages(content) for name, content in files.items()} == {
        "edge-server/edge-server.log": ["edge"],
        "ditto_sdk/ditto_sdk.log": ["store debug"],
    }


def test_the_archive_of_a_server_with_files(tmp_path: Path) -> None:
    server = Server(
        Logging(
            rotating=RotatingLogs(directory=tmp_path / "logs", frequency="minutely"),
            audit=AuditLogs(directory=tmp_path / "audit"),
        )
    )
    server.service.startService()
    for _ in range(2):
        server.log().info("edge")
        server.clock.advance(60)
    server.service.audit.add(AuditLine("", AuditEvent.REQUEST, request_id="the newest"))
    files = archive(server, with_audit=True)
    assert {name.partition(".2026")[0] for name in files} == {
        "audit/audit.log",
        "ditto_sdk/ditto_sdk.log",
        "edge-server/edge-server.log",
    }
    kept = [content for name, content in files.items() if name.startswith("edge-server/")]
    assert [messages(content) for content in kept] == [["edge"], ["edge"]]
    assert b"the newest" in b"".join(files.values())
    assert not any(name.startswith("audit") for name in archive(server))
    server.service.stopService()


def test_memory_is_bounded_and_keeps_the_newest() -> None:
    server = Server(Logging(console="off"))
    for number in range(3000):
        server.log().info("{number} " + "x" * 1000, number=number)
        server.log(STORE).debug("{number} " + "x" * 1000, number=number)
    files = archive(server)
    for name, limit in (
        ("edge-server/edge-server.log", EDGE_BUFFER_BYTES),
        ("ditto_sdk/ditto_sdk.log", DATA_BUFFER_BYTES),
    ):
        assert limit - 2000 < len(files[name]) <= limit
        assert json.loads(files[name].splitlines()[-1])["number"] == 2999


def test_an_archive_survives_files_that_change_while_it_is_sent(tmp_path: Path) -> None:
    server = Server(Logging(rotating=RotatingLogs(directory=tmp_path, frequency="minutely")))
    server.service.startService()
    for number in range(4):
        server.log().info(f"{number} " + "x" * 30_000)
        server.clock.advance(60)
    names = sorted(path.name for path in tmp_path.iterdir())
    pieces = server.service.archive(with_audit=False)
    packed = next(pieces)
    (tmp_path / names[0]).write_bytes(b"")  # shrinks while it is read
    (tmp_path / names[1]).unlink()
    server.log().info("grows")
    packed += b"".join(pieces)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        sizes = {member.name.rpartition("/")[2]: member.size for member in tar.getmembers()}
    assert names[1] not in sizes
    assert sizes[names[0]] > 30_000 and sizes[names[2]] > 30_000
    server.service.stopService()


def test_no_piece_is_empty_or_large(tmp_path: Path) -> None:
    server = Server(Logging(rotating=RotatingLogs(directory=tmp_path)))
    server.service.startService()
    for _ in range(200):
        server.log().info("x" * 20_000)
    sizes = [len(piece) for piece in server.service.archive(with_audit=False)]
    assert min(sizes) > 0 and max(sizes) < 100_000 and len(sizes) > 60
    server.service.stopService()


# -- redaction --------------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", [False, True])
def test_no_output_shows_a_secret(tmp_path: Path, terminal: bool) -> None:
    for number, rotating in enumerate((None, RotatingLogs(directory=tmp_path / "logs"))):
        audit = AuditLogs(directory=tmp_path / f"audit{number}")
        server = Server(
            Logging(ditto_sdk=Level.VERBOSE, audit=audit, rotating=rotating), terminal=terminal
        )
        server.service.redactor.add("registered-canary")
        server.service.startService()
        for namespace in ("edge_twisted.api.site", STORE):
            log = server.log(namespace)
            log.info("got {header}", header="Authorization: Bearer sent-canary")
            log.error("registered-canary", api_key="field-canary", n={"password": "deep-canary"})
            try:
                raise ValueError("-----BEGIN PRIVATE KEY-----\npem-canary\n")
            except ValueError:
                log.failure("with token=query-canary")
        server.service.audit.add(
            AuditLine(
                "",
                AuditEvent.REFUSAL,
                path="/registered-canary?key=query-canary",
                identity="Bearer sent-canary",
            )
        )
        files = archive(server, with_audit=True)
        server.service.stopService()
        everything = [bytes(server.out.taken), bytes(server.err.taken), *files.values()]
        everything += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert len(everything) > 5
        assert all(text.count(b"redacted") for text in everything)
        assert not any(b"canary" in text for text in everything)


def test_a_whole_servers_logging_knows_its_secrets() -> None:
    stream = FakeStream()
    service = LoggingService.of(
        CONFIGURATION,
        clock_at(),
        NoThreads(),
        StandardStreams(out=stream, err=stream),
        clock_at().seconds,
    )
    event = {"log_format": "{x}", "x": "canary-license-token", "log_time": 0.0}
    service.observer(event)
    assert messages(stream.json()) == ["<redacted>"]


def test_the_clock_of_lines_is_that_of_events() -> None:
    server = Server(Logging(), clock=Clock())
    server.clock.advance(0.5)
    server.log().info("x")
    assert server.out.json()[0]["time"] == "1970-01-01T00:00:00.500Z"
