# SPDX-License-Identifier: Apache-2.0
"""
The HTTP API against PostgreSQL, asyncpg and Starlette on uvicorn: ``python -m bench.http``.

Both sides store durably and answer one request at a time on each of 64 connections that wrk keeps
alive, in one run.  Processor time per request is told beside it, for other work on the machine
favours the side with more processes.  Ours has TLS, a key on every request, the audit log and
throttling; theirs has plain HTTP and none of it.  Rounds alternate between the two, and ratios are
of medians.  Needs wrk, PostgreSQL's programs, and the ``bench`` extra.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import statistics
import tempfile
from pathlib import Path

from bench.http_load import Load, drive
from bench.http_sides import Side, ours, theirs
from bench.report import Figure, publish

#: What is asked for: least ratio to the yardstick.
KINDS = {"insert": 2.5, "by-id": 2.0, "filter": 2.0}
NAMES = {
    "insert": "INSERT of one 500 B document",
    "by-id": "SELECT by id",
    "filter": "filter by index, 10 documents",
}
CROWD = 1000


def compare(kind: str, us: Side, them: Side | None, folder: Path, options: Options) -> list[Figure]:
    """Measure one kind of request on both sides, in turns."""
    found: dict[str, list[Load]] = {"ours": [], "theirs": []}
    cpu = {"ours": 0.0, "theirs": 0.0}
    for turn in range(options.rounds):
        for side, where in (("ours", us), ("theirs", them)):
            if where is None:
                continue
            before = where.cpu_seconds()
            found[side].append(_load(side, kind, where, folder, turn, options.seconds))
            cpu[side] += where.cpu_seconds() - before
    name = NAMES[kind]
    rate = statistics.median(load.rate for load in found["ours"])
    late = statistics.median(load.p99_ms for load in found["ours"])
    cost = cpu["ours"] / sum(load.requests for load in found["ours"]) * 1e6
    figures = [
        Figure(name=f"{name}: ours", value=rate, unit="1/s"),
        Figure(name=f"{name}: p99", value=late, unit="ms", target=25, sense="most"),
        Figure(name=f"{name}: processor time", value=cost, unit="us"),
    ]
    if them is not None:
        other = statistics.median(load.rate for load in found["theirs"])
        theirs_late = statistics.median(load.p99_ms for load in found["theirs"])
        others_cost = cpu["theirs"] / sum(load.requests for load in found["theirs"]) * 1e6
        figures += [
            Figure(name=f"{name}: yardstick, processor time", value=others_cost, unit="us"),
            Figure(name=f"{name}: yardstick", value=other, unit="1/s"),
            Figure(name=f"{name}: yardstick, p99", value=theirs_late, unit="ms"),
            Figure(name=f"{name}: ratio", value=rate / other, unit="x", target=KINDS[kind]),
        ]
    return figures


def crowd(us: Side) -> list[Figure]:
    """Measure memory with many connections that have each sent a request."""
    context = ssl.create_default_context(cafile=str(us.ca))
    port = int(us.url.rpartition(":")[2])
    body = b'{"statement":"SELECT * FROM orders WHERE _id = :i","args":{"i":"o-000000001"}}'
    request = b"POST /execute HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n" % (
        (us.key or "").encode()
    )
    request += b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    connections = []
    for _ in range(CROWD):
        raw = socket.create_connection(("127.0.0.1", port))
        connection = context.wrap_socket(raw, server_hostname="localhost")
        connection.sendall(request)
        connection.recv(65536)
        connections.append(connection)
    held = us.resident_mib()
    for connection in connections:
        connection.close()
    name = f"memory with {CROWD} connections"
    return [Figure(name=name, value=held, unit="MiB", target=150, sense="most")]


def _load(side: str, kind: str, where: Side, folder: Path, turn: int, seconds: int) -> Load:
    words = [f"{side}-{kind}", f"n{turn}", *([where.key] if where.key else [])]
    return drive(folder, where.url, words, seconds)


class Options(argparse.Namespace):
    """What may be chosen."""

    rounds: int
    seconds: int
    save: bool
    alone: bool
    kinds: list[str]


def main() -> None:
    """Print the figures, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6, help="of each round, on each side")
    parser.add_argument("--alone", action="store_true", help="without the yardstick")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args(namespace=Options())
    kinds = options.kinds or list(KINDS)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        folder, a, b = Path(name), Path(name) / "ours", Path(name) / "theirs"
        a.mkdir()
        b.mkdir()
        folder.chmod(0o755)
        with ours(a) as us:
            if options.alone:
                for kind in kinds:
                    figures += compare(kind, us, None, folder, options)
            else:
                with theirs(b) as them:
                    for kind in kinds:
                        figures += compare(kind, us, them, folder, options)
            figures += crowd(us)
    publish("http", figures, save=options.save)


if __name__ == "__main__":
    main()
