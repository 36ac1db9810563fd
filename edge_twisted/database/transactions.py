# SPDX-License-Identifier: Apache-2.0
"""Several statements as one unit of work."""

from __future__ import annotations

from collections.abc import Sequence

from edge_twisted.database.errors import TransactionFailed
from edge_twisted.database.execution import Execution
from edge_twisted.database.mutation_statements import mutate
from edge_twisted.database.result import Result
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import DqlError
from edge_twisted.errors import EdgeError
from edge_twisted.store.interface import UnitOfWork


def run_all(runs: Sequence[Execution], transaction: UnitOfWork) -> list[Result]:
    """
    Run statements, each seeing what those before it did.

    :raises TransactionFailed: one of them failed; the caller stores nothing.
    """
    results: list[Result] = []
    for index, run in enumerate(runs):
        try:
            if isinstance(run.prepared.statement, syntax.Select):
                results.append(run.query(transaction))
            else:
                results.append(mutate(run, transaction))
        except DqlError as error:
            raise TransactionFailed(index, error.within(run.prepared.parsed.source)) from None
        except EdgeError as error:
            raise TransactionFailed(index, error) from None
    return results


def numbered(results: Sequence[Result], lsn: int) -> Sequence[Result]:
    """Return the results with the commit that all of them are."""
    for result in results:
        result.transaction_id = lsn
        if result.query_type != "select":
            result.commit_id = lsn
    return results
