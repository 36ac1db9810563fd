# SPDX-License-Identifier: Apache-2.0
"""The certificate of the first start: made once, kept, and good enough for strict clients."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat
from twisted.protocols.tls import TLSMemoryBIOProtocol

from edge_twisted.config.model import TlsFiles
from edge_twisted.security.certificate_errors import KeyEncrypted
from edge_twisted.security.certificates import check_files
from edge_twisted.security.development import development_certificate
from edge_twisted.security.tls import ReloadableTlsContext
from tests.support.certificates import NOW, issue
from tests.support.tls import stdlib_handshake


def make(folder: Path, hostname: str = "till-7") -> TlsFiles:
    return development_certificate(folder, hostname, NOW).files


def names(files: TlsFiles) -> tuple[str, ...]:
    certificate = check_files(files.cert, files.key, "localhost", NOW).certificate
    assert certificate
    return certificate.names


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    made = development_certificate(tmp_path, "till-7", NOW)
    assert made.created
    content = made.files.cert.read_bytes(), made.files.key.read_bytes()
    again = development_certificate(tmp_path, "till-7", NOW)
    assert not again.created
    assert again.files == made.files
    assert (made.files.cert.read_bytes(), made.files.key.read_bytes()) == content
    assert sorted(tmp_path.iterdir()) == sorted([made.files.cert, made.files.key])


def test_the_key_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files = make(tmp_path)
    finally:
        os.umask(before)
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert files.cert.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("hostname", "more"),
    [
        ("till-7", ("till-7", "till-7.local")),
        ("Till-7.Shop.Example.", ("till-7.shop.example",)),
        ("localhost", ()),
        ("", ()),
        ("bad_name", ()),
        ("kasse-ü", ()),
        ("x" * 300, ()),
    ],
)
def test_it_names_the_machine(hostname: str, more: tuple[str, ...], tmp_path: Path) -> None:
    assert set(names(make(tmp_path, hostname))) == {"localhost", "127.0.0.1", "::1", *more}


def test_an_expired_one_is_replaced(tmp_path: Path) -> None:
    old = issue(end=NOW - timedelta(days=1))
    files = old.write(tmp_path, cert="dev-cert.pem", key="dev-key.pem")
    assert development_certificate(tmp_path, "till-7", NOW).created
    assert files.cert.read_bytes() != old.cert_pem
    assert files.key.stat().st_mode & 0o777 == 0o600


def test_one_of_a_clock_that_was_ahead_is_replaced(tmp_path: Path) -> None:
    old = issue(begin=NOW + timedelta(days=1))
    old.write(tmp_path, cert="dev-cert.pem", key="dev-key.pem")
    assert development_certificate(tmp_path, "till-7", NOW).created


@pytest.mark.parametrize("left", ["dev-cert.pem", "dev-key.pem"])
def test_half_a_pair_is_replaced(left: str, tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / left).unlink()
    assert names(make(tmp_path))


def test_what_somebody_put_there_is_not_destroyed(tmp_path: Path) -> None:
    pair = issue()
    files = pair.write(tmp_path, cert="dev-cert.pem", key="dev-key.pem")
    encrypted = pair.encrypted_key_pem(PrivateFormat.PKCS8)
    files.key.write_bytes(encrypted)
    with pytest.raises(KeyEncrypted):
        make(tmp_path)
    assert files.key.read_bytes() == encrypted


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        make(tmp_path / "missing")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "till-7.local"])
def test_a_strict_client_accepts_it_by_each_of_its_names(host: str, tmp_path: Path) -> None:
    """What newer Pythons demand by default: RFC 5280 to the letter."""
    # OpenSSL looks at the real clock.
    now = datetime.now(UTC)
    files = development_certificate(tmp_path, "till-7", now).files
    certificate = check_files(files.cert, files.key, "localhost", now).certificate
    assert certificate
    context = ssl.create_default_context(cafile=str(files.cert))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    tls = ReloadableTlsContext(certificate)
    server = tls.serverConnectionForTLS(cast(TLSMemoryBIOProtocol, None))
    assert stdlib_handshake(server, context, host).version() == "TLSv1.3"
