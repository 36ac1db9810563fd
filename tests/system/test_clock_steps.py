# SPDX-License-Identifier: Apache-2.0
"""
The machine's clock is set, back and forward, while the real daemon is under load.

The clock is that of libfaketime (Debian: faketime), which stands before the C library: it reads the
offset of the wall clock from a file at each call, and leaves the monotonic clock alone.
"""

from __future__ import annotations

import re
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from time import time as true_date
from typing import Any

import pytest
from attrs import define, field, frozen

from tests.system.daemon import PATIENCE_SECONDS, Client, Daemon, connect, running
from tests.system.fixtures import configuration, write_configuration

LIBRARIES = [
    *Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"),
    *Path("/usr/lib64").glob("faketime/libfaketimeMT.so.1"),
]
if not LIBRARIES:
    warnings.warn(
        "libfaketime is not installed (Debian: faketime): nothing shows that the daemon outlives "
        "a step of the wall clock",
        stacklevel=1,
    )

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed (Debian: faketime)"),
]

#: Far above every time-out here, and far below none of the steps.
SOON_SECONDS = 30.0
#: Between two writes.
REST_SECONDS = 0.005
#: Back, and ahead.
STEPS = (-300, 300)


@define
class Supervisor:
    """Takes what the daemon tells systemd."""

    path: Path
    heard: list[str] = field(factory=list)
    _socket: socket.socket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(0.05)

    def feeds_within(self, seconds: float, number: int) -> int:
        """Return how many of `number` new feeds of the watchdog came within some seconds."""
        while self._take(0.0):
            pass
        end, count = monotonic() + seconds, 0
        while count < number and monotonic() < end:
            count += self._take(0.05) == "WATCHDOG=1"
        return count

    def close(self) -> None:
        self._socket.close()

    def _take(self, patience: float) -> str:
        self._socket.settimeout(patience)
        try:
            return self._socket.recv(4096).decode()
        except (BlockingIOError, TimeoutError):
            return ""


@define
class Writer:
    """Writes one document after the other, and remembers what was acknowledged."""

    client: Client
    acknowledged: list[int] = field(factory=list)
    failures: list[str] = field(factory=list)
    _stop: threading.Event = field(factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            document = {"_id": number, "n": number}
            try:
                answer = self.client.execute(
                    "INSERT INTO steps DOCUMENTS (:d) ON ID CONFLICT DO UPDATE", {"d": document}
                )
            except OSError as error:
                self.failures.append(repr(error))
                return
            if answer.status != 200:
                self.failures.append(answer.body.decode())
            self.acknowledged.append(number)
            # As fast as one client goes, the test itself would lack the processor.
            self._stop.wait(REST_SECONDS)


@frozen(kw_only=True)
class Site:
    """The daemon, its supervisor, and the file that sets its clock."""

    daemon: Daemon
    supervisor: Supervisor
    port: int
    ca: Path
    set_clock: Callable[[int], object]

    def client(self) -> Client:
        return connect(self.port, self.ca)

    def date(self, client: Client) -> float:
        """Return what the daemon takes for the date, in seconds since 1970."""
        items: list[dict[str, Any]] = client.execute("SELECT clock() AS ms").json()["items"]
        return float(items[0]["ms"]) / 1000


#: The battery of the machine's clock is dead: it begins in 1970, or thereabouts.
DEAD_CLOCK = -int(true_date()) + 86_400


@pytest.fixture
def first_step() -> int:
    return 0


@pytest.fixture
def site(tmp_path: Path, first_step: int) -> Iterator[Site]:
    settings = configuration(header_timeout_ms=5000, keep_alive_timeout_ms=120_000)
    write_configuration(tmp_path, settings)
    offset = tmp_path / "offset"

    def set_clock(seconds: int) -> None:
        # As a whole: the daemon reads it at any moment.
        fresh = tmp_path / "offset.new"
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(offset)

    set_clock(first_step)
    supervisor = Supervisor(tmp_path / "notify")
    environ = {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NOTIFY_SOCKET": str(supervisor.path),
        "WATCHDOG_USEC": "400000",
    }
    with running(["--config", "config.yaml"], tmp_path, environ) as daemon:
        if first_step:
            daemon.wait_for("HTTPS is not served.*not valid before")
            set_clock(0)
        port = daemon.port
        yield Site(
            daemon=daemon,
            supervisor=supervisor,
            port=port,
            ca=tmp_path / "cert.pem",
            set_clock=set_clock,
        )
    supervisor.close()


def closed_within(seconds: float, port: int) -> bool:
    """Whether a connection that says nothing is closed, as its time-out wants it."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as silent:
        try:
            while silent.recv(4096):
                pass
        except TimeoutError:
            return False
        except ConnectionResetError:
            pass
    return True


def test_a_clock_that_is_set_stops_no_timer_and_fires_none(site: Site) -> None:
    idle = site.client()
    # Before the load, under which a handshake may take longer than its time-out.
    site.date(idle)
    writer = Writer(site.client())
    for step in STEPS:
        site.date(idle)
        site.set_clock(step)
        # It is the same connection, and it was idle for much less than its time-out.
        assert abs(site.date(idle) - true_date() - step) < SOON_SECONDS
        assert idle.connection.sock is not None
        assert site.supervisor.feeds_within(SOON_SECONDS, 3) == 3, f"not fed after {step} s"
        assert closed_within(SOON_SECONDS, site.port), f"no time-out after {step} s"
    writer.stop()
    assert writer.failures == []
    counted = idle.execute("SELECT COUNT(*) AS n FROM steps").json()["items"][0]["n"]
    assert counted == len(writer.acknowledged) > 0
    blocked = [
        float(found.group(1))
        for line in site.daemon.lines
        if (found := re.search(r"reactor was blocked for ([0-9.]+) s", line))
    ]
    assert all(seconds < SOON_SECONDS for seconds in blocked)
    assert site.daemon.stop() == 0


@pytest.mark.parametrize("first_step", [DEAD_CLOCK], ids=["1970"])
def test_a_start_with_a_dead_clock_serves_when_the_clock_is_right(site: Site) -> None:
    client = site.client()
    assert client.execute("INSERT INTO steps DOCUMENTS ({'_id': 1})").status == 200
    assert abs(site.date(client) - true_date()) < SOON_SECONDS
    assert client.request("GET", "/health").json() == {"status": "ok"}
    site.set_clock(86_400 * 365)
    detail = client.request("GET", "/health").json()["detail"]
    assert [each["code"] for each in detail] == ["certificate_expired"]
    assert site.daemon.stop() == 0
