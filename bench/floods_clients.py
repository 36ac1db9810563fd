# SPDX-License-Identifier: Apache-2.0
"""
The clients of `bench.floods`, each run as a process: an honest one, and two kinds of attackers.

    python -m bench.floods_clients KIND URL CA KEY SECONDS RATE

Prints its figures as JSON.  One thread each, and as cheap as can be: on a small machine, what an
attacker computes is taken from the server.
"""

from __future__ import annotations

import json
import secrets
import selectors
import socket
import ssl
import statistics
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle
from time import monotonic, sleep

from edge_twisted.security import api_keys

CONNECTIONS = 256
#: Requests in one write, where they are pipelined.
BURST = 32
#: Handshakes that an attacker has under way at once.
HANDSHAKES = 64
TICK_SECONDS = 0.004
BODY = b'{"statement":"SELECT * FROM orders WHERE _id = :i","args":{"i":"o-000000001"}}'


def request(key: str) -> bytes:
    """Return a read by id, with a key."""
    return (
        b"POST /execute HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    ) % (key.encode(), len(BODY), BODY)


def wrong_keys() -> Iterator[str]:
    """Yield keys that no server knows, each with the right checksum: the best that can be made."""
    while True:
        secret = api_keys._base62(secrets.token_bytes(32), 43)
        yield f"edge_{api_keys._fingerprint(secret.encode())}_{secret}"


class Target:
    """Where the server is, and how to reach it."""

    def __init__(self, url: str, ca: str) -> None:
        self.address = ("127.0.0.1", int(url.rpartition(":")[2]))
        self.context = ssl.create_default_context(cafile=ca)

    def connect(self) -> ssl.SSLSocket:
        """Return a connection over TLS."""
        raw = socket.create_connection(self.address)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(raw, server_hostname="localhost")


def honest(target: Target, key: str, seconds: float, rate: float) -> dict[str, float]:
    """Read so often, one request after the other on one connection; return quantiles."""
    connection = target.connect()
    message = request(key)
    took: list[float] = []
    end = monotonic() + seconds
    due = monotonic()
    while (now := monotonic()) < end:
        if now < due:
            sleep(due - now)
        began = monotonic()
        connection.sendall(message)
        answer = connection.recv(65536)
        took.append((monotonic() - began) * 1000)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(answer.decode())
        due = max(due + 1 / rate, monotonic())
    cuts = statistics.quantiles(took, n=100)
    return {"p50_ms": cuts[49], "p99_ms": cuts[98], "requests": len(took)}


def pipelined(target: Target, key: str, seconds: float, rate: float) -> dict[str, float]:
    """Send wrong keys as `keys` does, many in one write, as far as the server takes them."""
    return keys(target, key, seconds, rate, BURST)


def keys(
    target: Target, _key: str, seconds: float, rate: float, burst: int = 1
) -> dict[str, float]:
    """Send wrong keys at a steady rate, whether or not they are answered."""
    made = wrong_keys()
    singles = [request(next(made)) for _ in range(8000)]
    messages = cycle([b"".join(each) for each in zip(*[iter(singles)] * burst, strict=False)])
    connections = [target.connect() for _ in range(CONNECTIONS)]
    for each in connections:
        each.setblocking(False)
    turn = cycle(connections)
    begin = monotonic()
    sent = answered = 0
    while (past := monotonic() - begin) < seconds:
        for _ in range((int(past * rate) - sent) // burst):
            # What the server holds back is lost.
            with suppress(ssl.SSLWantWriteError, ssl.SSLWantReadError):
                next(turn).send(next(messages))
            sent += burst
        for each in connections:
            try:
                answered += each.recv(65536).count(b"HTTP/1.1 ")
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue
        sleep(TICK_SECONDS)
    return {"sent_per_second": sent / seconds, "answered_per_second": answered / seconds}


def connections(target: Target, _key: str, seconds: float, rate: float) -> dict[str, float]:
    """
    Begin handshakes and leave as soon as the server has answered, which costs the server most.

    Sends the same greeting each time: an attacker need not compute anything.
    """
    greeting = _greeting(target.context)
    with selectors.DefaultSelector() as selector:
        begin = monotonic()
        sent = answered = 0
        while (past := monotonic() - begin) < seconds:
            room = HANDSHAKES - len(selector.get_map())
            for _ in range(min(room, int(past * rate) - sent)):
                raw = socket.create_connection(target.address)
                raw.sendall(greeting)
                raw.setblocking(False)
                selector.register(raw, selectors.EVENT_READ)
                sent += 1
            for found, _ in selector.select(TICK_SECONDS):
                gone = found.fileobj
                assert isinstance(gone, socket.socket)
                selector.unregister(gone)
                answered += 1
                gone.close()
    return {"sent_per_second": sent / seconds, "answered_per_second": answered / seconds}


def _greeting(context: ssl.SSLContext) -> bytes:
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def run_client() -> None:
    """Run the client that the command line names, and print what it felt."""
    kind, url, ca, key, seconds, rate = sys.argv[1:]
    run = {f.__name__: f for f in (honest, keys, pipelined, connections)}[kind]
    print(json.dumps(run(Target(url, ca), key, float(seconds), float(rate))))


if __name__ == "__main__":
    run_client()
