# SPDX-License-Identifier: Apache-2.0
"""Whatever the grammar can say, a database answers with a result or with an error of ours."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, Phase, given, settings

from edge_twisted.documents.values import Value
from edge_twisted.dql.formatter import format_statement
from edge_twisted.dql.functions.registry import FUNCTIONS
from edge_twisted.dql.parser import parse
from edge_twisted.dql.syntax import Statement
from edge_twisted.errors import EdgeError
from tests.integration.database.harness import DatabaseTestCase, Everything
from tests.support.strategies_dql import statements

STATEMENTS = 800
VALUES: list[Value] = [1, "a", [1, "a"], None, {"a": 1, "_id": 7}, True, 0.5]


def made(count: int) -> list[Statement]:
    """Return so many statements, made by the grammar's strategy."""
    found: list[Statement] = []

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(statements)
    def collect(statement: Statement) -> None:
        found.append(statement)

    collect()
    return found


OPERANDS = ["a", "b", "b.a", "_id", "c", "1", "0.5", "'x'", "NULL", "TRUE", "[1, 'x']", "{'a': 1}"]
OPERATORS = ["+", "-", "*", "/", "%", "||", "=", "<", ">=", "IN", "LIKE", "AND", "OR"]
#: $ is an expression, # a simple one.
TEMPLATES = [
    "SELECT $ AS x, a.* FROM a WHERE $ ORDER BY $ DESC",
    "SELECT * FROM a WHERE $ ORDER BY a, $ LIMIT 2 OFFSET 1",
    "SELECT DISTINCT $ AS x FROM a WHERE $",
    "SELECT b, COUNT($) AS n, MAX($) AS m FROM a GROUP BY b HAVING COUNT(*) > 0",
    "SELECT SUM($), MEDIAN(DISTINCT $) FROM a",
    "SELECT * FROM a x LEFT JOIN a y ON x.a = y.a AND x.b = y.b",
    "SELECT x._id AS i FROM a x JOIN a y ON x.a < y.a",
    "UPDATE a SET c = $, d.e = $ WHERE $ RETURNING $ AS r",
    "UPDATE a APPLY n INCREMENT BY # UNSET d WHERE $",
    "INSERT INTO a DOCUMENTS ({'_id': #, 'a': #}) ON ID CONFLICT DO UPDATE",
    "INSERT INTO a SELECT $ AS _id, $ AS a FROM a LIMIT 1 ON ID CONFLICT DO NOTHING",
    "DELETE FROM a WHERE $ AND a > 100 RETURNING COUNT(*) AS n",
    "EVICT FROM a WHERE $ LIMIT 1",
    "EXPLAIN SELECT * FROM a WHERE $",
    "PROFILE SELECT * FROM a WHERE $",
    "ADVISE SELECT * FROM a WHERE a = # AND $",
    "CREATE INDEX IF NOT EXISTS i ON a (a, b DESC)",
    "DROP INDEX IF EXISTS i ON a",
]


def sensible(chance: random.Random) -> str:
    """Return a statement about the collection ``a`` that nearly always means something."""
    parts = []
    for character in chance.choice(TEMPLATES):
        depth = {"$": 2, "#": 1}.get(character)
        parts.append(character if depth is None else expression(chance, depth))
    return "".join(parts)


def expression(chance: random.Random, depth: int) -> str:
    if depth == 0 or chance.random() < 0.3:
        return chance.choice(OPERANDS)
    if chance.random() < 0.5:
        left, right = expression(chance, depth - 1), expression(chance, depth - 1)
        return f"({left} {chance.choice(OPERATORS)} {right})"
    function = chance.choice(list(FUNCTIONS.values()))
    count = function.min_args
    if function.max_args != function.min_args:
        count += chance.randrange(2)
    name = f"`{function.name}`" if function.name == "trim" else function.name
    return f"{name}({', '.join(expression(chance, depth - 1) for _ in range(count))})"


class FuzzTests(DatabaseTestCase):
    timeout = 240

    async def test_no_statement_is_a_bug(self) -> None:
        documents: list[dict[str, Value]] = [{"_id": n, "a": n, "b": {"a": "x"}} for n in range(5)]
        await self.insert("a", *documents)
        chance = random.Random(5)
        texts = [format_statement(each) for each in made(STATEMENTS)]
        texts += [sensible(chance) for _ in range(STATEMENTS)]
        bugs: list[str] = []
        for text in texts:
            try:
                arguments = {
                    name: VALUES[len(name) % len(VALUES)] for name in parse(text).parameters
                }
                await self.database.execute(
                    text, arguments, access=Everything(), request_id="r", timeout_seconds=5
                )
            except EdgeError:
                continue
            except Exception as error:
                bugs.append(f"{type(error).__name__}: {error}: {text[:300]}")
        self.assertEqual(bugs[:5], [])
