# SPDX-License-Identifier: Apache-2.0
"""Reads a configuration file from disk; the only module of this room that does I/O."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from attrs import evolve

from edge_twisted.config.checks import Checks
from edge_twisted.config.model import Configuration, ServerAuth
from edge_twisted.config.paths import PathContext
from edge_twisted.config.problems import ConfigProblem, ConfigurationError
from edge_twisted.config.reading import LoadedConfiguration, read
from edge_twisted.config.yaml.text import MAX_FILE_BYTES

_NO_CHECKS = Checks()
#: The development provider, whose token is public and therefore no secret.
PUBLIC_PROVIDER = "__playgroundProvider"


def load(
    path: Path, environ: Mapping[str, str], checks: Checks = _NO_CHECKS
) -> LoadedConfiguration:
    """
    Read and check the configuration file at `path`; nothing is created or changed.

    Relative paths in the file are relative to its folder, `edge-data/` to the current folder.

    :raises ConfigurationError: the file cannot be read or used; show its problems to the user.
    """
    context = PathContext(
        # Symbolic links are not followed: a file that is linked into a folder belongs there.
        config_folder=Path(os.path.abspath(path)).parent,
        working_folder=Path.cwd(),
        environ=environ,
    )
    loaded = read(_bytes(path), path, context, checks)
    if _holds_secrets(loaded.configuration) and checks.exposed(path):
        return evolve(loaded, warnings=(*loaded.warnings, _exposed(path)))
    return loaded


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte above the limit shows `text_of` that the file is too large.
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        _refuse(path, "does not exist", "name an existing configuration file")
    except IsADirectoryError:
        _refuse(path, "is a folder", "name the configuration file in it")
    except PermissionError:
        _refuse(path, "may not be read by this user", "give this user the permission to read it")
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror}", "name a readable file")


def _holds_secrets(configuration: Configuration) -> bool:
    """Tell whether `configuration` has a secret of its mesh; hashes of API keys are no secrets."""
    auth = configuration.database.auth
    return not (isinstance(auth, ServerAuth) and auth.provider == PUBLIC_PROVIDER)


def _exposed(path: Path) -> ConfigProblem:
    return ConfigProblem(
        file=str(path),
        position=None,
        path=(),
        what="holds secrets, and every user of this machine can read it",
        right=f"take that from them: chmod o= {path}",
        is_warning=True,
    )


def _refuse(path: Path, what: str, right: str) -> NoReturn:
    problem = ConfigProblem(file=str(path), position=None, path=(), what=what, right=right)
    raise ConfigurationError([problem]) from None
