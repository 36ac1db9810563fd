# SPDX-License-Identifier: Apache-2.0
"""Whole files: from text to a configuration, or to all that is wrong with it."""

from __future__ import annotations

from edge_twisted.config.model import Level, SmallPeerOnly
from tests.unit.config.samples import MINIMAL, lines_of, load_text


def test_a_minimal_file_gets_every_default() -> None:
    loaded = load_text(MINIMAL)
    configuration = loaded.configuration
    assert loaded.warnings == ()
    assert configuration.auth is None
    assert configuration.http_server is None
    assert configuration.logging.level is Level.INFO
    assert isinstance(configuration.database.auth, SmallPeerOnly)
    assert str(configuration.database.persistence_dir) == "/srv/edge-data"
    assert str(configuration.path) == "/etc/edge/edge.yaml"


def test_all_problems_are_reported_at_once_in_file_order() -> None:
    text = """\
database:
  db_id: nonsense
  device_name: here
  auth: {server: {access_token: t, auth_url: "ftp://x", provider: p}}
  moved_out: kep
http_server:
  listen_adr: "0.0.0.0:80"
  tls_config: dev_mod
  http_api: {execute: yes}
  http_api: true
auth: dev_mode
loging: {}
"""
    assert lines_of(text) == [
        '2:10: database.db_id: "nonsense" is no UUID; must be a UUID: 8-4-4-4-12 hexadecimal '
        "digits",
        "4:46: database.auth.server.auth_url: has no scheme that is known here; must be a URL that "
        "begins with https:// or http://",
        '5:14: database.moved_out: "kep" is not known; must be keep or drop; did you mean keep?',
        "7:3: http_server.listen_adr: unknown key; did you mean listen_addr?",
        "8:15: http_server.tls_config: is a text that is not known; must be dev_mode or an object "
        "of `cert` and `key`, the paths of PEM files; did you mean dev_mode?",
        "9:23: http_server.http_api.execute: is text; must be true, false, or an object of "
        "`enabled` and `max_body_size_mb`; yes, no, on and off are texts: write true",
        "10:3: http_server.http_api: the key appears twice; keep one of the two",
        "12:1: loging: unknown key; did you mean logging?",
    ]
