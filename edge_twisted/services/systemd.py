# SPDX-License-Identifier: Apache-2.0
"""
Notifications to systemd: ready, reloading, stopping, and the watchdog.

The protocol is sd_notify(3): newline-separated assignments in one datagram to the unix socket
named by ``NOTIFY_SOCKET``.  Without that variable nothing is sent and everything works as well.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress

from twisted.application.internet import TimerService
from twisted.internet.interfaces import IReactorTime


class Notifier:
    """Sends state to systemd, or to nobody when `address` is None.  Never raises, never blocks."""

    def __init__(self, address: str | None) -> None:
        # A leading @ stands for the zero byte of Linux's abstract socket names.
        self._address = "\0" + address[1:] if address and address[0] == "@" else address

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Notifier:
        """Return a notifier for the socket that systemd named, and take its name out of `environ`.

        So no child process can speak in this server's name.  Without a name, nobody is notified.
        """
        return cls(environ.pop("NOTIFY_SOCKET", None))

    def ready(self, status: str) -> None:
        """Say that the server serves; `status` is shown by ``systemctl status``."""
        self._send(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}")

    def reloading(self) -> None:
        """Say that a reload began; `ready` ends it."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reloading")

    def stopping(self) -> None:
        """Say that the server drains and stops."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A supervisor that went away must not take the server with it.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(message.encode("utf-8"), self._address)


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """Return the seconds between feeds of the watchdog; None: no watchdog for `pid`.

    The interval is half of systemd's limit, as sd_watchdog_enabled(3) recommends.
    """
    limit = environ.get("WATCHDOG_USEC", "")
    if not limit.isdigit() or int(limit) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(limit) / 2_000_000


class Watchdog(TimerService):
    """Feeds systemd's watchdog from the reactor, so that a blocked reactor is noticed."""

    name = "watchdog"

    def __init__(self, clock: IReactorTime, notifier: Notifier, seconds: float) -> None:
        super().__init__(seconds, notifier.alive)
        self.clock = clock
