# SPDX-License-Identifier: Apache-2.0
"""
Strangers at a port: connections that prove nothing, from many loopback addresses.

``python -m tests.system.mesh_strangers PORT COUNT ADDRESSES KIND PAUSE`` keeps so many open until
it is ended: one that is closed comes again after a pause in seconds.  Addresses are 127.0.0.1 and
up.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from attrs import define, field

#: What strangers do once TCP stands: nothing; begin TLS and stop; send that byte by byte.
KINDS: Final = ("silent", "begins", "drips")
DRIP_SECONDS: Final = 0.2
#: All are there, at least once.
READY: Final = "ready"


def client_hello() -> bytes:
    """Return the first bytes of a TLS client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@define(eq=False)
class _Stranger:
    """One place in the crowd, and the connection that it has now."""

    address: str
    connection: socket.socket | None = None
    sent: int = 0


@define(eq=False)
class Crowd:
    """All strangers of one process."""

    port: int
    kind: str
    pause_seconds: float
    hello: bytes = field(factory=client_hello)
    _selector: selectors.BaseSelector = field(factory=selectors.DefaultSelector)
    _strangers: list[_Stranger] = field(factory=list)
    #: Those that are away, and when they come again.
    _away: deque[tuple[float, _Stranger]] = field(factory=deque)

    def run(self, count: int, addresses: int) -> None:
        """Go on until this process is ended."""
        self._strangers = [_Stranger(f"127.0.0.{n % addresses + 1}") for n in range(count)]
        for each in self._strangers:
            self._come(each)
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        dripped_at = time.monotonic()
        while True:
            for key, _ in self._selector.select(0.05):
                self._hear(key.data)
            while self._away and self._away[0][0] <= time.monotonic():
                self._come(self._away.popleft()[1])
            if self.kind == "drips" and time.monotonic() - dripped_at >= DRIP_SECONDS:
                dripped_at = time.monotonic()
                for each in self._strangers:
                    self._say(each, 1)

    def _come(self, stranger: _Stranger) -> None:
        connection = socket.socket()
        try:
            connection.bind((stranger.address, 0))
            connection.settimeout(5.0)
            connection.connect(("127.0.0.1", self.port))
        except OSError:
            connection.close()
            self._go(stranger)
            return
        connection.setblocking(False)
        stranger.connection, stranger.sent = connection, 0
        self._selector.register(connection, selectors.EVENT_READ, stranger)
        if self.kind == "begins":
            self._say(stranger, len(self.hello))

    def _say(self, stranger: _Stranger, size: int) -> None:
        if stranger.connection is not None and stranger.sent < len(self.hello):
            with suppress(OSError):
                stranger.connection.send(self.hello[stranger.sent : stranger.sent + size])
                stranger.sent += size

    def _hear(self, stranger: _Stranger) -> None:
        """Come again if the server has closed."""
        assert stranger.connection is not None
        with suppress(BlockingIOError):
            try:
                if stranger.connection.recv(1 << 16):
                    return
            except ConnectionError:
                pass
            self._selector.unregister(stranger.connection)
            stranger.connection.close()
            self._go(stranger)

    def _go(self, stranger: _Stranger) -> None:
        stranger.connection = None
        self._away.append((time.monotonic() + self.pause_seconds, stranger))


@contextmanager
def strangers(
    port: int, count: int, addresses: int, kind: str, pause_seconds: float = 0.0
) -> Iterator[None]:
    """Have a crowd at a port, in a process of its own."""
    words = [str(each) for each in (port, count, addresses, kind, pause_seconds)]
    command = [sys.executable, "-m", __name__, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().strip() == READY
            yield
        finally:
            process.kill()


def main() -> None:
    """Be a crowd."""
    port, count, addresses = (int(each) for each in sys.argv[1:4])
    Crowd(port, sys.argv[4], float(sys.argv[5])).run(count, addresses)


if __name__ == "__main__":
    main()
