# SPDX-License-Identifier: Apache-2.0
"""Rows of fields that the store makes: the same as those made of documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge_twisted.documents.values import MISSING, Value
from edge_twisted.store.keys import at
from tests.integration.database.harness import DatabaseTestCase, rows_of
from tests.support.callers import EVERYTHING

Document = Mapping[str, Value]
VALUES: list[Value] = [
    None, True, 1, 1.0, 2**62 + 1, 0.1, 1e22,
    "a", "\"\\\n\x00é\u2028", [1, {"x": 2}], {"a": {"b": 1}}, [],
]  # fmt: skip
#: What is selected, and what that is of a document.
SELECTED: dict[str, dict[str, tuple[str, ...]]] = {
    "v": {"v": ("v",)},
    "t.v, n": {"v": ("v",), "n": ("n",)},
    "n, v AS x, m.v.a AS y": {"n": ("n",), "x": ("v",), "y": ("m", "v", "a")},
    "m.v, _id": {"v": ("m", "v"), "_id": ("_id",)},
    "nowhere": {"nowhere": ("nowhere",)},
    '`odd "name`, `a.b` AS `c.d`': {'odd "name': ('odd "name',), "c.d": ("a.b",)},
}
CONDITIONS: dict[str, Callable[[Any], bool]] = {
    "n >= 4": lambda n: n >= 4,
    "n >= 4 AND lower(s) = 's'": lambda n: n >= 4,
    "n >= 4 AND s LIKE 's%'": lambda n: n >= 4,
    "s = 's'": lambda n: True,
    "s IS MISSING": lambda n: False,
}


class FieldTests(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.documents: list[Document] = [
            {"_id": n, "n": n, "s": "s", "v": v, "m": {"v": v}, 'odd "name': n, "a.b": v}
            for n, v in enumerate(VALUES)
        ]
        self.documents.append({"_id": "bare", "n": 50, "s": "s"})
        await self.insert("t", *self.documents)

    async def check(self) -> None:
        for what, fields in SELECTED.items():
            for where, holds in CONDITIONS.items():
                query = f"SELECT {what} FROM t WHERE {where}"
                expected = [row(each, fields) for each in self.documents if holds(each["n"])]
                for _ in range(2):
                    found = await self.rows(query)
                    self.assertEqual(sorted(map(repr, found)), sorted(map(repr, expected)), query)
                streamed = await self.streamed(query)
                self.assertEqual(sorted(map(repr, streamed)), sorted(map(repr, expected)), query)

    async def streamed(self, query: str) -> list[Any]:
        result = await self.database.execute(
            query, {}, access=EVERYTHING, request_id="r", timeout_seconds=20, stream=True
        )
        found = rows_of(result)
        while result.batches is not None and (rows := await result.batches.next()) is not None:
            result.texts, result.items = rows.texts, rows.items
            found += rows_of(result)
        return found

    async def test_without_an_index(self) -> None:
        await self.check()

    async def test_with_one(self) -> None:
        await self.run_("CREATE INDEX by_n ON t (n)")
        await self.check()

    async def test_among_many_and_with_binary_values(self) -> None:
        """Neither at once nor all alike."""
        more: list[Document] = [
            {"_id": n, "n": n, "s": "s", "v": b"\x00" if n % 50 == 0 else str(n)}
            for n in range(100, 1500)
        ]
        self.documents += more
        await self.insert("t", *more)
        await self.check()
        await self.run_("CREATE INDEX by_n ON t (n)")
        await self.check()

    async def test_they_are_texts_in_the_order_that_was_asked_for(self) -> None:
        await self.run_("CREATE INDEX by_n ON t (n)")
        result = await self.run_("SELECT n, v AS a FROM t WHERE n > 6 ORDER BY n DESC LIMIT 3")
        self.assertEqual(
            result.texts, [b'{"n":50}', b'{"n":11,"a":[]}', b'{"n":10,"a":{"a":{"b":1}}}']
        )
        result = await self.run_("SELECT n FROM t WHERE n > 6 ORDER BY n LIMIT 1 OFFSET 1")
        self.assertEqual(result.texts, [b'{"n":8}'])

    async def test_by_id(self) -> None:
        self.documents.append({"_id": "odd", "n": 60, "v": b"\x00", "m": {"v": 1}})
        await self.insert("t", self.documents[-1])
        for what, fields in SELECTED.items():
            query = f"SELECT {what} FROM t WHERE _id = :id"
            for document in self.documents:
                found = await self.rows(query, id=document["_id"])
                self.assertEqual(list(map(repr, found)), [repr(row(document, fields))], query)
            self.assertEqual(await self.rows(query, id="nobody"), [])
            again = await self.rows(f"{query} LIMIT 0", id=1)
            self.assertEqual(again, [])

    async def test_in_a_transaction(self) -> None:
        """Which sees what it wrote."""
        answer = await self.database.transaction(
            [
                ("UPDATE t SET v = 'new' WHERE _id = 1", {}),
                ("SELECT v FROM t WHERE n = 1", {}),
                ("SELECT v FROM t WHERE _id = 1", {}),
            ],
            access=EVERYTHING,
            request_id="r",
            timeout_seconds=20,
        )
        for each in answer[1:]:
            self.assertEqual(rows_of(each), [{"v": "new"}])


def row(document: Document, fields: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
    """Return what is selected of a document."""
    found = {name: at(document, path) for name, path in fields.items()}
    return {name: value for name, value in found.items() if value is not MISSING}
