# SPDX-License-Identifier: Apache-2.0
"""Type declarations and strict mode: which variant a statement reads and writes."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from edge_twisted.database.permissions import Rule
from edge_twisted.documents.operations import InvalidWrite
from edge_twisted.documents.values import Value
from tests.integration.database.harness import DatabaseTestCase, Everything

STRICT = "ALTER SYSTEM SET DQL_STRICT_MODE = true"

#: Statements that make the documents, then (strict, query, rows).
SETUP = [
    "INSERT INTO c DOCUMENTS ({'_id': 1, 'n': 9, 'm': {'a': 1, 'b': {'x': 2}}, 't': 'plain'})",
    "UPDATE COLLECTION c (n COUNTER) APPLY n INCREMENT BY -1 WHERE _id = 1",
    "INSERT INTO COLLECTION c (o REGISTER) DOCUMENTS ({'_id': 2, 'n': 5, 'o': {'y': 1}})",
    "INSERT INTO COLLECTION c (k COUNTER) DOCUMENTS ({'_id': 3, 'k': 7})",
]
READS: list[tuple[bool, str, list[Any]]] = [
    # The variant written last shows, unless another one is declared.
    (False, "SELECT n FROM c WHERE _id = 1", [{"n": -1}]),
    (False, "SELECT n FROM COLLECTION c (n REGISTER) WHERE _id = 1", [{"n": 9}]),
    (False, "SELECT n FROM COLLECTION c (n COUNTER) WHERE _id = 1", [{"n": -1}]),
    (False, "SELECT n FROM COLLECTION c (n MAP) WHERE _id = 1", [{}]),
    (False, "SELECT _id FROM COLLECTION c (n REGISTER) WHERE n = 9", [{"_id": 1}]),
    (False, "SELECT _id FROM COLLECTION c (n REGISTER) WHERE n > 0", [{"_id": 1}, {"_id": 2}]),
    (False, "SELECT _id FROM c WHERE n = 9", []),
    (False, "SELECT _id FROM COLLECTION c (n COUNTER) WHERE n IS MISSING",
     [{"_id": 2}, {"_id": 3}]),
    (False, "SELECT o FROM COLLECTION c (o MAP) WHERE _id = 2", [{}]),
    (False, "SELECT m.b.x AS x FROM COLLECTION c (m MAP (b COUNTER)) WHERE _id = 1", [{}]),
    (False, "SELECT m FROM COLLECTION c (m.b COUNTER) WHERE _id = 1", [{"m": {"a": 1}}]),
    # Strictly, all that is not declared is a register or nothing.
    (True, "SELECT * FROM c WHERE _id = 1", [{"_id": 1, "n": 9, "t": "plain"}]),
    (True, "SELECT * FROM c WHERE _id = 2", [{"_id": 2, "n": 5, "o": {"y": 1}}]),
    (True, "SELECT * FROM c WHERE _id = 3", [{"_id": 3}]),
    (True, "SELECT k FROM COLLECTION c (k COUNTER) WHERE k = 7", [{"k": 7}]),
    (True, "SELECT _id FROM c WHERE m.a = 1", []),
    (True, "SELECT _id FROM c WHERE m IS MISSING AND _id = 1", [{"_id": 1}]),
    (True, "SELECT m FROM COLLECTION c (m MAP) WHERE m.a = 1", [{"m": {"a": 1}}]),
    (True, "SELECT m FROM COLLECTION c (m MAP(b MAP)) WHERE m.b.x = 2",
     [{"m": {"a": 1, "b": {"x": 2}}}]),
    (True, "SELECT _id FROM COLLECTION c (m MAP(b MAP)) WHERE m.b = {'x': 2}", [{"_id": 1}]),
    (True, "SELECT m.a AS a FROM COLLECTION c (m.b MAP) WHERE m.b.x = 2", [{"a": 1}]),
    (True, "SELECT COUNT(*) AS n FROM c", [{"n": 3}]),
    (True, "SELECT COUNT(n) AS n, MAX(n) AS x FROM c", [{"n": 2, "x": 9}]),
    (True, "SELECT n FROM c ORDER BY n DESC LIMIT 2", [{}, {"n": 9}]),
    (True, "SELECT a._id AS i FROM c a JOIN c b ON a.n = b.n WHERE b.o.y = 1", [{"i": 2}]),
    (True, "SELECT a._id AS i FROM COLLECTION c (k COUNTER) a JOIN c b ON a.k = b.k", []),
    (True, "SELECT _id FROM c WHERE o.y = 1 OR n = 9", [{"_id": 1}, {"_id": 2}]),
    (True, "SELECT _id FROM c WHERE NOT (n = 9)", [{"_id": 2}]),
    (True, "SELECT * FROM c USE IDS 3", [{"_id": 3}]),
]  # fmt: skip
INDEXES = [
    "CREATE INDEX by_n ON c (n)",
    "CREATE INDEX by_m ON c (m.a, n)",
    "CREATE INDEX by_mb ON c (m.b)",
    "CREATE INDEX by_x ON c (m.b.x)",
    "CREATE INDEX by_o ON c (o.y)",
    "CREATE INDEX by_k ON c (k)",
]


@frozen
class Ruled:
    """A caller who may see, and change, what a condition says."""

    read_rule: Rule = True
    write_rule: Rule = True
    identity: str | None = "somebody"
    is_full: bool = False
    reads_all: bool = False

    def may_verb(self, verb: str) -> bool:
        return True

    def read(self, collection: str) -> Rule:
        return self.read_rule

    def write(self, collection: str) -> Rule:
        return self.write_rule


class TypedReadingTests(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        for statement in SETUP:
            await self.run_(statement)

    async def check(self) -> None:
        is_strict = False
        for strict, query, expected in READS:
            if strict != is_strict:
                await self.run_(STRICT)
                is_strict = strict
            rows = sorted(await self.rows(query), key=repr)
            self.assertEqual(rows, sorted(expected, key=repr), query)

    async def test_what_is_read(self) -> None:
        await self.check()

    async def test_indexes_change_nothing(self) -> None:
        for statement in INDEXES:
            await self.run_(statement)
        await self.check()

    async def test_indexes_change_nothing_where_every_path_has_one_variant(self) -> None:
        """There they are used; documents of two variants forbid it."""
        for statement in INDEXES:
            await self.run_(statement)
        await self.run_(STRICT)
        explained = "EXPLAIN SELECT * FROM {} WHERE n = 5 AND t = 'x'"
        self.assertNotIn("indexScan", repr(await self.rows(explained.format("c"))))
        await self.run_("CREATE INDEX by_n ON d (n)")
        await self.run_("INSERT INTO d DOCUMENTS ({'_id': 1, 'n': 5, 't': 'x'})")
        await self.run_("INSERT INTO COLLECTION d (n COUNTER) DOCUMENTS ({'_id': 2, 'n': 5})")
        plan = repr(await self.rows(explained.format("d")))
        self.assertIn("indexScan", plan)
        self.assertIn("filter", plan)
        self.assertEqual(await self.rows("SELECT _id FROM d WHERE n = 5"), [{"_id": 1}])
        declared = "SELECT _id FROM COLLECTION d (n COUNTER) WHERE n {}"
        self.assertEqual(await self.rows(declared.format("= 5")), [{"_id": 2}])
        self.assertEqual(await self.rows(declared.format("IS MISSING")), [{"_id": 1}])
        self.assertEqual(await self.rows("SELECT _id FROM d WHERE n IS MISSING"), [{"_id": 2}])

    async def test_an_object_may_show_less_than_an_index_knows(self) -> None:
        await self.run_("CREATE INDEX by_m ON d (m)")
        await self.run_("INSERT INTO d DOCUMENTS ({'_id': 1, 'm': {'a': 1, 'b': {'x': 2}}})")
        await self.run_(STRICT)
        query = "SELECT _id FROM COLLECTION d (m MAP) WHERE m = {'a': 1}"
        self.assertIn("indexScan", repr(await self.rows(f"EXPLAIN {query}")))
        self.assertEqual(await self.rows(query), [{"_id": 1}])

    async def test_strict_writes(self) -> None:
        await self.run_(STRICT)
        await self.run_("INSERT INTO d DOCUMENTS ({'_id': 1, 'o': {'a': 1, 'b': 2}})")
        await self.run_("UPDATE d SET o = {'a': 3}")
        self.assertEqual(await self.rows("SELECT o FROM d"), [{"o": {"a": 3}}])
        error = await self.refused("UPDATE d SET o.a = 4", InvalidWrite)
        self.assertEqual(str(error), 'Unsupported DML operation on REGISTER field "o"')
        error = await self.refused("UPDATE d APPLY n INCREMENT BY 1", InvalidWrite)
        self.assertEqual(str(error), 'Unsupported DML operation on REGISTER field "n"')
        await self.run_("UPDATE COLLECTION d (p MAP) SET p.a = 4")
        self.assertEqual(await self.rows("SELECT * FROM d"), [{"_id": 1, "o": {"a": 3}}])
        both = await self.rows("SELECT * FROM COLLECTION d (p MAP)")
        self.assertEqual(both, [{"_id": 1, "o": {"a": 3}, "p": {"a": 4}}])
        await self.run_("UPDATE COLLECTION d (q.r COUNTER) APPLY q.r INCREMENT BY 2")
        nested = await self.rows("SELECT q FROM COLLECTION d (q.r COUNTER)")
        self.assertEqual(nested, [{"q": {"r": 2}}])

    async def test_declared_register_is_replaced_whole_without_strict_mode(self) -> None:
        await self.run_("UPDATE COLLECTION c (o REGISTER) SET o = {'z': 2} WHERE _id = 2")
        self.assertEqual(await self.rows("SELECT o FROM c WHERE _id = 2"), [{"o": {"z": 2}}])
        error = await self.refused("UPDATE COLLECTION c (o REGISTER) SET o.z = 4", InvalidWrite)
        self.assertEqual(str(error), 'Unsupported DML operation on REGISTER field "o"')

    async def test_the_finer_switches(self) -> None:
        await self.run_(STRICT)
        await self.run_("ALTER SYSTEM SET DQL_SELECT_STRICT_MODE = false")
        whole = {"_id": 1, "n": -1, "m": {"a": 1, "b": {"x": 2}}, "t": "plain"}
        self.assertEqual(await self.rows("SELECT * FROM c WHERE _id = 1"), [whole])
        await self.refused("UPDATE c SET m.a = 2 WHERE _id = 1", InvalidWrite)
        await self.run_("ALTER SYSTEM SET DQL_OBJECT_DEFAULT = 'MAP'")
        await self.run_("UPDATE c SET m.a = 2 WHERE _id = 1")
        self.assertEqual(await self.rows("SELECT m.a FROM c WHERE _id = 1"), [{"a": 2}])

    async def test_expressions_and_returning_read_as_declared(self) -> None:
        rows = await self.rows(
            "UPDATE COLLECTION c (n REGISTER) SET was = n WHERE n = 9 RETURNING n, was"
        )
        self.assertEqual(rows, [{"n": 9, "was": 9}])
        await self.run_(STRICT)
        rows = await self.rows("INSERT INTO c DOCUMENTS ({'_id': 9, 'k': {'z': 1}}) RETURNING *")
        self.assertEqual(rows, [{"_id": 9, "k": {"z": 1}}])
        rows = await self.rows("DELETE FROM c WHERE _id = 1 RETURNING *")
        self.assertEqual(rows, [{"_id": 1, "n": 9, "t": "plain", "was": 9}])

    async def test_no_declaration_hides_anything_from_a_rule(self) -> None:
        """Rules are about what documents show, whatever a statement chooses to see."""
        await self.insert("r", {"_id": 1, "level": "secret", "n": 1}, {"_id": 2, "n": 2})
        open_only: Any = Ruled(read_rule=("level IS MISSING",))
        query = "SELECT _id FROM COLLECTION r (level COUNTER)"
        self.assertEqual(await self.rows(query, open_only), [{"_id": 2}])
        count = "SELECT COUNT(*) AS n FROM COLLECTION r (level COUNTER)"
        self.assertEqual(await self.rows(count, open_only), [{"n": 1}])
        writer: Any = Ruled(write_rule=("level IS MISSING",))
        update = "UPDATE COLLECTION r (level COUNTER) SET n = 5 RETURNING _id"
        self.assertEqual(await self.rows(update, writer), [{"_id": 2}])
        delete = "DELETE FROM COLLECTION r (level COUNTER) RETURNING _id"
        self.assertEqual(await self.rows(delete, writer), [{"_id": 2}])
        evict = "EVICT FROM COLLECTION r (level COUNTER) RETURNING _id"
        self.assertEqual(await self.rows(evict, writer), [])
        await self.run_(STRICT)
        inner: Any = Ruled(read_rule=("owner.name = :identity",))
        own: dict[str, Value] = {"_id": 3, "owner": {"name": "somebody"}, "n": 1}
        await self.run_("INSERT INTO COLLECTION r (owner MAP) DOCUMENTS (:d)", d=own)
        self.assertEqual(await self.rows("SELECT * FROM r", inner), [{"_id": 3, "n": 1}])
        self.assertEqual(len(await self.rows("SELECT * FROM r", Everything())), 2)
