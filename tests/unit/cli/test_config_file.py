# SPDX-License-Identifier: Apache-2.0
"""A configuration file that is not to be had ends every command with 78 and the file's name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from edge_twisted.cli.main import edge_server
from edge_twisted.tap import Options, makeService


def commands(
    group: click.Group = edge_server, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield all commands with the words that call them."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, (*words, name))
        else:
            yield (*words, name), found


#: What else a command wants.
ARGUMENTS: dict[tuple[str, ...], list[str]] = {("backup",): ["target"], ("restore",): ["."]}
CONFIGURED = sorted(
    words
    for words, command in commands()
    if any("--config" in each.opts for each in command.params)
)


def missing(path: Path, _: pytest.MonkeyPatch) -> str:
    assert not path.exists()
    return "does not exist"


def a_folder(path: Path, _: pytest.MonkeyPatch) -> str:
    path.mkdir()
    return "is a folder"


def unreadable(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a file that this user may not read, also where this user is root."""
    path.touch()
    real_access, real_open = os.access, Path.open

    def access(name: Any, *mode: Any, **options: Any) -> bool:
        return os.fspath(name) != os.fspath(path) and real_access(name, *mode, **options)

    def refuse(self: Path, *mode: Any, **options: Any) -> Any:
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return real_open(self, *mode, **options)

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(Path, "open", refuse)
    return "may not be read by this user"


Spoil = Callable[[Path, pytest.MonkeyPatch], str]


def test_the_commands_that_take_one_are_found() -> None:
    assert {("config", "validate"), ("status",), ("backup",), ("run",)} <= set(CONFIGURED)


@pytest.mark.parametrize("spoil", [missing, a_folder, unreadable])
@pytest.mark.parametrize("words", CONFIGURED, ids=" ".join)
def test_every_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], spoil: Spoil
) -> None:
    path = tmp_path / "config.yaml"
    said = spoil(path, monkeypatch)
    result = CliRunner().invoke(
        edge_server, [*words, "-c", str(path), *ARGUMENTS.get(words, [])], catch_exceptions=False
    )
    assert result.exit_code == 78
    assert f"{path}: {said}" in result.output


@pytest.mark.parametrize("spoil", [missing, a_folder, unreadable])
def test_the_daemon_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Spoil,
) -> None:
    path = tmp_path / "config.yaml"
    said = spoil(path, monkeypatch)
    options = Options()
    options["config"] = str(path)
    with pytest.raises(SystemExit) as raised:
        makeService(options)
    assert raised.value.code == 78
    assert f"{path}: {said}" in capsys.readouterr().err
