# SPDX-License-Identifier: Apache-2.0
"""The two servers of `bench.http`, each in processes of its own and a folder of its own."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import yaml
from attrs import frozen

from bench.http_load import DOCUMENTS, document
from edge_twisted.security.api_keys import generate
from edge_twisted.security.development import development_certificate

ROOT = Path(__file__).parents[1]
DB_ID = "12345678-1234-4123-1234-123456789012"


@frozen(kw_only=True)
class Side:
    """A server that runs: where, its process, and what a client must send along."""

    url: str
    pid: int
    key: str | None = None
    ca: Path | None = None
    #: The process of a database beside it, whose children work for it.
    database: int | None = None

    def cpu_seconds(self) -> float:
        """Return the processor time that its processes have taken, a database's included."""
        pids = [self.pid]
        if self.database is not None:
            own = Path(f"/proc/{self.database}/task/{self.database}/children").read_text()
            pids += [self.database, *map(int, own.split())]
        ticks = 0
        for pid in pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            # With what children took that have ended, as backends do now and then.
            ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Return how much memory it holds."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def ours(folder: Path, *, hashes: Sequence[str] = (), checkout: Path = ROOT) -> Iterator[Side]:
    """
    Run the daemon: TLS, keys, audit log, throttling that counts and never refuses.

    `hashes` are of keys that may call beside the one of `Side.key`; `checkout` has the code.
    """
    made, now = generate(), datetime.now(UTC)
    tls = development_certificate(folder, "localhost", now)
    limits = [
        {"strategy": name, "max_requests": 10**9, "window_secs": 60}
        for name in ("ip_address", "api_key")
    ]
    server = {"access_token": "t", "auth_url": "https://localhost", "provider": "p"}
    data = {
        "database": {
            "db_id": DB_ID,
            "device_name": "bench",
            "auth": {"server": {**server, "enable_cloud_sync": False}},
            "persistence_dir": {"path": str(folder / "data")},
        },
        "http_server": {
            "listen_addr": "127.0.0.1:0",
            "tls_config": {"cert": str(tls.files.cert), "key": str(tls.files.key)},
            "http_api": True,
            "throttling": {"strategies": limits},
        },
        "auth": {
            "identities": {
                f"a{number}": {"credential": {"api_key": each}, "permissions": ["all"]}
                for number, each in enumerate((made.hash, *hashes))
            },
            "permission_sets": {"all": {"permissions": "full"}},
        },
        "logging": {"edge_server": {"audit_logs": {"path": str(folder / "audit")}}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(data))
    words = ["-n", "--pidfile=", "edgeserver", "--config", str(folder / "config.yaml")]
    twistd = "from twisted.scripts.twistd import run; run()"
    words = [sys.executable, "-c", twistd, *words]
    with _process(words, folder, PYTHONPATH=str(checkout)) as (process, output):
        port = int(_wait_for(output, process, r'Listening on [^"]*:(\d+)'))
        side = Side(
            url=f"https://127.0.0.1:{port}", pid=process.pid, key=made.key, ca=tls.files.cert
        )
        _fill_ours(side, port)
        yield side


@contextmanager
def theirs(folder: Path) -> Iterator[Side]:
    """Run PostgreSQL and the application before it."""
    with _postgres(folder) as (dsn, postmaster):
        rows = "\n".join(json.dumps(document(n)) for n in range(DOCUMENTS))
        _psql(
            dsn,
            "CREATE TABLE orders (id text PRIMARY KEY, doc jsonb NOT NULL);"
            "CREATE INDEX ON orders (((doc->>'customer')::int));"
            "CREATE TEMP TABLE raw (doc jsonb);\nCOPY raw FROM STDIN;\n" + rows + "\n\\.\n"
            "INSERT INTO orders SELECT doc->>'_id', doc FROM raw; ANALYZE orders;",
        )
        port = 8000 + os.getpid() % 1000
        words = ["-m", "uvicorn", "bench.http_yardstick:app", "--port", str(port), "--workers", "1"]
        words += ["--log-level", "warning", "--no-access-log"]
        with _process([sys.executable, *words], folder, YARDSTICK_DSN=dsn) as (process, output):
            _until_connected(port, process, output)
            url = f"http://127.0.0.1:{port}"
            yield Side(url=url, pid=process.pid, database=postmaster)


# -- inner


def _fill_ours(side: Side, port: int) -> None:
    context = ssl.create_default_context(cafile=str(side.ca))
    connection = http.client.HTTPSConnection("localhost", port, context=context)
    fields = {"Authorization": f"Bearer {side.key}", "Content-Type": "application/json"}

    def run(statement: str, args: dict[str, object]) -> None:
        body = json.dumps({"statement": statement, "args": args})
        connection.request("POST", "/execute", body, fields)
        response = connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise RuntimeError(text.decode())

    run("CREATE INDEX by_customer ON orders (customer)", {})
    for start in range(0, DOCUMENTS, 500):
        documents = [document(n) for n in range(start, start + 500)]
        run("INSERT INTO orders DOCUMENTS (:all)", {"all": documents})
    connection.close()


@contextmanager
def _postgres(folder: Path) -> Iterator[tuple[str, int]]:
    """Run a cluster of its own, as an unprivileged user, over a unix socket only."""
    initdb = shutil.which("initdb") or ""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    binaries = found[-1].parent if found else Path(initdb).resolve().parent
    data = folder / "cluster"
    data.mkdir()
    user: int | None = None
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres" if _has_account("postgres") else "nobody")
        user = account.pw_uid
        folder.chmod(0o755)
        os.chown(data, account.pw_uid, account.pw_gid)
    words = [str(binaries / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "--no-sync"]
    subprocess.run(words, check=True, capture_output=True, user=user, cwd=data)
    # As it comes but for where it listens and memory that any administrator would give it.
    server = [str(binaries / "postgres"), "-D", str(data), "-k", str(data), "-h", ""]
    server += ["-c", "shared_buffers=512MB"]
    process = subprocess.Popen(server, user=user, cwd=data, stderr=subprocess.DEVNULL)
    dsn = f"postgresql://bench@/postgres?host={data}"
    try:
        for _ in range(100):
            ready = subprocess.run(
                [str(binaries / "pg_isready"), "-q", "-h", str(data)], check=False
            )
            if ready.returncode == 0:
                break
            time.sleep(0.1)
        yield dsn, process.pid
    finally:
        process.terminate()
        process.wait()


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _psql(dsn: str, script: str) -> None:
    subprocess.run(
        ["psql", "-q", "-v", "ON_ERROR_STOP=1", dsn], input=script, text=True, check=True
    )


@contextmanager
def _process(
    words: list[str], folder: Path, **extra: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    output = folder / "output.txt"
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **extra}
    with output.open("wb") as sink:
        process = subprocess.Popen(words, cwd=folder, env=environ, stdout=sink, stderr=sink)
    try:
        yield process, output
    finally:
        process.terminate()
        process.wait()


def _wait_for(output: Path, process: subprocess.Popen[bytes], pattern: str) -> str:
    for _ in range(300):
        found = re.search(pattern, output.read_text())
        if found is not None:
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(output.read_text())


def _until_connected(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    for _ in range(300):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.connect()
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            connection.close()
            return
    raise RuntimeError(output.read_text())
