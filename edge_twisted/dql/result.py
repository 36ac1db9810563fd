# SPDX-License-Identifier: Apache-2.0
"""The result of a statement: its rows, and what it changed."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from attrs import define

from edge_twisted.documents.values import Value


class Batches(Protocol):
    """The rows of a large result, read a batch at a time; the caller must close them."""

    def next(self) -> Awaitable[Rows | None]:
        """Return an awaitable of the next rows, or of None after the last; one call at a time."""

    def close(self) -> None:
        """Release the snapshot that the rows are read from; another call has no effect."""


@define(kw_only=True)
class Rows:
    """Some rows of a result; exactly one of `items` and `texts` is there, see `Result`."""

    items: Sequence[Value] | None = None
    texts: Sequence[bytes] | None = None


# Not frozen: one is made for every statement, and frozen doubles the cost of making it.
@define(kw_only=True)
class Result(Rows):
    """
    The rows of a statement, and what it changed.

    Exactly one of `items` (values) and `texts` is there.  `texts` are JSON documents in UTF-8, to
    be answered to the letter without decoding them.  If there are `batches`, these are only the
    first rows, and the others come from there.
    """

    #: The kind of statement, as ``queryType`` has it.
    query_type: str
    #: What the statement does, for the audit log and metrics.
    verb: str
    #: The collections that the statement names, for the audit log.
    collections: Sequence[str] = ()
    #: The ids of the documents that it changed.
    mutated_ids: Sequence[Value] = ()
    #: The first few of `total_warnings`.
    warnings: Sequence[str] = ()
    total_warnings: int = 0
    #: The commit of a mutation, or the one that a read saw.
    transaction_id: int = 0
    #: The commit of a mutation; None for reads.
    commit_id: int | None = None
    batches: Batches | None = None
    #: Used while batches are read: whether the result has all its rows.
    is_whole: bool = True
