# SPDX-License-Identifier: Apache-2.0
"""Configurations and certificates for system tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DB_ID = "12345678-1234-4123-1234-123456789012"


def write_certificate(
    cert: Path, key: Path, name: str = "localhost", days: int = 30
) -> x509.Certificate:
    """
    Write a self-signed certificate for `name` and localhost, and its key.

    A negative `days` has expired.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    hosts = sorted({name, "localhost"})
    names = [*map(x509.DNSName, hosts), x509.IPAddress(IPv4Address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    cert.write_bytes(certificate.public_bytes(pem))
    key.write_bytes(
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate


def configuration(**http_server: Any) -> dict[str, Any]:
    """Return a configuration as plain data: TLS from cert.pem, any free port, no keys."""
    return {
        "database": {
            "db_id": DB_ID,
            "device_name": "till-1",
            "auth": {
                "server": {
                    "access_token": "local",
                    "auth_url": "https://localhost",
                    "provider": "__playgroundProvider",
                    "enable_cloud_sync": False,
                }
            },
            "persistence_dir": {"path": "./data"},
        },
        "http_server": {
            "listen_addr": "127.0.0.1:0",
            "tls_config": {"cert": "cert.pem", "key": "key.pem"},
            "http_api": True,
            "enable_healthcheck": True,
            **http_server,
        },
        "auth": "dev_mode",
        "logging": {"edge_server": {"level": "info"}},
    }


def write_configuration(folder: Path, data: dict[str, Any]) -> Path:
    """Write a configuration file and, once, the certificate that it names."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    if not (folder / "cert.pem").exists():
        write_certificate(folder / "cert.pem", folder / "key.pem")
    return path
