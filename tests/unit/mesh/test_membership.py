# SPDX-License-Identifier: Apache-2.0
"""Who belongs to a mesh: keys, the authority, certificates, both ends of TLS in memory."""

from __future__ import annotations

import base64
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL

from edge_twisted.config.model import (
    DatabaseConfig,
    Secret,
    ServerAuth,
    SmallPeerOnly,
    TemporaryFolder,
)
from edge_twisted.mesh.links.discovery import MeshNames
from edge_twisted.mesh.trust.authority import Authority, NoAuthority, authority_of
from edge_twisted.mesh.trust.certificates import certified_peer, issue
from edge_twisted.mesh.trust.identity import IdentityUnusable, PeerIdentity, key_file, load_or_make
from edge_twisted.mesh.trust.peer_key import is_peer_key, peer_key
from edge_twisted.mesh.trust.tls import MeshTls
from tests.support.tls import MemoryTls

DB_ID = "12345678-1234-4123-1234-123456789012"
NOW = datetime(2026, 11, 25, tzinfo=UTC)
CURVE = ec.SECP256R1()


def database(token: str = "token-for-tests", **changes: Any) -> DatabaseConfig:
    return evolve(
        DatabaseConfig(
            db_id=DB_ID,
            device_name="till",
            auth=SmallPeerOnly(offline_license_token=Secret(token)),
            persistence_dir=TemporaryFolder(),
        ),
        **changes,
    )


def server_auth(provider: str, token: str = "token-for-tests") -> ServerAuth:
    return ServerAuth(access_token=Secret(token), auth_url="https://localhost", provider=provider)


def authority(of: DatabaseConfig) -> Authority:
    found = authority_of(of)
    assert isinstance(found, Authority)
    return found


def scalar(of: DatabaseConfig) -> int:
    return authority(of).key.private_numbers().private_value


def tls(of: DatabaseConfig, now: datetime = NOW) -> tuple[MeshTls, PeerIdentity]:
    identity = PeerIdentity.of(ec.generate_private_key(CURVE))
    return MeshTls(authority(of), identity, now), identity


def handshake(server: MeshTls, client: MeshTls) -> MemoryTls:
    return MemoryTls.handshake(
        server.serverConnectionForTLS(None),  # type: ignore[arg-type]
        client.clientConnectionForTLS(None),  # type: ignore[arg-type]
    )


def test_the_derivation_is_the_published_one() -> None:
    """The vectors of docs/mesh-protocol.md."""
    small = scalar(database())
    assert f"{small:064x}" == "28d8d405c7b8a17c177a55cfc9eb6e34a270a7a88653ffa35c7501cbb05fd65c"
    server = scalar(database(auth=server_auth("__playgroundProvider")))
    assert f"{server:064x}" == "7abef2126bf34b326fe139ae16810d6d8a8097f466e2c751726d977e9062b763"
    found = authority(database())
    assert peer_key(found.key.public_key()) == "pkA6SNMErRYv443j35gV9QECp38t6vHzY3BqyV6odKSQCv"
    assert found.discovery_key.hex() == (
        "6e451290b71744e96b9ba179ea3fe5b41827c45707920a09cfc161c9ebdf785e"
    )


def test_every_part_of_the_secret_counts() -> None:
    other_id = "12345678-1234-4123-1234-123456789013"
    several = [
        database(),
        database("token-for-testS"),
        database(db_id=other_id),
        database(auth=server_auth("__playgroundProvider")),
    ]
    assert len({scalar(each) for each in several}) == len(several)
    assert scalar(database()) == scalar(database())


def test_with_a_shared_key_the_token_plays_no_part() -> None:
    key = ec.generate_private_key(CURVE)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    shared = Secret(base64.b64encode(der).decode())

    def with_token(token: str) -> DatabaseConfig:
        auth = SmallPeerOnly(offline_license_token=Secret(token), key_b64=shared)
        return database(auth=auth)

    assert scalar(with_token("a")) == scalar(with_token("b")) == key.private_numbers().private_value


def test_another_provider_has_no_authority() -> None:
    none = authority_of(database(auth=server_auth("acme")))
    assert isinstance(none, NoAuthority)
    assert "'acme'" in none.reason
    assert "token-for-tests" not in repr(none)


def test_secrets_do_not_show() -> None:
    found = authority(database())
    assert found.discovery_key.hex() not in repr(found)
    assert "key=" not in repr(found).replace("discovery_key=", "")


