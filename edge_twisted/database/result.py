# SPDX-License-Identifier: Apache-2.0
"""What a statement came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import define, field
from twisted.internet.defer import Deferred

from edge_twisted.documents.values import Value


class Batches(Protocol):
    """Rows that are read while they are asked for; close it in any case."""

    def next(self) -> Deferred[Rows | None]:
        """Fire with the next rows, with None at the end; one call at a time."""

    def close(self) -> None:
        """Give back what is held; harmless when repeated."""


@define(kw_only=True)
class Rows:
    """Some rows, as `Result` has them."""

    items: Sequence[Value] | None = None
    texts: Sequence[bytes] | None = None


#: Warnings that a result carries; more are only counted.
MAX_WARNINGS = 10


# Not frozen: one is made for every statement, and frozen doubles the cost of making it.
@define(kw_only=True)
class Result:
    """
    The rows of a statement, and what it changed.

    Exactly one of `items` and `texts` is there; `texts` are JSON documents to the letter, which
    nobody needs to decode in order to answer them.  If there are `batches`, these are only the
    first rows, and the others come from there.
    """

    query_type: str
    verb: str
    collections: Sequence[str] = ()
    items: Sequence[Value] | None = None
    texts: Sequence[bytes] | None = None
    mutated_ids: Sequence[Value] = ()
    warnings: Sequence[str] = ()
    total_warnings: int = 0
    #: The commit of a mutation, or the one that a read saw.
    transaction_id: int = 0
    commit_id: int | None = None
    batches: Batches | None = None
    #: While it is made: whether these are all of its rows.
    is_whole: bool = True


@define
class Warnings:
    """Collects the warnings of a statement."""

    shown: list[str] = field(factory=list)
    total: int = 0

    def add(self, text: str) -> None:
        """Take one more."""
        self.total += 1
        if len(self.shown) < MAX_WARNINGS:
            self.shown.append(text)
