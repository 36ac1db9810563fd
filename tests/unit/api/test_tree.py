# SPDX-License-Identifier: Apache-2.0
"""Which endpoints a configuration has, what is said of the others, and what is described."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from attrs import evolve
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.api.docs import docs_page
from edge_twisted.api.errors import ERRORS, EndpointDisabled, MethodNotAllowed, NotFound
from edge_twisted.api.logs_download import logs_page
from edge_twisted.api.metrics import Metrics
from edge_twisted.api.openapi.schemas import SCHEMAS
from edge_twisted.api.presence import (
    SERVER_VERSION,
    Graph,
    PresenceLink,
    PresencePeer,
    presence_page,
)
from edge_twisted.api.tree import ENDPOINTS, ApiParts, build, openapi_document_of
from edge_twisted.cli.main import edge_server
from edge_twisted.config.load import load
from edge_twisted.config.model import Auth, Configuration, IdentityConfig
from edge_twisted.logs.archive import MemoryEntry, gzip_tar
from edge_twisted.security.callers import ANYBODY, Caller
from tests.support.api_requests import answered, api_request
from tests.support.fake_attachments import FakeBlobs, FakeReferences
from tests.support.fake_database import FakeDatabase

FILE = """\
database:
  db_id: 00000000-0000-0000-0000-000000000001
  device_name: hub
  auth: {small_peer_only: {offline_license_token: t}}
http_server:
  listen_addr: 127.0.0.1:0
  tls_config: dev_mode
  http_api: %s
  enable_healthcheck: %s
  serve_docs: %s
  enable_metrics: %s
