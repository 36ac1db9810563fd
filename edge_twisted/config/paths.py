# SPDX-License-Identifier: Apache-2.0
"""Resolves the paths and folders of the configuration to absolute paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import field, frozen

from edge_twisted.config.addresses import BadFormat, parse_path
from edge_twisted.config.model import Folder, TemporaryFolder
from edge_twisted.config.problems import quoted
from edge_twisted.config.yaml.nodes import Plain

#: What `from_current_exe` is, in the current working directory.
DATA_FOLDER: Final = "edge-data"


class BadVariable(LookupError):
    """An environment variable named by `from_env` is not set, or holds no valid path."""


@frozen(kw_only=True)
class PathContext:
    """Folders and environment that paths are resolved against; both folders are absolute."""

    config_folder: Path
    working_folder: Path
    environ: Mapping[str, str] = field(repr=False)

    def path(self, text: str) -> Path:
        """Return `text`, a path relative to the folder of the configuration file, as absolute."""
        return self.config_folder / text

    def folder(self, value: Plain) -> Folder:
        """
        Return the folder that a valid folder value, such as that of `persistence_dir`, means.

        :raises BadVariable: `value` names an environment variable that is not set or has no path.
        """
        if value == "temp_dir":
            return TemporaryFolder()
        if not isinstance(value, dict):
            return self.working_folder / DATA_FOLDER
        if value.get("path") is not None:
            return self.path(str(value["path"]))
        name = str(value["from_env"])
        text = self.environ.get(name)
        if text is None:
            raise BadVariable(f"the environment variable {quoted(name)} is not set")
        try:
            return self.config_folder / parse_path(text)
        except BadFormat as error:
            raise BadVariable(f"the environment variable {quoted(name)} {error}") from None
