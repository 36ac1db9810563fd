# SPDX-License-Identifier: Apache-2.0
"""
The production configuration that users copy: each of its lines shows its effect.

Only paths, the port and the hashes are replaced.  `EFFECTS` names for each key the test that shows
what it does: one of this module, or, where that takes hours or another server, one elsewhere.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from attrs import frozen

from edge_twisted.security.api_keys import generate
from tests.system.daemon import ROOT, Client, Daemon, connect, running
from tests.system.fixtures import write_certificate

pytestmark = pytest.mark.system

SAMPLE = ROOT / "tests" / "unit" / "config" / "documented" / "production.yaml"

MEMBERSHIP = "unit/mesh/test_membership.py"
WIRE = "unit/api/wire/test_connection.py"
FILES = "unit/logs/test_rotating_file.py"
HERE = "system/test_production.py"

#: Key (or the beginning of keys) -> module below tests/, test.
EFFECTS = {
    "database.db_id": (MEMBERSHIP, "test_strangers_are_refused"),
    "database.device_name": (HERE, "test_01_it_serves"),
    "database.auth.server": (MEMBERSHIP, "test_another_provider_has_no_authority"),
    "database.persistence_dir.path": (HERE, "test_01_it_serves"),
    "http_server.listen_addr": (HERE, "test_01_it_serves"),
    "http_server.tls_config": (HERE, "test_01_it_serves"),
    "http_server.http_api.execute.enabled": (HERE, "test_03_what_each_key_may"),
    "http_server.http_api.execute.max_body_size_mb": (HERE, "test_04_bodies_have_limits"),
    "http_server.http_api.attachments_upload.enabled": (HERE, "test_03_what_each_key_may"),
    "http_server.http_api.attachments_upload.max_body_size_mb": (
        HERE,
        "test_04_bodies_have_limits",
    ),
    "http_server.http_api.attachments_download": (HERE, "test_03_what_each_key_may"),
    "http_server.http_api.presence": (HERE, "test_01_it_serves"),
    "http_server.enable_healthcheck": (HERE, "test_01_it_serves"),
    "http_server.throttling.strategies.0": (HERE, "test_06_an_address_is_throttled"),
    "http_server.throttling.strategies.1": (HERE, "test_05_a_key_is_throttled"),
    "http_server.request_timeout_ms": (WIRE, "test_work_that_takes_too_long_is_stopped"),
    "http_server.max_connections": (WIRE, "test_connections_above_the_limit_are_told_so"),
    "auth.identities.production_api": (HERE, "test_03_what_each_key_may"),
    "auth.identities.monitoring": (HERE, "test_03_what_each_key_may"),
    "auth.permission_sets": (HERE, "test_03_what_each_key_may"),
    "logging.ditto_sdk": (
        "unit/logs/test_service.py",
        "test_rotating_logs_hold_both_parts_each_at_its_level",
    ),
    "logging.edge_server.level": (HERE, "test_07_the_logs_are_written"),
    "logging.edge_server.console_logs": (HERE, "test_07_the_logs_are_written"),
    "logging.edge_server.audit_logs": (HERE, "test_08_the_audit_log_tells_who_did_what"),
    "logging.edge_server.rotating_logs.directory": (HERE, "test_07_the_logs_are_written"),
    "logging.edge_server.rotating_logs.prefix": (HERE, "test_07_the_logs_are_written"),
    "logging.edge_server.rotating_logs.rotation": (FILES, "test_a_new_day_is_a_new_file"),
    "logging.edge_server.rotating_logs.max_files": (
        FILES,
        "test_the_oldest_of_ours_go_and_no_others",
    ),
}


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted path of each scalar."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in items:
            yield from leaves(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path


def test_each_line_has_a_test() -> None:
    """No key of the sample is without one, no entry is about a key that is not there."""
    used = set()
    for path in leaves(yaml.safe_load(SAMPLE.read_text())):
        found = [key for key in EFFECTS if f"{path}.".startswith(f"{key}.")]
        assert found, f"{path} has no test"
        used.update(found)
    assert used == set(EFFECTS)
    for module, name in EFFECTS.values():
        assert f"def {name}(" in (ROOT / "tests" / module).read_text(), name


@frozen(kw_only=True)
class Site:
    """The server of the sample, and who calls it."""

    daemon: Daemon
    folder: Path
    port: int
    api: Client
    monitoring: Client

    def anyone(self, key: str | None = None) -> Client:
        """Return a client of its own connection."""
        return connect(self.port, self.folder / "fullchain.pem", key)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("production")
    api, monitoring = generate(), generate()
    write_certificate(folder / "fullchain.pem", folder / "privkey.pem", "your-domain.com")
    text = SAMPLE.read_text()
    for old, new in {
        "DIFFERENT_BASE64_HASH": monitoring.hash,
        "BASE64_HASH_FROM_CLI": api.hash,
        "/var/lib/edge-server/data": f"{folder}/data",
        "/etc/letsencrypt/live/your-domain.com": f"{folder}",
        "/var/log/edge-server": f"{folder}/log",
        "0.0.0.0:443": "0.0.0.0:0",
    }.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "config.yaml").write_text(text)
    with running(["--config", str(folder / "config.yaml")], folder) as daemon:
        port, ca = daemon.port, folder / "fullchain.pem"
        yield Site(
            daemon=daemon,
            folder=folder,
            port=port,
            api=connect(port, ca, api.key),
            monitoring=connect(port, ca, monitoring.key),
        )


def code_of(answer: Any, status: int) -> str:
    """Return the error's code, once the status is the expected one."""
    assert answer.status == status, answer.body
    return str(answer.json()["error"]["code"])


