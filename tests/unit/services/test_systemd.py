# SPDX-License-Identifier: Apache-2.0
"""What systemd hears from us."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from edge_twisted.services.systemd import Notifier, Watchdog, watchdog_seconds


@pytest.fixture
def listener(tmp_path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "notify"))
    sock.setblocking(False)
    return sock


def test_states_arrive_as_datagrams(listener: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": listener.getsockname(), "HOME": "/"}
    notifier = Notifier.from_environment(environ)
    assert environ == {"HOME": "/"}, "children must not inherit it"
    notifier.ready("serving")
    notifier.reloading()
    notifier.stopping()
    ready, reloading, stopping = (listener.recv(500).decode() for _ in range(3))
    assert "READY=1" in ready.split("\n") and "STATUS=serving" in ready.split("\n")
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert "STOPPING=1" in stopping.split("\n")


def test_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0edge-test-notify")
        sock.setblocking(False)
        Notifier("@edge-test-notify").alive()
        assert sock.recv(100) == b"WATCHDOG=1"


def test_nobody_listens(tmp_path: Path) -> None:
    Notifier(None).ready("serving")
    Notifier(str(tmp_path / "gone")).ready("serving")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], expected: float | None) -> None:
    assert watchdog_seconds(environ, pid=42) == expected


def test_watchdog_is_fed_while_the_reactor_turns(listener: socket.socket) -> None:
    clock = Clock()
    watchdog = Watchdog(clock, Notifier(listener.getsockname()), seconds=5.0)
    watchdog.startService()
    clock.pump([5.0, 5.0])
    watchdog.stopService()
    clock.advance(5.0)
    assert [listener.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    with pytest.raises(BlockingIOError):
        listener.recv(100)
