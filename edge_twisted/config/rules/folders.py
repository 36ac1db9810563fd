# SPDX-License-Identifier: Apache-2.0
"""Rules for folders, at whatever key of the configuration."""

from __future__ import annotations

from edge_twisted.config.model import TemporaryFolder
from edge_twisted.config.paths import BadVariable
from edge_twisted.config.problems import KeyPath
from edge_twisted.config.rules.view import ConfigView
from edge_twisted.config.yaml.nodes import Plain

_WRITABLE = "must be a folder that this user can write to, or can make"


def check_folder(
    view: ConfigView, path: KeyPath, default: Plain = None, *, is_private: bool = False
) -> None:
    """
    Report a folder at `path` (if absent: `default`) that the server cannot write to.

    With `is_private`, also warn if other users of the machine can enter the folder.
    """
    value = view.value(*path)
    if isinstance(value, dict):
        path = (*path, "from_env" if "from_env" in value else "path")
        if path[-1] not in value:
            return
        warn_of_tilde(view, path)
    elif value is None:
        value = default
    if value is None or not view.reporter.is_clean(path):
        return
    try:
        folder = view.context.folder(value)
    except BadVariable as error:
        view.problem(path, str(error), "set the variable to a path before the start")
        return
    if isinstance(folder, TemporaryFolder):
        reason = view.checks.temporary_folder()
    else:
        reason = view.checks.folder(folder)
        if is_private and view.checks.exposed(folder):
            what = f"every user of this machine can enter {folder}"
            view.warning(path, what, f"take that from them: chmod o= {folder}")
    if reason is not None:
        view.problem(path, reason, _WRITABLE)


def warn_of_tilde(view: ConfigView, path: KeyPath) -> None:
    """Warn of a path that a shell would expand and this server does not."""
    text = view.text(*path)
    if text is not None and text.startswith("~"):
        view.warning(path, "~ is not expanded here", "write the path in full")
