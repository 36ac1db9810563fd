# SPDX-License-Identifier: Apache-2.0
"""What a start makes of a certificate whose date is wrong, and `config validate` beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_twisted.config.problems import ConfigurationError
from edge_twisted.services.configuration import read_configuration, read_for_start
from tests.system.fixtures import configuration, write_certificate, write_configuration


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_configuration(tmp_path, configuration())


def test_a_date_is_a_warning_for_a_start_and_an_error_for_a_check(path: Path) -> None:
    write_certificate(path.parent / "cert.pem", path.parent / "key.pem", days=-1)
    (warning,) = [each for each in read_for_start(path, {}).warnings if "cert.pem" in each.what]
    assert "http_server.tls_config.cert: " in str(warning)
    assert str(warning).endswith("renew it; HTTPS begins when a valid one is there")
    with pytest.raises(ConfigurationError, match="expired"):
        read_configuration(path, {})


def mismatch(folder: Path) -> None:
    write_certificate(folder / "other.pem", folder / "key.pem")


@pytest.mark.parametrize("spoil", [mismatch, lambda folder: (folder / "key.pem").unlink()])
def test_what_no_date_mends_ends_a_start(path: Path, spoil: Callable[[Path], None]) -> None:
    write_certificate(path.parent / "cert.pem", path.parent / "key.pem", days=-1)
    spoil(path.parent)
    with pytest.raises(ConfigurationError):
        read_for_start(path, {})


def test_a_good_one_is_no_warning(path: Path) -> None:
    assert not [each for each in read_for_start(path, {}).warnings if "cert.pem" in each.what]
