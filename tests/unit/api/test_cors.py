# SPDX-License-Identifier: Apache-2.0
"""Pages of other origins: preflights without a key, fields on errors too, exact origins."""

from __future__ import annotations

import re

import pytest

from edge_twisted.api.cors import CrossOrigin
from edge_twisted.api.gate import GateRules
from edge_twisted.api.hosts import OwnNames, is_own_host
from edge_twisted.config.model import Cors
from tests.support.wire import MemorySite, WireClient

ORIGIN = "https://till.example"


def connected(*origins: str, own_names: OwnNames | None = None) -> WireClient:
    memory = MemorySite()
    cors = CrossOrigin(Cors(allowed_origins=origins)) if origins else None
    memory.gate.replace(GateRules(keys=None, cors=cors, own_names=own_names))
    return memory.connect()


def ask(peer: WireClient, method: str, path: str, **fields: str) -> tuple[int, dict[str, str]]:
    names = {"Host": "x", **{name.replace("_", "-"): value for name, value in fields.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in names.items())
    head = peer.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()).partition(b"\r\n\r\n")[0]
    return int(head[9:12]), dict(re.findall(r"\n([A-Za-z-]+): ([^\r]*)", head.decode()))


def test_a_preflight_needs_no_key_and_names_what_may_be_sent() -> None:
    peer = connected(ORIGIN)
    fields = {"Access_Control_Request_Method": "POST", "Origin": ORIGIN}
    status, answer = ask(peer, "OPTIONS", "/secret", **fields)
    assert status == 204
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert answer["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "Authorization" in answer["Access-Control-Allow-Headers"]
    assert answer["Access-Control-Max-Age"] == "600"
    assert answer["Vary"] == "Origin"
    assert "Content-Length" not in answer
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize(
    "origin",
    ["https://till.example.evil", "http://till.example", "https://till.example:8443", "null",
     "https://TILL.example", "https://sub.till.example"],
)  # fmt: skip
def test_origins_match_exactly(origin: str) -> None:
    peer = connected(ORIGIN)
    fields = {"Access_Control_Request_Method": "POST", "Origin": origin}
    status, answer = ask(peer, "OPTIONS", "/echo", **fields)
    assert status == 403
    assert "Access-Control-Allow-Origin" not in answer
    assert answer["Vary"] == "Origin"
    status, answer = ask(peer, "GET", "/echo", Origin=origin)
    assert status == 200
    assert "Access-Control-Allow-Origin" not in answer


def test_errors_carry_the_fields_too() -> None:
    peer = connected(ORIGIN)
    for path, expected in (("/nothing", 404), ("/take", 405), ("/secret", 200)):
        status, answer = ask(peer, "GET", path, Origin=ORIGIN)
        assert status == expected
        assert answer["Access-Control-Allow-Origin"] == ORIGIN
        assert answer["Vary"] == "Origin"
        for name in ("X-Request-Id", "Retry-After"):
            assert name in answer["Access-Control-Expose-Headers"]
    assert ask(peer, "GET", "/echo")[1]["Vary"] == "Origin", "what is cached holds for one origin"


def test_any_origin() -> None:
    peer = connected("*")
    answer = ask(peer, "GET", "/echo", Origin="https://any.example")[1]
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer


def test_without_cors_nothing_is_said() -> None:
    peer = connected()
    fields = {"Access_Control_Request_Method": "POST", "Origin": ORIGIN}
    status, answer = ask(peer, "OPTIONS", "/echo", **fields)
    assert status == 405
    assert not any(name.startswith("Access-Control") for name in answer)
    assert "Vary" not in answer


def test_what_is_no_preflight_is_a_method_like_another() -> None:
    peer = connected(ORIGIN)
    assert ask(peer, "OPTIONS", "/echo", Origin=ORIGIN)[0] == 405
    fields = {"Access_Control_Request_Method": "POST"}
    assert ask(peer, "OPTIONS", "/echo", **fields)[0] == 405
    assert ask(peer, "OPTIONS", "/nothing", Origin=ORIGIN, **fields)[0] == 404


# -- DNS rebinding


def own_names() -> tuple[str, ...]:
    return "till-3", "hub.example", "*.shop.example"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8443", "[::1]:80", "[::1]", "10.0.0.7", "localhost", "LOCALHOST:80",
     "a.localhost", "localhost.", "edge", "edge:80", "till-3", "hub.example", "HUB.example:443",
     "hub.example.", "a.shop.example"],
)  # fmt: skip
def test_names_of_this_server(host: str) -> None:
    assert is_own_host(host, own_names)
    assert ask(connected(own_names=own_names), "GET", "/secret", Host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "hub.example.evil", "shop.example",
     "a.b.shop.example",
     "localhost.evil.example", "1.2.3", "nothub.example", "127.0.0.1.nip.io:80"],
)  # fmt: skip
def test_names_of_others(host: str) -> None:
    """A page of such a name is refused what needs a key, even where its origin is that name."""
    assert not is_own_host(host, own_names)
    peer = connected(own_names=own_names)
    assert ask(peer, "GET", "/secret", Host=host, Origin=f"http://{host}")[0] == 403
    assert ask(peer, "GET", "/secret", Host=host)[0] == 403
    assert ask(peer, "GET", "/echo", Host=host)[0] == 200, "what anybody may see"
