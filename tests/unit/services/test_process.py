# SPDX-License-Identifier: Apache-2.0
"""Exit codes and signals, in a process of their own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from twisted.internet import reactor
from edge_twisted.services.process import ExitStatus, install_signals
status = ExitStatus()
status.install()
reloads = []
def begin():
    install_signals(reactor, reactor, lambda: reloads.append(1) or print("reloaded", flush=True))
    print("up", flush=True)
reactor.callWhenRunning(begin)
if "fail" in sys.argv:
    reactor.callWhenRunning(lambda: (status.fail("port 1 is taken"), status.fail("second"),
                                     reactor.stop()))
reactor.run()
print("down", flush=True)
"""


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_signals_end_with_zero(number: signal.Signals) -> None:
    with start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "down\n", "")


def test_hangup_reloads() -> None:
    with start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == "reloaded\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_failure_ends_with_its_status_and_first_message() -> None:
    with start("fail") as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err == "edge-server: port 1 is taken\n"
