# SPDX-License-Identifier: Apache-2.0
"""Statements that simulated users run: few documents and names, so that writes meet."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from edge_twisted.documents.ids import DocumentId

COLLECTIONS = ("c", "d")
#: Holds counters that are only ever incremented.
TALLIES = "t"
_IDS: tuple[Any, ...] = ("x", "y", 7, ["k", 1])
_PATHS = ("a", "b", "n", "o.p", "o.q", "o")
_VALUES: tuple[Any, ...] = (1, 2, "s", None, [1, 2], {"p": 1}, {"q": {"r": 2}}, True, 0.5)


class WorkloadStatement(NamedTuple):
    """A statement with its arguments; what kind it is, and which document it is about."""

    kind: str
    text: str
    arguments: dict[str, Any]
    collection: str
    amount: int = 0


def statement(random: Random) -> WorkloadStatement:
    """Make up a statement."""
    kinds, weights = zip(*_KINDS.items(), strict=True)
    make: Callable[[Random, str, Any], WorkloadStatement]
    (make,) = random.choices(kinds, weights)
    return make(random, random.choice(COLLECTIONS), random.choice(_IDS))


def fields(random: Random) -> dict[str, Any]:
    """Make up the fields of a document."""
    chosen = random.sample(("a", "b", "n", "o"), random.randrange(4))
    found = {name: random.choice(_VALUES) for name in chosen}
    if random.random() < 0.2:
        found["text"] = "x" * random.choice((100, 600, 3000))
    return found


def _insert(random: Random, collection: str, id_: Any) -> WorkloadStatement:
    policy = random.choice(("", " ON ID CONFLICT DO UPDATE", " ON ID CONFLICT DO NOTHING"))
    documents = [{"_id": id_, **fields(random)}]
    if random.random() < 0.3:
        documents.append({"_id": f"many-{random.randrange(20)}", **fields(random)})
    text = f"INSERT INTO {collection} DOCUMENTS (:d){policy}"
    return WorkloadStatement("insert", text, {"d": documents}, collection)


def _initial(random: Random, collection: str, id_: Any) -> WorkloadStatement:
    document = {"_id": id_, "a": random.choice((1, 2)), "i": True}
    text = f"INSERT INTO {collection} INITIAL DOCUMENTS (:d)"
    return WorkloadStatement("initial", text, {"d": document}, collection)


def _set(random: Random, collection: str, id_: Any) -> WorkloadStatement:
    arguments = {"id": id_, "v": random.choice(_VALUES)}
    text = f"UPDATE {collection} SET {random.choice(_PATHS)} = :v WHERE _id = :id"
    return WorkloadStatement("set", text, arguments, collection)


def _set_many(random: Random, collection: str, id_: Any) -> WorkloadStatement:
    text = f"UPDATE {collection} SET b = :v WHERE a = 1"
    return WorkloadStatement("set", text, {"v": random.choice(_VALUES)}, collection)


def _unset(random: Random, collection: str, id_: Any) -> WorkloadStatement:
    text = f"UPDATE {collection} UNSET {random.choice(_PATHS)} WHERE _id = :id"
    return WorkloadStatement("unset", text, {"id": id_}, collection)


def _increment(random: Random, collection: str, id_: Any) -> WorkloadStatement:
    arguments = {"id": id_, "v": random.randrange(-3, 9)}
    kind = random.choice(("INCREMENT BY", "INCREMENT BY", "RESTART WITH"))
    text = f"UPDATE {collection} APPLY {random.choice(_PATHS)} {kind} :v WHERE _id = :id"
    return WorkloadStatement("increment", text, arguments, collection)


def _delete(random: Random, collection: str, id_: Any) -> WorkloadStatement:
    text = f"DELETE FROM {collection} WHERE _id = :id"
    return WorkloadStatement("delete", text, {"id": id_}, collection)


def _delete_many(random: Random, collection: str, id_: Any) -> WorkloadStatement:
    return WorkloadStatement("delete", f"DELETE FROM {collection} WHERE b = 2", {}, collection)


def _tally(random: Random, collection: str, id_: Any) -> WorkloadStatement:
    amount = random.randrange(1, 5)
    text = f"UPDATE {TALLIES} APPLY n INCREMENT BY :v WHERE _id = 'tally'"
    return WorkloadStatement("tally", text, {"v": amount}, TALLIES, amount)


_KINDS: dict[Callable[[Random, str, Any], WorkloadStatement], int] = {
    _insert: 25,
    _initial: 4,
    _set: 25,
    _set_many: 3,
    _unset: 8,
    _increment: 12,
    _delete: 10,
    _delete_many: 2,
    _tally: 11,
}


def evict(random: Random) -> WorkloadStatement:
    """Make up an EVICT."""
    collection = random.choice(COLLECTIONS)
    text = f"EVICT FROM {collection} WHERE _id = :id"
    return WorkloadStatement("evict", text, {"id": random.choice(_IDS)}, collection)


def key_of(id_: Any) -> bytes:
    """Return the key of an id."""
    return DocumentId.of(id_).key