def test_members_know_each_other() -> None:
    """Each built the authority's certificate for itself; a clock decades off changes nothing."""
    (server, server_id), (client, client_id) = (
        tls(database()),
        tls(database(), NOW - timedelta(days=9000)),
    )
    pair = handshake(server, client)
    assert pair.client.get_protocol_version_name() == "TLSv1.3"
    assert certified_peer(pair.peer) == server_id.peer_key
    shown = pair.server.get_peer_certificate(as_cryptography=True)
    assert shown is not None
    assert certified_peer(shown) == client_id.peer_key


@pytest.mark.parametrize(
    "other",
    [database("another token"), database(db_id="12345678-1234-4123-1234-123456789013")],
    ids=["token", "db_id"],
)
def test_strangers_are_refused(other: DatabaseConfig) -> None:
    (server, _), (client, _) = tls(database()), tls(other)
    with pytest.raises(SSL.Error, match="certificate verify failed"):
        handshake(server, client)


def test_a_client_without_a_certificate_is_refused() -> None:
    server, _ = tls(database())
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    with pytest.raises(SSL.Error, match="did not return a certificate"):
        MemoryTls.handshake(
            server.serverConnectionForTLS(None),  # type: ignore[arg-type]
            SSL.Connection(context),
        )


def test_tls_1_2_is_refused() -> None:
    server, _ = tls(database())
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    with pytest.raises(SSL.Error, match="unsupported protocol"):
        MemoryTls.handshake(
            server.serverConnectionForTLS(None),  # type: ignore[arg-type]
            SSL.Connection(context),
        )


def test_a_certificate_names_its_own_key() -> None:
    """A member may issue what it likes; only a certificate whose name is its key names a peer."""
    key = authority(database()).key
    member, other = ec.generate_private_key(CURVE), ec.generate_private_key(CURVE)
    made = issue(key, member.public_key(), NOW)
    assert certified_peer(made) == peer_key(member.public_key())
    builder = issue(key, other.public_key(), NOW)
    assert certified_peer(builder) != peer_key(member.public_key())
    assert made.not_valid_before_utc == NOW - timedelta(days=1)
    assert made.not_valid_after_utc > NOW + timedelta(days=5 * 365)


def test_the_identity_is_made_once(tmp_path: Path) -> None:
    path = key_file(tmp_path, DB_ID)
    old = os.umask(0)
    try:
        made = load_or_make(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert load_or_make(path).peer_key == made.peer_key
    assert is_peer_key(made.peer_key)
    assert "key=" not in repr(made).replace("peer_key=", "")


def test_a_half_written_key_of_a_crash_is_no_key(tmp_path: Path) -> None:
    path = key_file(tmp_path, DB_ID)
    path.with_name(f".{path.name}.new").write_bytes(b"-----BEGIN PRIV")
    assert load_or_make(path).peer_key == load_or_make(path).peer_key


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_damaged_identity_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = key_file(tmp_path, DB_ID)
    path.write_bytes(content)
    with pytest.raises(IdentityUnusable, match="restore it from a backup"):
        load_or_make(path)
    assert path.read_bytes() == content


def test_a_key_of_another_curve_is_no_identity(tmp_path: Path) -> None:
    path = key_file(tmp_path, DB_ID)
    other = ec.generate_private_key(ec.SECP384R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(IdentityUnusable, match="P-256"):
        load_or_make(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(IdentityUnusable, match="missing"):
        load_or_make(tmp_path / "missing" / "key.pem")


@pytest.mark.parametrize(
    "text", ["", "pk", "pk" + "A" * 43, "PK" + "A" * 44, "pk" + "A" * 43 + "="]
)
def test_other_texts_are_no_peer_keys(text: str) -> None:
    assert not is_peer_key(text)


def test_the_published_derivation() -> None:
    """docs/mesh-protocol.md has what another implementation needs to join, with these values."""
    page = (Path(__file__).parents[3] / "docs" / "mesh-protocol.md").read_text("utf-8")
    text = "correct horse battery staple"
    found = authority(database(text))
    assert f"`{text}`" in page and DB_ID in page
    assert f"`{peer_key(found.key.public_key())}`" in page
    assert f"`{MeshNames(found.discovery_key, DB_ID).prefix.rstrip('-')}`" in page
