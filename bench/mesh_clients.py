# SPDX-License-Identifier: Apache-2.0
"""
Two clients of a mesh, each a process: one writes documents, the other waits for each to show.

Both clocks are the machine's monotonic one, so the moments of the two can be compared.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

from attrs import frozen

from tests.system.daemon import Client, connect
from tests.system.mesh_site import Site

#: Time between two writes: the reader has seen a document before the next one is written.
PAUSE_SECONDS = 0.03
PATIENCE_SECONDS = 30.0


@frozen
class Server:
    """Where a client connects."""

    port: int
    certificate: Path
    key: str

    @classmethod
    def of(cls, where: Site) -> Server:
        """Return the address and credentials of a running server."""
        return cls(where.port, where.folder / "cert.pem", where.key)


def visible_ms(here: Site, there: Site, name: str, count: int) -> list[float]:
    """
    Return for each of `count` documents the ms from its acknowledgement to the first read.

    It is 0 for a document that was read before its writer had the acknowledgement.
    """
    start = multiprocessing.get_context("spawn")
    ends: list[Connection] = []
    for client, server in ((write, here), (read, there)):
        ours, theirs = start.Pipe()
        start.Process(target=client, args=(Server.of(server), name, count, theirs)).start()
        theirs.close()
        ends.append(ours)
    for end in ends:
        assert end.recv() == "ready"
    for end in ends:
        end.send("go")
    acknowledged, seen = [end.recv() for end in ends]
    return [max(0.0, at - since) * 1000 for since, at in zip(acknowledged, seen, strict=True)]


def begin(server: Server, end: Connection) -> Client:
    """Connect, say so, and return the client once both are to begin."""
    client = connect(server.port, server.certificate, server.key)
    client.execute("SELECT 1 AS n")
    end.send("ready")
    end.recv()
    return client


def write(server: Server, name: str, count: int, end: Connection) -> None:
    """Insert documents one by one; tell when each was acknowledged."""
    client = begin(server, end)
    moments = []
    for number in range(count):
        time.sleep(PAUSE_SECONDS)
        made = {"_id": f"{name}-{number}", "n": number}
        answer = client.execute("INSERT INTO tasks DOCUMENTS (:made)", {"made": made})
        moments.append(time.monotonic())
        assert answer.status == 200, answer.body
    end.send(moments)


def read(server: Server, name: str, count: int, end: Connection) -> None:
    """Ask for each document until it is there; tell when that was."""
    client = begin(server, end)
    moments = []
    for number in range(count):
        deadline = time.monotonic() + PATIENCE_SECONDS
        id_ = {"id": f"{name}-{number}"}
        while not client.execute("SELECT _id FROM tasks WHERE _id = :id", id_).json()["items"]:
            assert time.monotonic() < deadline, id_
        moments.append(time.monotonic())
    end.send(moments)
