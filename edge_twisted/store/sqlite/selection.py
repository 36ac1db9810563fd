# SPDX-License-Identifier: Apache-2.0
"""
The selection of a read: which documents it yields, and whether as bodies or as rows of fields.

A prefilter becomes a condition in SQL where that is possible; Python tests the other documents.

Bodies are kept as JSONB alone and written out as text where they are read: see
docs/decisions/0002-bodies-as-jsonb.md for the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from edge_twisted.documents.json_text import are_literal, from_text, is_literal
from edge_twisted.documents.progress import CHUNK, report_before_each
from edge_twisted.store.fields import Fields, row_of
from edge_twisted.store.prefilter import Prefilter, holds
from edge_twisted.store.sqlite.prefilter import compiled, json_path

#: A body as the text that it came as; in bytes, because that is what answers are made of.
TEXT = "CAST(iif(literal, json(body), ' ' || json(body)) AS BLOB)"


class RowSelection:
    """The documents that a prefilter keeps, as bodies or as rows of some fields."""

    def __init__(self, prefilter: Prefilter | None, fields: Fields | None = None) -> None:
        self._prefilter = prefilter
        #: The fields that Python takes from bodies, because SQL cannot test the prefilter.
        self._fields: Fields | None = None
        condition = None if prefilter is None else compiled(prefilter, "body")
        self._tested = condition is not None
        #: The column of texts, first of all conditions, and the values bound in it.
        self.text, self.values = TEXT, []
        #: The condition that follows all others, and the values bound in it.
        self.condition, self.more = "", []
        if condition is not None:
            # SQL would misread a body that is not literal, because it holds binary values.
            self.condition, self.more = f" AND (NOT literal OR {condition[0]})", condition[1]
        if fields is None:
            return
        if prefilter is not None and condition is None:
            self._fields = fields
        else:
            self.text, self.values = _row_text(len(fields)), list(_row_values(fields))

    def kept(self, text: bytes) -> bytes | None:
        """Return the text, or row of fields, to hand on; None if the prefilter rejects it."""
        if self._prefilter is None or (self._tested and is_literal(text)):
            return text
        if not holds(self._prefilter, from_text(text)):
            return None
        return text if self._fields is None else row_of(text, self._fields)

    def batches(self, batches: Iterator[list[Any]]) -> Iterator[list[Any]]:
        """
        Yield the rows that the prefilter keeps, in batches that are not empty.

        :param batches: lists of rows as tuples, whose last column is the text.
        """
        if self._prefilter is None:
            return batches
        kept = map(self._batch, batches)
        return (batch for batch in kept if batch)

    def _batch(self, batch: list[Any]) -> list[Any]:
        if self._tested and are_literal([row[-1] for row in batch]):
            return batch
        found = ((row, self.kept(row[-1])) for row in report_before_each(CHUNK, batch))
        return [(*row[:-1], text) for row, text in found if text is not None]


@lru_cache(maxsize=32)
def _row_text(count: int) -> str:
    # An absent path is NULL, and a concatenation with NULL is NULL: the field is left out.
    parts = "".join([" || ifnull(? || (body -> ?), '')"] * count)
    row = f"'{{' || substr(''{parts}, 2) || '}}'"
    return f"CAST(iif(literal, {row}, ' ' || json(body)) AS BLOB)"


@lru_cache(maxsize=256)
def _row_values(fields: Fields) -> Sequence[str]:
    return [value for name, path in fields for value in (f',"{name}":', json_path(path))]
