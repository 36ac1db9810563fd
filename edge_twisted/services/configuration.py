# SPDX-License-Identifier: Apache-2.0
"""
Reads the configuration file with all checks: start, reload, `config validate`.

All three use `start_checks`.  They differ in one thing: the consequence of a certificate that
cannot be served.  `config validate` refuses it; the start only warns if the dates are its one
fault; a reload ignores it, because the certificate watch reports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import cast

from attrs import evolve

from edge_twisted.config.checks import CertificateFinding, Checks, CredentialForm, QueryProblem
from edge_twisted.config.load import load
from edge_twisted.config.model import Configuration, TlsFiles
from edge_twisted.config.reading import LoadedConfiguration
from edge_twisted.config.yaml.nodes import Plain
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import RowScope, compile_expression
from edge_twisted.dql.errors import DqlError, SemanticError
from edge_twisted.dql.formatter import format_expression
from edge_twisted.dql.name_resolution import below, free_paths
from edge_twisted.dql.parser import parse_expression
from edge_twisted.dql.source import SourceText
from edge_twisted.dql.subscriptions import Subscription
from edge_twisted.security.certificates import CertificateCheck, check_files
from edge_twisted.security.errors import BadKeyHash
from edge_twisted.security.exposure import is_open_to_all
from edge_twisted.security.key_hash import KeyHash
from edge_twisted.services.wall_clock import now_utc
from edge_twisted.services.writable import (
    folder_problem,
    temporary_folder_problem,
    unix_socket_problem,
)


def read_configuration(
    path: Path,
    environ: Mapping[str, str],
    now: Callable[[], datetime] = now_utc,
) -> LoadedConfiguration:
    """Read and check the file at `path`; create and change nothing, and use no network.

    :raises ConfigurationError: the file cannot be used; the error has all problems, with remedies.
    """
    return load(path, environ, start_checks(now))


def read_for_start(
    path: Path,
    environ: Mapping[str, str],
    now: Callable[[], datetime] = now_utc,
) -> LoadedConfiguration:
    """
    Read and check the file at `path` for a server that starts.

    A certificate that has expired or is not valid yet is a warning only.  The machine's clock may
    be wrong, and a server that ends is not started again; so the server serves everything but
    HTTPS, which begins once the certificate is valid.

    :raises ConfigurationError: the file cannot be used; the error has all problems.
    """
    return load(path, environ, evolve(start_checks(now), certificate=partial(_at_start, now)))


def read_for_reload(path: Path, environ: Mapping[str, str]) -> Configuration:
    """
    Read and check the file at `path` for a running server.

    A certificate that cannot be used does not stop the rest of the reload: the certificate in use
    stays, and the certificate watch logs the reason.

    :raises ConfigurationError: the file cannot be used; the error has all problems.
    """
    checks = evolve(start_checks(now_utc), certificate=lambda *_: ())
    return load(path, environ, checks).configuration


def start_checks(now: Callable[[], datetime]) -> Checks:
    """Return the checks that need rooms above `config`; `now` returns an aware time."""
    return Checks(
        subscription=_subscription_problems,
        condition=_condition_problems,
        credential=credential_form,
        certificate=partial(_certificate_findings, now),
        folder=folder_problem,
        exposed=is_open_to_all,
        temporary_folder=temporary_folder_problem,
        unix_socket=unix_socket_problem,
    )


def _subscription_problems(query: str, args: Mapping[str, Plain]) -> Sequence[QueryProblem]:
    return _problems(lambda: Subscription.of(query, cast("Mapping[str, Value]", args)))


def _condition_problems(text: str, collection: str) -> Sequence[QueryProblem]:
    def check() -> None:
        source = SourceText(text)
        node = parse_expression(text)
        try:
            compile_expression(below(node, ""), RowScope(("",)))
            _refuse_qualified(node, collection)
        except DqlError as error:
            raise error.within(source) from None

    return _problems(check)


def _refuse_qualified(condition: syntax.Expression, collection: str) -> None:
    """
    Refuse ``tasks.owner`` in a condition on the collection ``tasks``.

    In a condition every name is a field, so ``tasks.owner`` means the field ``owner`` inside a
    field ``tasks``, which hardly any document has.  A condition like ``tasks.owner IS MISSING``
    would then permit every document.

    :raises SemanticError: a path of more than one name begins with the collection's name.
    """
    for path, is_bound in free_paths(condition):
        if not is_bound and len(path.names) > 1 and path.names[0] == collection:
            field = format_expression(evolve(path, names=path.names[1:]))
            raise SemanticError(
                f"names are fields here, so leave the collection out: write {field}", path.span
            )


def _problems(compile_: Callable[[], object]) -> Sequence[QueryProblem]:
    try:
        compile_()
    except DqlError as error:
        position = error.position
        if position is None:
            return [QueryProblem(reason=error.message)]
        return [QueryProblem(reason=error.message, line=position.line, column=position.column)]
    return []


def credential_form(text: str) -> CredentialForm:
    """Examine the hash of an API key as the configuration has it; raise nothing.

    Hashes of the same key get the same `same_key`; a malformed one gets a `reason`.
    """
    try:
        parsed = KeyHash.parse(text)
    except BadKeyHash as error:
        return CredentialForm(reason=error.reason)
    return CredentialForm(same_key=parsed.credential)


def _certificate_findings(
    now: Callable[[], datetime], files: TlsFiles, host: str | None
) -> Sequence[CertificateFinding]:
    return tuple(_findings(check_files(files.cert, files.key, host, now()), files))


def _at_start(
    now: Callable[[], datetime], files: TlsFiles, host: str | None
) -> Sequence[CertificateFinding]:
    check = check_files(files.cert, files.key, host, now())
    findings = _findings(check, files)
    if not check.is_about_dates:
        return tuple(findings)
    return tuple(
        evolve(each, right=f"{each.right}; HTTPS begins when a valid one is there", is_warning=True)
        for each in findings
    )


def _findings(check: CertificateCheck, files: TlsFiles) -> Iterator[CertificateFinding]:
    for problem in check.problems:
        what, _, right = str(problem).partition("; ")
        yield CertificateFinding(role=problem.role, what=what, right=right)
    for warning in check.warnings:
        what, _, right = warning.partition("; ")
        role = "key" if warning.startswith(str(files.key)) else "cert"
        yield CertificateFinding(role=role, what=what, right=right, is_warning=True)
