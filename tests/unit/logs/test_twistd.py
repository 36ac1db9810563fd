# SPDX-License-Identifier: Apache-2.0
"""How twistd is made to log through us, and where a daemon's console lines go."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from twisted.application.service import Application, MultiService
from twisted.logger import ILogObserver
from twisted.python.components import Componentized

from edge_twisted.config.model import Logging
from edge_twisted.logs.console import DescriptorStream
from edge_twisted.logs.twistd import LogFileStream, observe_with, streams_of
from tests.unit.logs.support import Server, messages


def test_the_application_gets_the_observer() -> None:
    server = Server(Logging())
    application = Application("edgeserver")
    observe_with(application, server.service)
    assert isinstance(application, Componentized)
    assert application.getComponent(ILogObserver) is server.service.observer


def test_twistds_last_line_is_told_too() -> None:
    server = Server(Logging())
    observe_with(Application("edgeserver"), server.service)
    server.service.startService()
    server.service.stopService()
    server.log("twisted.application.app.AppLogger").info("Server Shut Down.")
    assert messages(server.out.json()) == ["Server Shut Down."]


def test_without_twistd_nothing_is_told_after_the_stop() -> None:
    server = Server(Logging())
    observe_with(MultiService(), server.service)
    server.service.startService()
    server.service.stopService()
    server.log().info("late")
    assert not server.out.taken


def test_an_observer_that_is_there_stays() -> None:
    server, other = Server(Logging()), Server(Logging())
    application = Application("edgeserver")
    observe_with(application, other.service)
    observe_with(application, server.service)
    assert isinstance(application, Componentized)
    assert application.getComponent(ILogObserver) is other.service.observer


@pytest.mark.parametrize("logfile", [None, "-"])
def test_in_the_foreground_lines_go_to_the_standard_streams(logfile: str | None) -> None:
    streams = streams_of({"nodaemon": True, "logfile": logfile})
    assert isinstance(streams.out, DescriptorStream)
    assert isinstance(streams.err, DescriptorStream)


def test_a_daemon_has_a_file_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    streams = streams_of({"nodaemon": False, "logfile": None})
    assert streams.out is streams.err
    assert not streams.out.is_terminal()
    assert not list(tmp_path.iterdir())
    assert streams.out.write(memoryview(b"one\n")) == 4
    assert streams.err.write(memoryview(b"two\n")) == 4
    path = tmp_path / "twistd.log"
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_file_that_was_asked_for(tmp_path: Path) -> None:
    streams = streams_of({"nodaemon": True, "logfile": str(tmp_path / "x.log")})
    streams.out.write(memoryview(b"one\n"))
    assert (tmp_path / "x.log").read_bytes() == b"one\n"


def test_a_file_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    stream = LogFileStream(str(tmp_path / "missing" / "x.log"))
    with pytest.raises(OSError) as caught:
        stream.write(memoryview(b"one\n"))
    assert caught.value.errno == errno.ENOENT
    (tmp_path / "missing").mkdir()
    stream.write(memoryview(b"two\n"))
    assert (tmp_path / "missing" / "x.log").read_bytes() == b"two\n"
