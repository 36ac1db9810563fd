# SPDX-License-Identifier: Apache-2.0
"""
What four real daemons agree on after they were apart: every kind of merge, every shape of mesh.

Any two are joined by a relay of their own, so a shape of the mesh is a choice of relays that let
connections through.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from itertools import combinations
from typing import Any

import pytest
from attrs import frozen

from tests.system.mesh_site import Site, eventually, new_key, site, started
from tests.system.relay import Relay

pytestmark = [pytest.mark.system, pytest.mark.slow]

Link = tuple[int, int]

ALL_LINKS: tuple[Link, ...] = tuple(combinations(range(4), 2))
#: How ids of documents begin that only say how far somebody is.
MARK = "mark"
#: So that what B does is later by any clock.
LATER_SECONDS = 0.02


@frozen
class Row:
    """
    One row of the table: what both had, what each did while apart, and what both must show.

    A writes before B.  In statements ``$`` is the document's id, and ``$it`` a condition for it.
    """

    id: str
    before: str
    a: str
    b: str
    shown: dict[str, Any] | None
    collection: str = "rows"

    def statements(self, text: str) -> Iterator[str]:
        """Yield the statements of a text, separated by semicolons."""
        for each in filter(None, (part.strip() for part in text.split(";"))):
            yield each.replace("$it", "WHERE _id = '$'").replace("$", self.id)


def _row(id_: str, before: str, a: str, b: str, shown: dict[str, Any] | None) -> Row:
    return Row(id_, before, a, b, shown)


def _counter(id_: str, a: str, b: str, shown: int) -> Row:
    typed = "UPDATE COLLECTION counts (n COUNTER) APPLY n"
    return Row(
        id_,
        "INSERT INTO COLLECTION counts (n COUNTER) DOCUMENTS ({'_id': '$', 'n': 10})",
        f"{typed} {a} $it",
        f"{typed} {b} $it",
        {"n": shown},
        "counts",
    )


def _new(fields: str) -> str:
    return f"INSERT INTO rows DOCUMENTS ({{'_id': '$', {fields}}})"


def _initial(fields: str) -> str:
    return f"INSERT INTO rows INITIAL DOCUMENTS ({{'_id': '$', {fields}}})"


def _set(changes: str) -> str:
    return f"UPDATE rows SET {changes} $it"


DELETE = "DELETE FROM rows $it"
OLD = _new("'color': 'red', 'size': 3")

ROWS = (
    _row("register", _new("'s': 'old'"), _set("s = 'A'"), _set("s = 'B'"), {"s": "B"}),
    _row(
        "two keys", _new("'o': {'z': 1}"), _set("o.a = 2"), _set("o.b = 3"),
        {"o": {"z": 1, "a": 2, "b": 3}},
    ),
    _row(
        "new map", _new("'x': 1"), _set("o = {'a': 10}"), _set("o.b = 20"),
        {"x": 1, "o": {"a": 10, "b": 20}},
    ),
    _row(
        "unset, set below", _new("'o': {'a': 1}"), "UPDATE rows UNSET o $it", _set("o.c = 5"),
        {"o": {"c": 5}},
    ),
    _row(
        "set below, unset", _new("'o': {'a': 1}"), _set("o.c = 5"), "UPDATE rows UNSET o $it",
        {"o": {"c": 5}},
    ),
    _row(
        "nested unset", _new("'m': {'k': {'p': 1}}"), _set("m.k.q = 5"),
        "UPDATE rows UNSET m.k $it", {"m": {"k": {"q": 5}}},
    ),
    _row(
        "array", _new("'arr': [1]"), _set("arr = [1, 2, 3]"), _set("arr = [0, 1, 2]"),
        {"arr": [0, 1, 2]},
    ),
    _row(
        "register and map", _new("'v': 1"), _set("v = 5"), _set("v = {'w': 1}"), {"v": {"w": 1}}
    ),
    _row(
        "map and register", _new("'v': {'a': 1}"), _set("v.w = 1"), _set("v = null"), {"v": None}
    ),
    _row(
        "register and counter", _new("'v': 3"), _set("v = 9"),
        "UPDATE COLLECTION rows (v COUNTER) APPLY v INCREMENT BY -1 $it", {"v": -1},
    ),
    _counter("increments", "INCREMENT BY 5", "INCREMENT BY 7", 22),
    _counter("restart, increment", "RESTART WITH 100", "INCREMENT BY 5", 100),
    _counter("increment, restart", "INCREMENT BY 5", "RESTART WITH 100", 100),
    _counter("restarts", "RESTART WITH 100", "RESTART WITH 50", 50),
    Row(
        "legacy counter", "INSERT INTO counts DOCUMENTS ({'_id': '$'})",
        "UPDATE COLLECTION counts (p PN_COUNTER) APPLY p PN_INCREMENT BY 5 $it",
        "UPDATE COLLECTION counts (p PN_COUNTER) APPLY p PN_INCREMENT BY 7 $it",
        {"p": 12}, "counts",
    ),
    _row(
        "two inserts", "", _new("'a': 1, 'both': 'A', 'o': {'x': 1}"),
        _new("'b': 2, 'both': 'B', 'o': {'y': 2}"),
        {"a": 1, "b": 2, "both": "B", "o": {"x": 1, "y": 2}},
    ),
    _row("one initial", "", _initial("'v': 1"), _initial("'v': 1"), {"v": 1}),
    _row("initial, write", "", _initial("'v': 9"), _initial("'v': 9") + ";" + _set("v = 2"),
         {"v": 2}),
    _row("write, initial", "", _new("'v': 2"), _initial("'v': 9, 'w': 1"), {"v": 2, "w": 1}),
    _row(
        "two initials", "", _initial("'v': 7, 'a': 1"), _initial("'v': 3, 'b': 2"),
        {"v": 7, "a": 1, "b": 2},
    ),
    _row("delete, edit", OLD, DELETE, _set("color = 'blue'"), {"color": "blue", "size": 3}),
    _row("edit, delete", OLD, _set("color = 'blue'"), DELETE, {"color": "blue", "size": 3}),
    _row(
        "write, delete, edit", OLD, _set("size = 4") + ";" + DELETE, _set("color = 'blue'"),
        {"color": "blue", "size": 4},
    ),
    _row(
        "second life", OLD, DELETE + ";" + _new("'fresh': 1"), _set("color = 'blue'"),
        {"fresh": 1, "color": "blue"},
    ),
    _row("two deletes", OLD, DELETE, DELETE, None),
    _row("delete", OLD, DELETE, "", None),
    _row("delete elsewhere", OLD, "", DELETE, None),
)  # fmt: skip


@frozen(kw_only=True)
class Mesh:
    """Four servers, and the relays between any two of them."""

    sites: tuple[Site, ...]
    relays: dict[Link, Relay]

    def join(self, links: Collection[Link]) -> None:
        """Let these links stand, and no other; returns when all servers see it."""
        for link, relay in self.relays.items():
            if link in links:
                relay.mend()
            else:
                relay.cut()
        for number, each in enumerate(self.sites):
            others = _reached(number, links) - {number}
            names = {self.sites[other].name for other in others}
            eventually(f"{each.name} sees {names}", lambda e=each, n=names: e.sees(n))  # type: ignore[misc]

    def agree(self, collection: str, numbers: Collection[int]) -> dict[str, Any]:
        """Wait until these servers show the same documents; return them by id."""

        def look() -> Any:
            query = f"SELECT * FROM {collection} ORDER BY _id"
            seen = {json.dumps(self.sites[each].items(query)) for each in numbers}
            return seen.pop() if len(seen) == 1 else None

        found = json.loads(eventually(f"all agree on {collection}", look))
        return {each.pop("_id"): each for each in found}


def _reached(start: int, links: Collection[Link]) -> set[int]:
    """Return who is connected to a server over any number of links, itself included."""
    found = {start}
    for _ in range(4):
        for a, b in links:
            if found & {a, b}:
                found |= {a, b}
    return found


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("merges")
    sites: list[Site] = []
    relays: dict[Link, Relay] = {}
    collections = ("rows", "counts", "pieces")
    key = new_key(folder)
    for number in range(4):
        for other in range(number):
            relays[other, number] = Relay(sites[other].mesh_port)
            relays[other, number].cut()
        dials = [relays[other, number].port for other in range(number)]
        queries = [f"SELECT * FROM {each}" for each in collections]
        sites.append(site(f"s{number}", folder / f"s{number}", dials, queries, key))
    with started(*sites):
        yield Mesh(sites=tuple(sites), relays=relays)
        for relay in relays.values():
            relay.close()


def test_every_row_of_the_table_of_merges(mesh: Mesh) -> None:
    a, b = mesh.sites[:2]
    mesh.join([(0, 1)])
    for row in ROWS:
        for statement in row.statements(row.before):
            a.run(statement)
    for collection in ("rows", "counts"):
        count = sum(row.collection == collection and bool(row.before) for row in ROWS)
        eventually(
            f"B has the {count} {collection} of before",
            lambda c=collection, n=count: len(b.items(f"SELECT _id FROM {c}")) == n,  # type: ignore[misc]
        )
    mesh.join([])
    for row in ROWS:
        for statement in row.statements(row.a):
            a.run(statement)
    time.sleep(LATER_SECONDS)
    for row in ROWS:
        for statement in row.statements(row.b):
            b.run(statement)
    mesh.join([(0, 1)])
    _exchange_marks(mesh)
    assert _shown(mesh, (0, 1)) == _expected()


def _exchange_marks(mesh: Mesh) -> None:
    """Wait until both have what the other wrote while they were apart: it comes in order."""
    for number in (0, 1):
        for collection in ("rows", "counts"):
            mark = {"_id": f"{MARK} {number}"}
            mesh.sites[number].run(f"INSERT INTO {collection} DOCUMENTS (:d)", {"d": mark})
    for each in mesh.sites[:2]:
        for collection in ("rows", "counts"):
            query = f"SELECT _id FROM {collection} WHERE starts_with(_id, '{MARK}')"
            eventually("both marks are there", lambda e=each, q=query: len(e.items(q)) == 2)  # type: ignore[misc]


def _shown(mesh: Mesh, numbers: Collection[int]) -> dict[str, Any]:
    """Return what these servers show of the rows of the table, by id."""
    found = mesh.agree("rows", numbers) | mesh.agree("counts", numbers)
    return {id_: each for id_, each in found.items() if not id_.startswith(MARK)}


def _expected() -> dict[str, Any]:
    return {row.id: row.shown for row in ROWS if row.shown is not None}


@pytest.mark.parametrize(
    ("name", "links"),
    [
        ("line", [(0, 1), (1, 2), (2, 3)]),
        ("star", [(0, 1), (0, 2), (0, 3)]),
        ("ring", [(0, 1), (1, 2), (2, 3), (0, 3)]),
        ("full", ALL_LINKS),
    ],
)
def test_a_shape_of_the_mesh_converges_after_a_cut(
    mesh: Mesh, name: str, links: list[Link]
) -> None:
    mesh.join(links)
    for number, each in enumerate(mesh.sites):
        each.run(
            "INSERT INTO pieces DOCUMENTS (:docs)",
            {"docs": [{"_id": f"{name}-{number}-{n}", "by": "nobody"} for n in range(5)]},
        )
    mesh.sites[0].run(
        "INSERT INTO COLLECTION pieces (n COUNTER) DOCUMENTS (:d)", {"d": {"_id": name, "n": 0}}
    )
    everything = range(4)
    eventually("all have all", lambda: _count(mesh, name) == [21] * 4)
    # Two halves that still sync within themselves, if the shape links their members.
    mesh.join([link for link in links if link in ((0, 1), (2, 3))])
    for number, each in enumerate(mesh.sites):
        one = {"id": f"{name}-{number}-0", "next": f"{name}-{(number + 1) % 4}-1"}
        each.run("DELETE FROM pieces WHERE _id = :id", {"id": one["id"]})
        each.run("UPDATE pieces SET by = :by WHERE _id = :id", {"by": number, "id": one["next"]})
        each.run(f"UPDATE pieces SET from_{number} = true WHERE _id = '{name}'")
        each.run(
            "UPDATE COLLECTION pieces (n COUNTER) APPLY n INCREMENT BY :n WHERE _id = :id",
            {"n": 10**number, "id": name},
        )
    mesh.join([])
    mesh.join(links)
    flags = {f"from_{number}": True for number in everything}
    eventually("all have all again", lambda: _count(mesh, name) == [17] * 4)
    eventually(
        "all writes meet",
        lambda: mesh.agree("pieces", everything)[name] == {"n": 1111} | flags,
    )
    shown = mesh.agree("pieces", everything)
    assert [shown[f"{name}-{(number + 1) % 4}-1"]["by"] for number in everything] == [0, 1, 2, 3]


def _count(mesh: Mesh, name: str) -> list[int]:
    query = f"SELECT _id FROM pieces WHERE starts_with(_id, '{name}')"
    return [len(each.items(query)) for each in mesh.sites]


def test_those_who_came_later_show_the_same_merges(mesh: Mesh) -> None:
    assert _shown(mesh, range(4)) == _expected()
