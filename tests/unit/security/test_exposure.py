# SPDX-License-Identifier: Apache-2.0
"""What every user of the machine gets at is warned of: key, data folder, configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_twisted.security.exposure import is_open_to_all
from edge_twisted.services.configuration import read_configuration
from tests.system.fixtures import configuration, write_configuration


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder to which the way is open; that of pytest's own is closed."""
    closed = [each for each in (tmp_path, *tmp_path.parents) if not each.stat().st_mode & 0o001]
    modes = [each.stat().st_mode for each in closed]
    for each in closed:
        each.chmod(each.stat().st_mode | 0o001)
    yield tmp_path
    for each, mode in zip(closed, modes, strict=True):
        each.chmod(mode)


@pytest.mark.parametrize(
    ("mode", "is_open"), [(0o600, False), (0o640, False), (0o660, False), (0o644, True)]
)
def test_a_file(folder: Path, mode: int, is_open: bool) -> None:
    path = folder / "file"
    path.touch()
    path.chmod(mode)
    assert is_open_to_all(path) is is_open


@pytest.mark.parametrize(("mode", "is_open"), [(0o700, False), (0o750, False), (0o755, True)])
def test_a_folder_and_what_is_below(folder: Path, mode: int, is_open: bool) -> None:
    inner = folder / "inner"
    inner.mkdir()
    inner.chmod(mode)
    below = inner / "file"
    below.touch()
    below.chmod(0o644)
    link = folder / "link"
    link.symlink_to(below)
    assert [is_open_to_all(path) for path in (inner, below, link)] == [is_open] * 3


def test_what_is_not_there_is_not_open(folder: Path) -> None:
    assert not is_open_to_all(folder / "missing")


def warnings(path: Path) -> list[str]:
    return [str(each) for each in read_configuration(path, {}).warnings if "chmod" in str(each)]


def test_each_is_warned_of_and_named(folder: Path) -> None:
    settings = configuration()
    settings["database"]["auth"] = {"small_peer_only": {"offline_license_token": "a-secret-token"}}
    path = write_configuration(folder, settings)
    data = folder / "data"
    data.mkdir()
    for each, mode in ((path, 0o640), (folder / "key.pem", 0o640), (data, 0o750)):
        each.chmod(mode)
    assert warnings(path) == []
    for each, mode in ((path, 0o644), (folder / "key.pem", 0o644), (data, 0o755)):
        each.chmod(mode)
    told = warnings(path)
    assert len(told) == 3
    for what in (
        f"{path}: warning: holds secrets, and every user of this machine can read it",
        "database.persistence_dir.path: every user of this machine can enter",
        f"http_server.tls_config.key: {folder}/key.pem can be read by every user",
    ):
        assert any(what in each for each in told)


def test_a_token_that_everybody_knows_is_no_secret(folder: Path) -> None:
    path = write_configuration(folder, configuration())
    path.chmod(0o644)
    (folder / "key.pem").chmod(0o600)
    assert warnings(path) == []
