# SPDX-License-Identifier: Apache-2.0
"""
The load of `bench.soak`: what a busy site asks of its server, at a modest rate, for as long as it
takes.

All that it writes goes to a bounded set of ids, so that a server that grows does so by itself.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from attrs import define, field

from bench.http_load import DOCUMENTS, document
from bench.http_sides import Side
from edge_twisted.security.api_keys import generate

#: Documents of the soak's own collection, and customers that they belong to.
IDS = 2_000
CUSTOMERS = 200
#: Uploaded blobs; one of this many is named by a document and comes down again.
BLOBS = 20
BLOB_BYTES = 64 * 1024
#: Connections of the modest rate, and of a flood.
WORKERS = 8
FLOOD_WORKERS = 48
#: Of one request in so many the worker makes a new TLS connection first.
RECONNECT_EVERY = 50


@define
class Tally:
    """What was asked since the last look, by kind; latencies in seconds."""

    counts: dict[str, int] = field(factory=dict)
    latencies: list[float] = field(factory=list)
    failures: int = 0
    floods: int = 0


@define(eq=False)
class Account:
    """Where all workers note what they did."""

    _tally: Tally = field(factory=Tally)
    _lock: threading.Lock = field(factory=threading.Lock)
    #: The last failures in words, for the reader of a run that failed.
    problems: deque[str] = field(factory=lambda: deque(maxlen=20))

    def note(self, kind: str, seconds: float | None) -> None:
        """Count a request; `seconds` None: it does not count among the latencies."""
        with self._lock:
            self._tally.counts[kind] = self._tally.counts.get(kind, 0) + 1
            if seconds is not None:
                self._tally.latencies.append(seconds)

    def failed(self, problem: str) -> None:
        """Count a request that went wrong."""
        with self._lock:
            self._tally.failures += 1
            self.problems.append(problem)

    def flooded(self) -> None:
        """Count a flood."""
        with self._lock:
            self._tally.floods += 1

    def take(self) -> Tally:
        """Return what was noted since the last call."""
        with self._lock:
            taken, self._tally = self._tally, Tally()
        return taken


class Worker(threading.Thread):
    """
    One connection that sends one request after another until it is told to stop.

    :param pause_seconds: between the beginnings of two requests; 0: as fast as it gets answers.
    :param is_flood: its latencies are not those of the modest rate.
    """

    def __init__(
        self, side: Side, account: Account, seed: int, pause_seconds: float, *, is_flood: bool
    ) -> None:
        super().__init__(daemon=True)
        self._side = side
        self._account = account
        self._chance = random.Random(seed)
        self._pause_seconds = pause_seconds
        self._is_flood = is_flood
        self._ended = threading.Event()
        self._tls = ssl.create_default_context(cafile=str(side.ca))
        self._connection = self._connected()
        self._wrong_key = generate().key

    def end(self) -> None:
        """Let the request under way be the last."""
        self._ended.set()

    def run(self) -> None:
        due = monotonic()
        while not self._ended.is_set():
            due = max(due + self._pause_seconds, monotonic() - 1.0)
            self._ended.wait(max(0.0, due - monotonic()))
            kind, ask = self._chosen()
            begun = monotonic()
            try:
                ask()
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._account.failed(f"{kind}: {type(error).__name__}: {error}")
                self._connection.close()
                self._connection = self._connected()
                continue
            self._account.note(kind, None if self._is_flood else monotonic() - begun)
        self._connection.close()

    def _chosen(self) -> tuple[str, Callable[[], None]]:
        if self._chance.randrange(RECONNECT_EVERY) == 0:
            self._connection.close()
            self._connection = self._connected()
            return "new connection", self._select
        [found] = self._chance.choices(
            (
                ("insert", self._insert),
                ("update", self._update),
                ("delete", self._delete),
                ("select", self._select),
                ("filter", self._filter),
                ("join", self._join),
                ("upload", self._upload),
                ("download", self._download),
                ("wrong key", self._refused),
                ("syntax error", self._mistaken),
            ),
            weights=(24, 14, 8, 20, 15, 6, 1, 6, 4, 2),
        )
        return found

    # -- requests

    def _insert(self) -> None:
        new = {
            "_id": self._id(),
            "customer": self._chance.randrange(CUSTOMERS),
            "order_id": document(self._chance.randrange(DOCUMENTS))["_id"],
            "status": self._chance.choice(("open", "paid", "void")),
            "note": "n" * self._chance.randrange(400),
        }
        self._execute("INSERT INTO soak DOCUMENTS (:d) ON ID CONFLICT DO UPDATE", d=new)

    def _update(self) -> None:
        self._execute("UPDATE soak SET status = :s WHERE _id = :id", s="paid", id=self._id())

    def _delete(self) -> None:
        self._execute("DELETE FROM soak WHERE _id = :id", id=self._id())

    def _select(self) -> None:
        self._execute("SELECT * FROM soak WHERE _id = :id", id=self._id())

    def _filter(self) -> None:
        customer = self._chance.randrange(CUSTOMERS)
        self._execute("SELECT * FROM soak WHERE customer = :c", c=customer)

    def _join(self) -> None:
        self._execute(
            "SELECT s._id, o.total FROM soak s JOIN orders o ON o._id = s.order_id"
            " WHERE s.customer = :c LIMIT 20",
            c=self._chance.randrange(CUSTOMERS),
        )

    def _upload(self) -> None:
        boundary = "soak-boundary"
        content = self._chance.randbytes(BLOB_BYTES)
        body = b"".join(
            (
                f"--{boundary}\r\nContent-Disposition: form-data; name=file; filename=b\r\n"
                "Content-Type: application/octet-stream\r\n\r\n".encode(),
                content,
                f"\r\n--{boundary}--\r\n".encode(),
            )
        )
        kind = f"multipart/form-data; boundary={boundary}"
        token = json.loads(self._ask("POST", "/attachments/upload", body, 201, kind))
        blob = {"_id": f"blob-{self._chance.randrange(BLOBS)}", "file": token}
        self._execute("INSERT INTO blobs DOCUMENTS (:d) ON ID CONFLICT DO UPDATE", d=blob)

    def _download(self) -> None:
        rows = self._execute(
            "SELECT * FROM blobs WHERE _id = :id", id=f"blob-{self._chance.randrange(BLOBS)}"
        )
        for row in rows:
            # It may just have lost its document to another worker.
            self._ask("GET", f"/attachments/{row['file']['id']}", None, (200, 404))

    def _refused(self) -> None:
        self._ask("POST", "/execute", b'{"statement":"SELECT 1"}', 401, key=self._wrong_key)

    def _mistaken(self) -> None:
        text = f"SELEC {self._chance.randrange(10**9)}"
        self._ask("POST", "/execute", json.dumps({"statement": text}).encode(), 400)

    # -- inner

    def _id(self) -> str:
        return f"s-{self._chance.randrange(IDS)}"

    def _execute(self, statement: str, **args: object) -> list[Any]:
        body = json.dumps({"statement": statement, "args": args}).encode()
        found: list[Any] = json.loads(self._ask("POST", "/execute", body, 200))["items"]
        return found

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        wanted: int | tuple[int, ...],
        kind: str = "application/json",
        *,
        key: str | None = None,
    ) -> bytes:
        """:raises ValueError: the answer has another status than `wanted`."""
        heads = {"Authorization": f"Bearer {key or self._side.key}", "Content-Type": kind}
        self._connection.request(method, path, body, heads)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status not in (wanted if isinstance(wanted, tuple) else (wanted,)):
            raise ValueError(f"{path} answered {answer.status}: {text[:200].decode('utf-8', '?')}")
        return text

    def _connected(self) -> http.client.HTTPSConnection:
        port = int(self._side.url.rpartition(":")[2])
        return http.client.HTTPSConnection("localhost", port, context=self._tls, timeout=60)


def flood(side: Side, account: Account, seconds: float, ended: threading.Event) -> None:
    """Ask as fast as answers come, over many new connections, for so long."""
    account.flooded()
    workers = [
        Worker(side, account, 1_000 + number, 0.0, is_flood=True) for number in range(FLOOD_WORKERS)
    ]
    for worker in workers:
        worker.start()
    ended.wait(seconds)
    for worker in workers:
        worker.end()
    for worker in workers:
        worker.join(60)
