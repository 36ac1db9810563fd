# SPDX-License-Identifier: Apache-2.0
"""The documented output of `api-key`, to the letter."""

from __future__ import annotations

import re

from click.testing import CliRunner, Result

from edge_twisted.cli.api_key import api_key


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(api_key, arguments, input=stdin)


def make() -> tuple[str, str]:
    result = run("generate")
    assert result.exit_code == 0
    found = re.fullmatch(
        r"Generated Private Key: (\S+)\nSecure Public Hash: ([A-Za-z0-9+/=]+)\n", result.output
    )
    assert found, result.output
    return found[1], found[2]


def test_a_generated_key_is_valid_and_another_is_not() -> None:
    key, hashed = make()
    other, _ = make()
    result = run("validate", "--key", key, "--hash", hashed)
    assert (result.exit_code, result.output) == (0, "Key is valid\n")
    result = run("validate", "--key", other, "--hash", hashed)
    assert (result.exit_code, result.output) == (1, "Key is not valid\n")
    result = run("validate", "--key", "-", "--hash", hashed, stdin=f"{key}\n")
    assert (result.exit_code, result.output) == (0, "Key is valid\n")


def test_a_hash_that_is_none_says_why_on_stderr() -> None:
    key, _ = make()
    result = run("validate", "--key", key, "--hash", key)
    assert (result.exit_code, result.stdout) == (1, "Key is not valid\n")
    assert "the hash is a private key" in result.stderr
    assert key not in result.output


def test_missing_options_are_a_usage_error() -> None:
    assert run("validate", "--key", "k").exit_code == 2
