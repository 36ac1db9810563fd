# SPDX-License-Identifier: Apache-2.0
"""
Turns the bytes of a file into a `Configuration`; does no I/O.

    bytes -> text -> nodes with positions -> schema -> rules -> build

Each step reports its problems and lets the next one run if it can; the file is then refused with
all problems at once.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from edge_twisted.config.build import build
from edge_twisted.config.checks import Checks
from edge_twisted.config.model import Configuration
from edge_twisted.config.paths import PathContext
from edge_twisted.config.problems import ConfigProblem, ConfigurationError
from edge_twisted.config.reporter import Reporter
from edge_twisted.config.rules.auth import check_auth
from edge_twisted.config.rules.database import check_database
from edge_twisted.config.rules.folders import check_folder
from edge_twisted.config.rules.http import check_http_server
from edge_twisted.config.rules.view import ConfigView
from edge_twisted.config.validation import validate
from edge_twisted.config.yaml.compose import compose
from edge_twisted.config.yaml.nodes import Plain, plain
from edge_twisted.config.yaml.text import UnreadableText, lines_of, text_of


@frozen(kw_only=True)
class LoadedConfiguration:
    """A configuration with its warnings, which the caller shows."""

    configuration: Configuration
    warnings: tuple[ConfigProblem, ...] = ()


def read(data: bytes, path: Path, context: PathContext, checks: Checks) -> LoadedConfiguration:
    """
    Return the configuration in `data`, the bytes of the file `path`, after checking them.

    Messages name the file as `path` does.

    :raises ConfigurationError: the file cannot be used; the error has all problems, with positions.
    """
    reporter = Reporter(str(path))
    values = _check(data, reporter, context, checks)
    if reporter.problems:
        raise ConfigurationError(reporter.problems, reporter.warnings)
    configuration = build(values, path, context)
    return LoadedConfiguration(configuration=configuration, warnings=reporter.warnings)


def _check(data: bytes, reporter: Reporter, context: PathContext, checks: Checks) -> Plain:
    """Report every problem of `data`, and return the values of the file."""
    try:
        text = text_of(data)
    except UnreadableText as error:
        reporter.problem((), error.position, error.what, error.right)
        return None
    document = compose(text, reporter)
    if document is None:
        return None
    values = plain(document.root)
    validate(document, values, reporter)
    view = ConfigView(
        document=document,
        data=values,
        lines=lines_of(text),
        reporter=reporter,
        context=context,
        checks=checks,
    )
    _check_rules(view)
    return values


def _check_rules(view: ConfigView) -> None:
    check_database(view)
    check_http_server(view)
    check_auth(view)
    logs = ("logging", "edge_server")
    check_folder(view, (*logs, "rotating_logs", "directory"))
    check_folder(view, (*logs, "audit_logs"))
