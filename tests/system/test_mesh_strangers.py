# SPDX-License-Identifier: Apache-2.0
"""Strangers at the mesh's port of a real daemon, who come again whenever they are sent away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_twisted.mesh.wire import messages as m
from tests.system.mesh_member import PREY, Member
from tests.system.mesh_site import MESH_TOKEN, PATIENCE_SECONDS, Site, site, started
from tests.system.mesh_strangers import KINDS, strangers

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = site("door", tmp_path_factory.mktemp("door") / "site", [], [PREY])
    with started(made):
        yield made


def gets_in(server: Site, folder: Path, address: str) -> bool:
    """Dial as honest peers do, again and again; return whether the server says hello in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = 0.1
    while time.monotonic() < deadline:
        try:
            member = Member(server.mesh_port, MESH_TOKEN, folder, address)
            member.hello()
            member.wait_for(m.Hello)
            member.close()
        except (OSError, AssertionError):
            time.sleep(pause)
            pause = min(2 * pause, 1.0)
        else:
            return True
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_peer_gets_in_under_a_thousand_of_fifty_addresses(
    server: Site, tmp_path: Path, kind: str
) -> None:
    with strangers(server.mesh_port, 1000, 50, kind):
        assert gets_in(server, tmp_path, "127.1.0.1")


def test_an_honest_peer_gets_in_from_behind_the_address_of_the_strangers(
    server: Site, tmp_path: Path
) -> None:
    """It may have to try again: it has the same chance as each of them."""
    with strangers(server.mesh_port, 40, 1, "silent", pause_seconds=1.0):
        assert gets_in(server, tmp_path, "127.0.0.1")
