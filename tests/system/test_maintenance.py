# SPDX-License-Identifier: Apache-2.0
"""A server with very many collections: its maintenance comes to an end, and so does the server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.system.daemon import Client, Daemon, connect, environment, program, running
from tests.system.fixtures import configuration, write_configuration

pytestmark = pytest.mark.system

COLLECTIONS = 2_000
#: Statements of one transaction.
AT_ONCE = 1_000
#: What the issue promises for every stop; a loaded machine keeps it, for a stop hardly computes.
STOP_SECONDS = 10.0

#: The daemon, with the first round of maintenance at once instead of a minute after the start.
_WITH_EARLY_MAINTENANCE = """
from edge_twisted.store.housekeeping import Retention
Retention.__init__.__kwdefaults__["first_run_seconds"] = 0.0
from twisted.scripts.twistd import run
run()
"""


@contextmanager
def maintaining(path: Path, folder: Path) -> Iterator[Daemon]:
    """Start the daemon on a configuration file; it begins its maintenance at once."""
    process = subprocess.Popen(
        [
            *program("python"),
            "-c",
            _WITH_EARLY_MAINTENANCE,
            *("-n", "--pidfile=", "edgeserver", "--config", str(path)),
        ],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Daemon(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def delete_in_many_collections(client: Client) -> None:
    """Leave a tombstone in each of many collections."""
    statements = [
        statement
        for number in range(COLLECTIONS)
        for statement in (
            f"INSERT INTO c{number} DOCUMENTS ({{'_id': 1}}), ({{'_id': 2}})",
            f"DELETE FROM c{number} WHERE _id = 1",
        )
    ]
    for begin in range(0, len(statements), AT_ONCE):
        some = [{"statement": text} for text in statements[begin : begin + AT_ONCE]]
        body = json.dumps({"statements": some}).encode()
        answer = client.request("POST", "/transaction", body, Content_Type="application/json")
        assert answer.status == 200, answer.body


def test_a_stop_during_maintenance_of_many_collections(tmp_path: Path) -> None:
    """The reaper looks at each collection once, and SIGTERM ends the server while it does."""
    path = write_configuration(tmp_path, configuration(tls_config="dev_mode"))
    with running(["--config", str(path)], tmp_path) as daemon:
        delete_in_many_collections(connect(daemon.port))
        assert daemon.stop() == 0
    with maintaining(path, tmp_path) as daemon:
        assert connect(daemon.port).execute("SELECT count(*) AS n FROM c1").status == 200
        begun = monotonic()
        assert daemon.stop() == 0
        assert monotonic() - begun < STOP_SECONDS
