# SPDX-License-Identifier: Apache-2.0
"""
The configuration that is used without ``--config``: a server to try, on this machine only.

It is equivalent to this file in the current folder, with a certificate that is made on the first
start::

    database:
      db_id: "00000000-0000-4000-8000-000000000000"
      device_name: "edge-device"
      auth: {server: {..., enable_cloud_sync: false}}
      transport_config: {peer_to_peer: {lan_enabled: false}}
    http_server:
      listen_addr: "localhost:8443"
      tls_config: {cert: edge-data/tls/dev-cert.pem, key: edge-data/tls/dev-key.pem}
      http_api: true
      enable_healthcheck: true
      serve_docs: true
      enable_metrics: true
    auth: dev_mode
"""

from __future__ import annotations

from pathlib import Path

from edge_twisted.config.model import (
    Configuration,
    DatabaseConfig,
    Endpoint,
    HttpApi,
    HttpServer,
    PeerToPeer,
    Secret,
    ServerAuth,
    TcpAddress,
    TlsFiles,
    TransportConfig,
)

PORT = 8443
_MIB = 2**20


def embedded_configuration(folder: Path) -> Configuration:
    """Return the configuration of a server that keeps everything in ``edge-data/`` of `folder`."""
    data = folder / "edge-data"
    on = Endpoint(enabled=True)
    return Configuration(
        path=folder / "(embedded)",
        database=DatabaseConfig(
            db_id="00000000-0000-4000-8000-000000000000",
            device_name="edge-device",
            auth=ServerAuth(
                access_token=Secret("local"),
                auth_url="https://localhost",
                provider="__playgroundProvider",
                enable_cloud_sync=False,
            ),
            persistence_dir=data,
            # Its token is known to everybody: on a network it would let anyone in.
            transport=TransportConfig(peer_to_peer=PeerToPeer(lan_enabled=False)),
        ),
        http_server=HttpServer(
            listen_addr=TcpAddress(host="localhost", port=PORT),
            tls=TlsFiles(cert=data / "tls" / "dev-cert.pem", key=data / "tls" / "dev-key.pem"),
            http_api=HttpApi(
                execute=Endpoint(enabled=True, max_body_bytes=2 * _MIB),
                attachments_upload=Endpoint(enabled=True, max_body_bytes=50 * _MIB),
                attachments_download=on,
                presence=on,
                logs=on,
            ),
            enable_healthcheck=True,
            serve_docs=True,
            enable_metrics=True,
        ),
        auth=None,
    )


def welcome(tls: TlsFiles, port: int, made: bool) -> str:
    """Return what a newcomer is told once the embedded server serves: a request to paste."""
    first = "Made a development certificate:" if made else "Development certificate:"
    base = f"curl --cacert {tls.cert} -H 'Content-Type: application/json' https://localhost:{port}"
    store = (
        '{"statement": "INSERT INTO tasks DOCUMENTS (:task) ON ID CONFLICT DO UPDATE", '
        '"args": {"task": {"_id": "t1", "title": "Refuel", "done": false}}}'
    )
    select = '{"statement": "SELECT * FROM tasks WHERE done = false"}'
    return (
        f"\n{first} {tls.cert} (key: {tls.key})\n"
        f"Serving https://localhost:{port} on this machine only, without keys, for trying out.\n"
        "Store a task and read it back:\n\n"
        f"  {base}/execute -d '{store}' && \\\n"
        f"  {base}/execute -d '{select}'\n\n"
    )