def test_01_it_serves(site: Site) -> None:
    """TLS from the two files, health without a key, its name in presence, data in its folder."""
    health = site.anyone().request("GET", "/health")
    assert (health.status, health.json()) == (200, {"status": "ok"})
    presence = site.api.request("GET", "/presence")
    assert presence.json()["localPeer"]["deviceName"] == "edge-server-prod"
    assert list((site.folder / "data").iterdir())


def test_02_a_key_is_asked_for(site: Site) -> None:
    """No key and an unknown one are 401."""
    nobody = site.anyone().execute("SELECT * FROM tasks")
    assert code_of(nobody, 401) == "unauthorized"
    assert nobody.headers["WWW-Authenticate"] == "Bearer"
    assert (nobody.json()["queryType"], nobody.json()["items"]) == ("unknown", []), "as documented"
    wrong = site.anyone(generate().key).execute("SELECT * FROM tasks")
    assert code_of(wrong, 401) == "unauthorized"


def test_03_what_each_key_may(site: Site) -> None:
    """Full may everything that is on; data may no DDL; what the file leaves out is off."""
    inserted = site.monitoring.execute("INSERT INTO tasks DOCUMENTS ({'_id': 't1'})")
    assert inserted.status == 200, inserted.body
    index = "CREATE INDEX by_done ON tasks (done)"
    assert code_of(site.monitoring.execute(index), 403) == "forbidden"
    assert site.api.execute(index).status == 200

    body = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nblob\r\n--b--\r\n'
    kind = "multipart/form-data; boundary=b"
    uploaded = site.api.request("POST", "/attachments/upload", body, Content_Type=kind)
    assert uploaded.status == 201, uploaded.body
    fetched = site.api.request("GET", f"/attachments/{uploaded.json()['id']}")
    assert (fetched.status, fetched.body) == (200, b"blob")

    for path, setting in {
        "/logs": "http_server.http_api.logs",
        "/docs/": "http_server.serve_docs",
        "/metrics": "http_server.enable_metrics",
    }.items():
        off = site.api.request("GET", path)
        assert code_of(off, 404) == "endpoint_disabled"
        assert setting in off.json()["error"]["description"]
    assert code_of(site.api.request("GET", "/nothing"), 404) == "not_found"


