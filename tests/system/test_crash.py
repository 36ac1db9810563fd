# SPDX-License-Identifier: Apache-2.0
"""
Acknowledged means on disk: a server that is killed again and again while it writes.

``EDGE_TEST_KILLS`` sets how often (a dozen by default); 200 takes about five minutes.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
from pathlib import Path

import pytest

from tests.system.daemon import Client, connect, running
from tests.system.fixtures import configuration, write_configuration

pytestmark = [pytest.mark.system, pytest.mark.slow]

KILLS = int(os.environ.get("EDGE_TEST_KILLS", "12"))
WRITERS = 4


class Writer(threading.Thread):
    """Inserts documents, two at a time and whole or not at all, and notes what was acknowledged."""

    def __init__(self, client: Client, name: str, acknowledged: set[str]) -> None:
        super().__init__()
        self.client = client
        self.prefix = name
        self.acknowledged = acknowledged

    def run(self) -> None:
        number = 0
        while True:
            ids = [f"{self.prefix}-{number}-{half}" for half in "ab"]
            number += 1
            try:
                answer = self.client.execute(
                    "INSERT INTO t DOCUMENTS (:d)",
                    {"d": [{"_id": each, "text": "x" * 200} for each in ids]},
                )
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                return
            if answer.status == 200:
                self.acknowledged.update(ids)


def stored(client: Client) -> set[str]:
    found = client.execute("SELECT _id FROM t")
    assert found.status == 200, found.body
    return {row["_id"] for row in found.json()["items"]}


@pytest.mark.timeout(KILLS * 10 + 120)
def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """After every kill the store opens clean, and holds all that was acknowledged, in pairs."""
    data = configuration(tls_config="dev_mode")
    path = write_configuration(tmp_path, data)
    chance = random.Random(17)
    acknowledged: set[str] = set()
    for kill in range(KILLS):
        with running(["--config", str(path)], tmp_path) as daemon:
            port = daemon.port
            found = stored(connect(port))
            assert acknowledged <= found, f"lost after kill {kill}"
            for each in found:
                other = each[:-1] + ("b" if each.endswith("a") else "a")
                assert other in found, "half a statement was stored"
            writers = [Writer(connect(port), f"{kill}-{n}", acknowledged) for n in range(WRITERS)]
            for writer in writers:
                writer.start()
            threading.Event().wait(chance.uniform(0.05, 0.6))
            daemon.stop(signal.SIGKILL)
            for writer in writers:
                writer.join(30)
    with running(["--config", str(path)], tmp_path) as daemon:
        assert acknowledged <= stored(connect(daemon.port))
        assert daemon.stop() == 0
    assert len(acknowledged) > KILLS * 10, "the test wrote next to nothing"
