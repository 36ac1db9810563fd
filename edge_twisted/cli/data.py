# SPDX-License-Identifier: Apache-2.0
"""``edge-server backup``, ``restore`` and ``check``: work on the data of a server."""

from __future__ import annotations

import os
from pathlib import Path

import click

from edge_twisted.cli.options import config_option
from edge_twisted.config.load import load
from edge_twisted.config.model import TemporaryFolder
from edge_twisted.services.wall_clock import now_utc
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.tools import backups, checks
from edge_twisted.store.sqlite.tools.problems import StoreProblem
from edge_twisted.store.sqlite.tools.repair import discard_damaged as discarded
from edge_twisted.store.sqlite.tools.repair import repair as repaired


def _layout(context: click.Context, parameter: click.Parameter, path: Path) -> Layout:
    # `load` without checks: certificates may be absent where data is restored.
    configuration = load(path, os.environ).configuration.database
    folder = configuration.persistence_dir
    if isinstance(folder, TemporaryFolder):
        raise click.ClickException(
            f"{path}: the data is in a temporary folder that ends with the server;"
            " set database.persistence_dir"
        )
    return Layout(folder, configuration.db_id)


_CONFIG = config_option("layout", "The configuration file of the server.", _layout)


@click.command("backup")
@_CONFIG
@click.argument("target", type=click.Path(path_type=Path))
def backup(layout: Layout, target: Path) -> None:
    """
    Copy the database, as it is now, and its attachments to the new folder TARGET.

    The server may run and goes on writing.  TARGET appears when it is complete; nothing
    is ever overwritten.
    """
    _print_summary(target, "backed up", backups.backup(layout, target.absolute()))


@click.command("restore")
@_CONFIG
@click.option("--force", is_flag=True, help="Move data that is there aside; nothing is deleted.")
@click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False))
def restore(layout: Layout, source: Path, force: bool) -> None:
    """
    Verify the backup in the folder SOURCE and put it where the server finds it.

    The server must not run.  What is restored takes a new epoch at its first start, so that it
    can join the mesh again.
    """
    now = now_utc().strftime("%Y%m%dT%H%M%SZ")
    _print_summary(
        layout.folder, "restored", backups.restore(layout, source.absolute(), now, force=force)
    )


@click.command("check")
@_CONFIG
@click.option(
    "--repair", is_flag=True, help="Make anew what follows from the rest; the server must not run."
)
@click.option(
    "--discard-damaged",
    is_flag=True,
    help="First give up what is in quarantine; the server must not run.",
)
@click.pass_context
def check(context: click.Context, layout: Layout, repair: bool, discard_damaged: bool) -> None:
    """
    Check the data: the file, every document, indexes, totals, attachments.

    With neither option the server may run.  Exit status 1 if anything is wrong still.
    """
    if discard_damaged:
        click.echo(f"{discarded(layout)} damaged documents and attachments were given up")
    if repair:
        mended, problems = repaired(layout)
        for each in mended:
            assert each.mend is not None
            click.echo(f"{each}: repaired ({each.mend.value})")
    else:
        problems = checks.check(layout)
    for problem in problems:
        click.echo(str(problem) + _remedy(problem, repair))
    if problems:
        click.echo(f"{layout.database}: {len(problems)} problems", err=True)
        context.exit(1)
    click.echo(f"{layout.database}: no problems")


def _remedy(problem: StoreProblem, tried: bool) -> str:
    if problem.mend is None:
        return " (restore a backup, or let a peer send it again)"
    return "" if tried else f" (with --repair, {problem.mend.value})"


def _print_summary(place: Path, done: str, copied: backups.CopySummary) -> None:
    click.echo(
        f"{place}: {done} {copied.documents} documents up to commit {copied.lsn}"
        f" and {copied.blobs} attachments"
    )
    if copied.absent:
        click.echo(f"{copied.absent} attachments are named but were not here", err=True)
