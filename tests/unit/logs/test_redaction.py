# SPDX-License-Identifier: Apache-2.0
"""Secrets are taken out, lines stay whole, and what is no secret stays."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.config.model import Secret
from edge_twisted.logs.lines import Line
from edge_twisted.logs.redaction import REDACTED, Redactor
from edge_twisted.security import api_keys
from tests.unit.logs.support import CONFIGURATION, START

PEM = (
    "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMHcCAQEEICANARYcanaryCANARY/+=\n"
    "AwEHoUQDQgAE\n-----END EC PRIVATE KEY-----"
)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJDQU5BUlkifQ.c2lnbmF0dXJl"
KEY = api_keys.generate().key


def line_of(redactor: Redactor, message: str, **fields: object) -> Line:
    event: dict[str, Any] = {"log_format": "{text}", "log_time": START, "text": message, **fields}
    return Line(event, "info", redactor)


def both(redactor: Redactor, message: str, **fields: object) -> tuple[str, str]:
    line = line_of(redactor, message, **fields)
    json.loads(line.json)
    return line.json.decode(), line.text(colour=False).decode()


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("s3cr3t-canary", "Authorization: Bearer s3cr3t-canary"),
        ("s3cr3t-canary", "authorization=basic s3cr3t-canary, next"),
        ("s3cr3t-canary", "sent bearer\ts3cr3t-canary to us"),
        ("s3cr3t-canary", '{"password": "s3cr3t-canary"}'),
        ("s3cr3t-canary", "{'api_key': 's3cr3t-canary'}"),
        ("can ary", 'password="can ary" and'),
        ('can\\"ary', '{"secret": "can\\"ary"}'),
        ("s3cr3t-canary", "GET /x?token=s3cr3t-canary&a=1"),
        ("s3cr3t-canary", "X-API-Key: s3cr3t-canary"),
        ("s3cr3t-canary", "https://user:s3cr3t-canary@host/path"),
        ("s3cr3t-canary", "client_secret=s3cr3t-canary"),
        ("CANARYcanary", f"key:\n{PEM}\nafter"),
        ("CANARYcanary", repr(PEM)),
        ("CANARYcanary", PEM[:-20]),
        pytest.param(KEY[-30:], f"wrong key {KEY} from 10.0.0.1", id="a key"),
        pytest.param(JWT.split(".")[1], f"token {JWT}!", id="a web token"),
    ],
)
def test_what_looks_like_a_secret_goes(secret: str, text: str) -> None:
    for spelled in both(Redactor(), text, nested={"inside": [text]}):
        assert secret not in spelled
        assert json.dumps(secret)[1:-1] not in spelled
        assert REDACTED in spelled


@pytest.mark.parametrize(
    "text",
    [
        "Unexpected token: SELECT at 1:3",
        "strategy api_key refused 10.0.0.1",
        "Bearer key is missing",
        "https://host:8443/path and user@host",
        "The password is wrong",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "no secret, no credential; edge_twisted.api",
        "identity prod-api-service used its key",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    encoded, shown = both(Redactor(), text)
    assert REDACTED not in encoded + shown
    assert json.loads(encoded)["message"] == text


@pytest.mark.parametrize("name", ["api_key", "Authorization", "password", "offline_license_token"])
def test_fields_of_secret_names_are_hidden_whatever_they_hold(name: str) -> None:
    for value in ("x", 12345, ["x", 1], {"a": "x"}, None):
        record = json.loads(line_of(Redactor(), "hi", **{name: value, "deep": {name: value}}).json)
        assert record[name] == REDACTED
        assert record["deep"] == {name: REDACTED}


@pytest.mark.parametrize(
    "secret", ["plain-canary", 'quo"ted\\canary', "line\nbreak-canary", "ünï-cänary", "a b+c/d==?&"]
)
def test_registered_secrets_go_in_every_spelling(secret: str) -> None:
    redactor = Redactor()
    redactor.add(secret, "other-one")
    spellings = [secret, quote(secret, safe=""), repr(secret)[1:-1], json.dumps({"k": secret})]
    for spelling in spellings[:3] + ([spellings[3]] if secret.isascii() else []):
        for shown in both(redactor, f"<{spelling}>", field=spelling, many=[{"x": spelling}]):
            assert "canary" not in shown and "b+c" not in shown
            assert REDACTED in shown


def test_secrets_as_names_of_fields_go_too() -> None:
    redactor = Redactor()
    redactor.add("plain-canary")
    assert b"plain-canary" not in line_of(redactor, "hi", fields={"plain-canary": 1}).json


def test_a_tiny_secret_does_not_eat_words() -> None:
    redactor = Redactor()
    redactor.add("a", "the")
    assert json.loads(line_of(redactor, "the cat").json)["message"] == "the cat"


@pytest.mark.parametrize("secret", ["message", "2026-11", "warning"])
def test_a_secret_that_is_one_of_our_words_does_not_spoil_the_line(secret: str) -> None:
    redactor = Redactor()
    redactor.add(secret)
    event: dict[str, Any] = {"log_format": "<" + secret + ">", "log_time": START}
    line = Line(event, "warning", redactor)
    record = json.loads(line.json)
    assert record["message"] == f"<{REDACTED}>"
    assert (record["time"], record["level"]) == ("2026-11-24T07:50:00.000Z", "warning")
    assert line.text(colour=False).startswith(b"2026-11-24T07:50:00.000Z warning ")


def test_secrets_of_a_configuration_are_found() -> None:
    redactor = Redactor()
    redactor.add_all_of(CONFIGURATION)
    redactor.add_all_of([(Secret("deep-canary"),)])
    line = line_of(redactor, "canary-license-token and deep-canary").json
    assert b"canary" not in line


def test_only_lines_with_secrets_are_touched() -> None:
    clean, dirty = b'{"b":1,  "a":2}\n', b'{"m":"Bearer abcdefgh"}\n'
    assert Redactor().clean_lines(clean) is clean
    assert Redactor().clean_lines(clean + dirty + clean) == (
        clean + b'{"m":"Bearer <redacted>"}\n' + clean
    )


@settings(max_examples=150, deadline=None)
@given(st.text(min_size=6).filter(lambda s: s.isprintable()), st.text(), st.text())
def test_no_registered_secret_survives(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.add(secret)
    line = line_of(redactor, before + secret + after, field={after: [secret]})
    record = orjson.loads(line.json)
    for shown in (record["message"], *record["field"].values()):
        # A mark may spell a secret such as "redacted" itself.
        assert secret not in str(shown).replace(REDACTED, "\0")