@pytest.mark.parametrize(
    ("path", "most"), [("/execute", 2 * 2**20), ("/attachments/upload", 50 * 2**20)]
)
def test_04_bodies_have_limits(site: Site, path: str, most: int) -> None:
    """2 and 50 MiB, refused from the length alone."""
    client = site.anyone(site.api.key)
    client.connection.putrequest("POST", path)
    client.connection.putheader("Authorization", f"Bearer {site.api.key}")
    client.connection.putheader("Content-Length", str(most + 1))
    client.connection.endheaders()
    response = client.connection.getresponse()
    assert (response.status, json.loads(response.read())["error"]["code"]) == (
        413,
        "body_too_large",
    )


def test_04_a_body_of_the_limit_is_taken(site: Site) -> None:
    """Exactly 2 MiB."""
    start = b'{"statement": "SELECT * FROM tasks"'
    body = start + b" " * (2 * 2**20 - len(start) - 1) + b"}"
    answer = site.api.request("POST", "/execute", body, Content_Type="application/json")
    assert answer.json()["items"] == [{"_id": "t1"}]


def test_05_a_key_is_throttled(site: Site) -> None:
    """The hundred-and-first request of a key within a minute, and of no other key."""
    answers = [site.monitoring.execute("SELECT * FROM tasks") for _ in range(101)]
    refused = [each for each in answers if each.status != 200]
    assert len(refused) == 3, "two requests of this key came before these"
    assert {code_of(each, 429) for each in refused} == {"too_many_requests"}
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    assert site.api.execute("SELECT * FROM tasks").status == 200


def test_06_an_address_is_throttled(site: Site) -> None:
    """A thousand requests a minute, whoever sends them; health is exempt."""
    client = site.anyone()
    statuses = [client.request("GET", "/presence").status for _ in range(1001)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert set(statuses) == {401, 429}
    assert code_of(site.api.execute("SELECT * FROM tasks"), 429) == "too_many_requests"
    assert site.anyone().request("GET", "/health").status == 200


def test_07_the_logs_are_written(site: Site) -> None:
    """On standard output and in files of the prefix, at level info, for the group to read."""
    [file] = (site.folder / "log" / "app").iterdir()
    assert file.name.startswith("edge-server.log")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    written = lines_of(file)
    assert any("Listening" in each["message"] for each in written)
    assert {each["level"] for each in written} <= {"info", "warning", "error"}
    printed = [json.loads(each) for each in site.daemon.lines]
    assert any("Listening" in each["message"] for each in printed)


def test_08_the_audit_log_tells_who_did_what(site: Site) -> None:
    """Requests under the id of the file, refusals, never a key; and it ends with the stop."""
    assert site.daemon.stop() == 0
    audited = [each for file in files_of(site.folder / "log" / "audit") for each in lines_of(file)]
    seen = {(each["event"], each.get("identity"), each.get("status")) for each in audited}
    assert ("request", "prod-api-service", 200) in seen
    assert ("request", "monitoring-service", 200) in seen
    assert ("refusal", "monitoring-service", 403) in seen
    assert ("refusal", "monitoring-service", 429) in seen
    assert ("refusal", None, 401) in seen
    [insert] = [each for each in audited if each.get("verb") == "insert"]
    assert (insert["collections"], insert["path"]) == (["tasks"], "/execute")
    assert [each["event"] for each in audited if each["event"].startswith("server")] == [
        "server_started",
        "server_stopped",
    ]
    everything = "".join(site.daemon.lines) + json.dumps(audited)
    for client in (site.api, site.monitoring):
        assert client.key is not None
        assert client.key not in everything
    assert "YOUR_CLOUD_TOKEN" not in everything


def files_of(folder: Path) -> list[Path]:
    """Return a folder's files in the order of writing."""
    return sorted(folder.iterdir())


def lines_of(file: Path) -> list[Mapping[str, Any]]:
    """Return a file of JSON lines."""
    return [json.loads(line) for line in file.read_text().splitlines()]