auth: dev_mode
"""
MESH = Graph(
    local=PresencePeer(
        key="pkB",
        device_name="hub",
        os="Linux",
        version=SERVER_VERSION,
        connections=(PresenceLink.between("pkB", "pkA"),),
    ),
    remote=(PresencePeer(key="pkA", device_name="till"),),
)


class FakeLogs:
    """Logs of one line each."""

    def archive(self, *, with_audit: bool) -> Iterator[bytes]:
        entries = [MemoryEntry("edge-server/a.log", b"a\n")]
        if with_audit:
            entries.append(MemoryEntry("audit/b.log", b"b\n"))
        return gzip_tar(entries, 0.0)


def configuration(folder: Path, http_api: object = True, rest: bool = True) -> Configuration:
    path = folder / "edge.yaml"
    switch = str(rest).lower()
    path.write_text(FILE % (orjson.dumps(http_api).decode(), switch, switch, switch))
    return load(path, {}).configuration


def parts() -> ApiParts:
    blobs = FakeBlobs()
    return ApiParts(
        database=FakeDatabase(),
        presence=lambda: MESH,
        logs=FakeLogs(),
        metrics=Metrics(),
        blobs=blobs,
        references=FakeReferences(blobs),
    )


PATHS = {
    ("POST", "/execute"): "http_server.http_api.execute",
    ("POST", "/transaction"): "http_server.http_api.execute",
    ("POST", "/attachments/upload"): "http_server.http_api.attachments_upload",
    ("GET", "/attachments/abc"): "http_server.http_api.attachments_download",
    ("GET", "/presence"): "http_server.http_api.presence",
    ("GET", "/logs"): "http_server.http_api.logs",
    ("GET", "/health"): "http_server.enable_healthcheck",
    ("GET", "/metrics"): "http_server.enable_metrics",
    ("GET", "/docs"): "http_server.serve_docs",
    ("GET", "/docs/"): "http_server.serve_docs",
    ("GET", "/docs/edge_server_api.json"): "http_server.serve_docs",
}


def test_everything_on(tmp_path: Path) -> None:
    router = build(configuration(tmp_path), parts())
    for (method, path), setting in PATHS.items():
        assert router.find(api_request(method, path)).route.setting == setting
    with pytest.raises(MethodNotAllowed):
        router.find(api_request("GET", "/execute"))
    with pytest.raises(NotFound):
        router.find(api_request("GET", "/nothing"))


def test_everything_off_names_the_settings(tmp_path: Path) -> None:
    router = build(configuration(tmp_path, http_api=False, rest=False), parts())
    for (method, path), setting in PATHS.items():
        with pytest.raises(EndpointDisabled) as caught:
            router.find(api_request(method, path))
        assert caught.value.setting == setting


@pytest.mark.parametrize(
    "name", ["execute", "attachments_upload", "attachments_download", "presence", "logs"]
)
def test_one_by_one(tmp_path: Path, name: str) -> None:
    only = configuration(tmp_path, http_api={name: True}, rest=False)
    router = build(only, parts())
    on = set()
    for method, path in PATHS:
        try:
            router.find(api_request(method, path))
        except EndpointDisabled:
            continue
        on.add(PATHS[method, path])
    assert on == {f"http_server.http_api.{name}"}
    named = set(openapi_document_of(only)["paths"])
    assert named == {each.route.path for each in ENDPOINTS if each.route.setting.endswith(name)}


def test_limits_and_timeouts_reach_the_endpoints(tmp_path: Path) -> None:
    made = parts()
    assert isinstance(made.database, FakeDatabase)
    api = {"execute": {"enabled": True, "max_body_size_mb": 0.5}}
    limited = configuration(tmp_path, http_api=api)
    resource = build(limited, made).find(api_request("POST", "/execute"))
    assert resource.max_body_bytes == 2**19


def test_the_docs_without_a_slash_lead_to_the_page(tmp_path: Path) -> None:
    redirect = build(configuration(tmp_path), parts()).find(api_request("GET", "/docs"))
    answer = SynchronousTestCase().successResultOf(
        Deferred.fromCoroutine(answered(redirect, api_request("GET", "/docs")))
    )
    assert (answer.status, dict(answer.headers)) == (308, {b"Location": b"/docs/"})
    assert not redirect.route.needs_key


class DocumentTests(SynchronousTestCase):
    """The OpenAPI document."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.all = configuration(self.folder)

    def test_it_describes_exactly_what_is_on(self) -> None:
        document = openapi_document_of(self.all)
        self.assertEqual(document["openapi"], "3.1.0")
        self.assertEqual(
            set(document["paths"]),
            {"/attachments/{id}", *(p for _, p in PATHS if p not in ("/attachments/abc", "/docs"))},
        )
        some = openapi_document_of(
            configuration(self.folder, http_api={"execute": True}, rest=False)
        )
        self.assertEqual(set(some["paths"]), {"/execute", "/transaction"})

    def test_keys_are_asked_for_only_where_they_are(self) -> None:
        open_ = openapi_document_of(self.all)
        self.assertEqual(open_["paths"]["/metrics"]["get"]["security"], [{}, {"key": []}])
        self.assertNotIn("security", open_["paths"]["/health"]["get"])
        self.assertNotIn("401", open_["paths"]["/execute"]["post"]["responses"])
        keyed = openapi_document_of(evolve(self.all, auth=Auth(identities=())))
        for document in (open_, keyed):
            self.assertIn("key", document["components"]["securitySchemes"])
        self.assertEqual(keyed["paths"]["/metrics"]["get"]["security"], [{"key": []}])
        self.assertNotIn("security", keyed["paths"]["/health"]["get"])
        self.assertIn("401", keyed["paths"]["/execute"]["post"]["responses"])
        self.assertNotIn("401", keyed["paths"]["/docs/"]["get"]["responses"])

    def test_every_reference_leads_somewhere_and_ids_are_unique(self) -> None:
        document = openapi_document_of(self.all)
        text = orjson.dumps(document).decode()
        for name in re.findall(r'"#/components/schemas/(\w+)"', text):
            self.assertIn(name, document["components"]["schemas"])
        ids = [op["operationId"] for path in document["paths"].values() for op in path.values()]
        self.assertEqual(len(ids), len(set(ids)))
        for schema in SCHEMAS.values():
            Draft202012Validator.check_schema(schema)

    def test_answers_are_as_described(self) -> None:
        graph = self.successResultOf(
            Deferred.fromCoroutine(answered(presence_page(lambda: MESH), api_request()))
        )
        Draft202012Validator(SCHEMAS["Presence"]).validate(orjson.loads(graph.body))

    def test_the_command_prints_it(self) -> None:
        runner = CliRunner()
        path = self.folder / "edge.yaml"
        printed = runner.invoke(edge_server, ["config", "open-api", "--config", str(path)])
        self.assertEqual(printed.exit_code, 0, printed.output)
        self.assertEqual(orjson.loads(printed.output), openapi_document_of(self.all))
        output = self.folder / "api.json"
        arguments = ["config", "open-api", "-c", str(path), "--output", str(output)]
        self.assertEqual(runner.invoke(edge_server, arguments).exit_code, 0)
        self.assertEqual(orjson.loads(output.read_bytes()), openapi_document_of(self.all))

    def test_the_command_says_what_it_cannot_do(self) -> None:
        path = self.folder / "edge.yaml"
        text = path.read_text()
        start, end = text.index("http_server:"), text.index("auth: dev_mode")
        path.write_text(text[:start] + text[end:])
        runner = CliRunner()
        failed = runner.invoke(edge_server, ["config", "open-api", "--config", str(path)])
        self.assertEqual(failed.exit_code, 1)
        self.assertIn("http_server", failed.output)
        missing = ["config", "open-api", "--config", str(self.folder / "no.yaml")]
        self.assertEqual(runner.invoke(edge_server, missing).exit_code, 78)


