# SPDX-License-Identifier: Apache-2.0
"""The configuration of a start without ``--config``: a server to try, on this machine only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge_twisted.config.checks import Checks
from edge_twisted.config.model import Configuration, TlsFiles
from edge_twisted.config.paths import PathContext
from edge_twisted.config.reading import read

#: The configuration as a file.  Its data is in ``edge-data/`` of the current folder; the
#: certificate is made at the first start.
EMBEDDED: Final = b"""\
database:
  db_id: "00000000-0000-4000-8000-000000000000"
  device_name: edge-device
  auth:
    server:
      access_token: local
      auth_url: "https://localhost"
      provider: __playgroundProvider
      enable_cloud_sync: false
  # Everybody knows this token: on a network it would let anyone in.
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


def embedded_configuration(folder: Path) -> Configuration:
    """Return the configuration `EMBEDDED` as if its file were in `folder`; read no file."""
    context = PathContext(config_folder=folder, working_folder=folder, environ={})
    return read(EMBEDDED, folder / "(embedded)", context, Checks()).configuration


def welcome(tls: TlsFiles, port: int, made: bool) -> str:
    """Return the text for a newcomer once the embedded server serves: requests to paste.

    `made` is whether the certificate was made at this start.
    """
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
