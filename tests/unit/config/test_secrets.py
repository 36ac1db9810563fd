# SPDX-License-Identifier: Apache-2.0
"""Secrets never appear: not in what is said about a broken file, nor in any `repr`."""

from __future__ import annotations

import traceback

import pytest

from edge_twisted.config.checks import Checks, CredentialForm
from edge_twisted.config.problems import ConfigurationError
from edge_twisted.config.reporter import Reporter
from edge_twisted.config.yaml.compose import compose
from tests.unit.config.samples import FULL, MINIMAL, load_text

CANARY = "C4n4ry"
TOKENS = ("the-token", "aGFzaC1vZi1maXJzdA==", "aGFzaC1vZi1zZWNvbmQ=")

#: Ways to write a secret down, right and wrong; but what stands where a key stands is named.
SPOILT = [
    f"{CANARY}", f"'{CANARY}'", f"!{CANARY}", f"!{CANARY}!x y", f"!!{CANARY} x", f"*{CANARY}",
    f"&{CANARY}", f"&{CANARY} ", f"[{CANARY}]", f"@{CANARY}", f"'{CANARY}",
    f'"{CANARY}', f'"\\{CANARY}"', f"{CANARY}: x: {CANARY}", f"|{CANARY}", f"> {CANARY}",
    f"%{CANARY}",
    f"[{CANARY}", f"{CANARY}\n - {CANARY}", f"`{CANARY}`", f"\t{CANARY}", f"{CANARY}\x00",
    f"http://{CANARY}", f"{{file: {CANARY}}}", f"${{{CANARY}}}", f"0x{CANARY}",
]  # fmt: skip
PLACES = [
    "access_token: the-token",
    "api_key: aGFzaC1vZi1maXJzdA==",
    "credential: {api_key: aGFzaC1vZi1maXJzdA==}",
]


def everything_about(text: str) -> str:
    """Return all that is ever shown of a file: messages, `repr`, tracebacks."""
    checks = Checks(credential=lambda _: CredentialForm(reason="is no hash; make one"))
    try:
        loaded = load_text(text, checks)
    except ConfigurationError as error:
        shown = "".join(traceback.format_exception(error, chain=True))
        return f"{error} {error!r} {error.problems} {error.warnings} {shown}"
    return f"{loaded} {loaded!r} {loaded.warnings}"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_secret_that_is_written_wrongly_is_not_quoted(place: str, spoilt: str) -> None:
    key = place.partition(":")[0]
    assert FULL.count(place) == 1
    shown = everything_about(FULL.replace(place, f"{key}: {spoilt}"))
    assert CANARY not in shown


@pytest.mark.parametrize(
    "auth",
    [
        f"{CANARY}",
        f"[{CANARY}]",
        f"{{server: {CANARY}}}",
        f"{{small_peer_only: {CANARY}}}",
        f"{{small_peer_only: {{offline_license_token: [{CANARY}]}}}}",
        f"{{small_peer_only: {{offline_license_tokn: {CANARY}}}}}",
        f"{{small_peer_only: {{offline_license_token: t, key_b64: {CANARY}}}}}",
        f"{{small_peer_only: {{offline_license_token: {CANARY}}}}}",
    ],
)
def test_membership_secrets_are_not_quoted(auth: str) -> None:
    text = MINIMAL.replace("{small_peer_only: {offline_license_token: token}}", auth)
    assert CANARY not in everything_about(text)


def test_a_good_file_shows_no_secret() -> None:
    loaded = load_text(FULL)
    for token in TOKENS:
        assert token not in f"{loaded!r} {loaded}"


def test_the_tree_of_a_file_shows_no_values() -> None:
    document = compose(FULL, Reporter("f"))
    for token in TOKENS:
        assert token not in repr(document)
