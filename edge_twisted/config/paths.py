# SPDX-License-Identifier: Apache-2.0
"""Folders and files of the configuration as absolute paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import field, frozen

from edge_twisted.config.addresses import BadFormat, file_path
from edge_twisted.config.model import Folder, TemporaryFolder
from edge_twisted.config.problems import quoted
from edge_twisted.config.yaml.nodes import Plain

#: What `from_current_exe` is, in the current working directory.
DATA_FOLDER: Final = "edge-data"


class BadVariable(LookupError):
    """An environment variable that the file refers to is not set, or is no path."""


@frozen(kw_only=True)
class PathContext:
    """What the meaning of paths depends on; both folders are absolute."""

    config_folder: Path
    working_folder: Path
    environ: Mapping[str, str] = field(repr=False)

    def path(self, text: str) -> Path:
        """Return `text` as an absolute path."""
        return self.config_folder / text

    def folder(self, value: Plain) -> Folder:
        """
        Return what a valid value such as that of `persistence_dir` stands for.

        :raises BadVariable: it refers to an environment variable that has no path.
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
            return self.config_folder / file_path(text)
        except BadFormat as error:
            raise BadVariable(f"the environment variable {quoted(name)} {error}") from None