class Pages(SynchronousTestCase):
    """The docs page, presence, and the logs."""

    def test_the_page_loads_nothing_from_elsewhere(self) -> None:
        page = self.successResultOf(Deferred.fromCoroutine(answered(docs_page(), api_request())))
        text = page.body.decode()
        self.assertNotIn("http://", text)
        self.assertNotIn("https://", text)
        self.assertNotIn("innerHTML", text)
        policy = dict(page.headers)[b"Content-Security-Policy"].decode()
        self.assertTrue(policy.startswith("default-src 'none'"))
        for tag in ("style", "script"):
            found = re.search(f"<{tag}>(.*?)</{tag}>", text, re.S)
            assert found is not None
            digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
            self.assertIn(f"{tag}-src 'sha256-{digest}'", policy)

    def test_presence_has_the_documented_shape(self) -> None:
        response = self.successResultOf(
            Deferred.fromCoroutine(answered(presence_page(lambda: MESH), api_request()))
        )
        said = orjson.loads(response.body)
        local = said["localPeer"]
        self.assertEqual(
            local["connections"],
            [
                {
                    "id": "pkA<->pkB:AccessPoint",
                    "connectionType": "AccessPoint",
                    "peerKeyString1": "pkA",
                    "peerKeyString2": "pkB",
                    "approximateDistanceInMeters": None,
                }
            ],
        )
        self.assertEqual(
            list(local),
            [
                "peerKeyString", "deviceName", "os", "dittoSdkVersion",
                "isConnectedToDittoCloud", "isCompatible", "peerMetadata",
                "identityServiceMetadata", "connections",
            ],
        )  # fmt: skip
        self.assertEqual([each["deviceName"] for each in said["remotePeers"]], ["till"])

    def test_logs_have_audit_for_full_only(self) -> None:
        fine = Caller.of(IdentityConfig(id="a", api_key_hash="", permissions=("data",)))
        for caller, names in (
            (ANYBODY, ["edge-server/a.log", "audit/b.log"]),
            (fine, ["edge-server/a.log"]),
        ):
            response = self.successResultOf(
                Deferred.fromCoroutine(
                    answered(logs_page(FakeLogs()), api_request(identity=caller))
                )
            )
            self.assertEqual(response.content_type, b"application/gzip")
            with tarfile.open(fileobj=io.BytesIO(response.body)) as archive:
                self.assertEqual(archive.getnames(), names)


DOCS = Path(__file__).parents[3] / "docs" / "http-api.md"


def test_the_documentation_has_every_error() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.*) \|$", DOCS.read_text("utf-8"), re.M)
    assert rows == [(kind.code, str(kind.status), kind.meaning) for kind in ERRORS]


def test_the_documentation_has_every_endpoint_and_setting() -> None:
    text = DOCS.read_text("utf-8")
    for each in ENDPOINTS:
        assert f"`{each.route.path}`" in text
        assert f"`{each.route.setting.removeprefix('http_server.')}`" in text
