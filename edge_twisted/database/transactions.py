# SPDX-License-Identifier: Apache-2.0
"""Several statements as one unit of work."""

from __future__ import annotations

from collections.abc import Sequence

from edge_twisted.database.errors import TransactionFailed
from edge_twisted.database.execution import MUTATIONS, Execution
from edge_twisted.database.result import Result
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import DqlError
from edge_twisted.dql.parser import Parsed
from edge_twisted.errors import EdgeError
from edge_twisted.store.interface import WriteTransaction


def run_all(
    prepared: Sequence[tuple[Parsed, Execution]], transaction: WriteTransaction
) -> list[Result]:
    """
    Run statements, each seeing what those before it did.

    :raises TransactionFailed: one of them failed; the caller stores nothing.
    """
    results: list[Result] = []
    for index, (parsed, run) in enumerate(prepared):
        statement = parsed.statement
        try:
            if isinstance(statement, syntax.Select):
                results.append(run.query(statement, transaction))
            else:
                assert isinstance(statement, MUTATIONS)
                results.append(run.mutate(statement, transaction))
        except DqlError as error:
            raise TransactionFailed(index, error.within(parsed.source)) from None
        except EdgeError as error:
            raise TransactionFailed(index, error) from None
    return results
