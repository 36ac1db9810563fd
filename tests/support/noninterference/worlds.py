# SPDX-License-Identifier: Apache-2.0
"""
Databases that show one caller the same, and differ in what they hide.

In `BARE` nothing is hidden.  `FULL` has hidden documents between the visible ones, and `OTHER` the
same ones changed, some of them deleted or evicted.  All have the same number of commits, so that
the numbers of commits are comparable too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from itertools import count
from random import Random
from typing import Final

from attrs import define, field

from edge_twisted.config.model import CollectionRule, FineGrained, IdentityConfig
from edge_twisted.database.database import Database, TimeAndChance
from edge_twisted.database.inline_policy import INLINE_ROWS
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.security.permissions import Access, Permits
from edge_twisted.store.interface import Store
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from tests.support.callers import EVERYTHING

#: In how many of all scenes so many documents are hidden that reads go to a thread for them.
CROWDED: Final = 0.1
#: The moment of all worlds.
NOW_MS: Final = 1_791_454_108_090
CALLER: Final = "till"
#: Collections of which the caller may read a part, all, and nothing.
PARTLY: Final = ("a", "d")
WHOLLY: Final = ("b",)
NEVER: Final = ("c", "ghosts")

Document = dict[str, Value]
#: Names a blob that hidden documents alone name.
TOKEN: Final[Document] = {"id": "A" * 43, "len": 1, "metadata": {}}
#: Opens an empty store of a name.
Opening = Callable[[str], Awaitable[Store]]


class Kind(Enum):
    """What a world hides."""

    BARE = "bare"
    FULL = "full"
    OTHER = "other"


#: What the conditions say: which documents of `PARTLY` the caller may read.  The first compares,
#: and indexes serve it; the others are MISSING, or an error, for some hidden documents.
READING: Final[Mapping[str, tuple[str, ...]]] = {
    "a": (
        "owner = :identity",
        "owner = :identity AND NOT (s LIKE o.pattern)",
        "lower(owner) = :identity",
    ),
    "d": ("level < 2 OR public = TRUE", "ANY t IN readers SATISFIES t = :identity END"),
}
WRITING: Final[Mapping[str, tuple[bool | str, ...]]] = {
    "a": (True, "owner = :identity", "owner = :identity AND n < 3"),
    "d": (True, "level < 2", False),
}
INDEXES: Final = (
    "CREATE INDEX i ON a (n, s DESC)",
    "CREATE INDEX owners ON a (owner, n)",
    "CREATE INDEX secrets ON a (secret)",
    "CREATE INDEX levels ON d (level)",
    "CREATE INDEX of_c ON c (n)",
)
_STRINGS: Final = ("x", "", "2026-03-15T10:30:45Z", "(a|b)*", "[", "abc", "%", "é")
_NUMBERS: Final = (0, 1, 2, 2.5, -1, 9223372036854775807, None)


@define(kw_only=True)
class ObservedWorld:
    """One database, and the texts of its hidden documents, None of those that are gone."""

    kind: Kind
    database: Database
    store: Store
    hidden: dict[tuple[str, str], bytes | None] = field(factory=dict)

    def texts_of(self, hidden: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bytes | None]:
        """Return the stored texts of documents, by collection and id."""
        with self.store.snapshot() as snapshot:
            return {
                (name, id_): snapshot.body(name, DocumentId.of(id_).key) for name, id_ in hidden
            }


@define(kw_only=True)
class Scene:
    """What all worlds of one seed have in common; `guarded` ids are hidden in all but `BARE`."""

    access: Access
    visible: dict[str, list[Document]]
    hidden: dict[str, list[Document]]
    changed: dict[str, list[Document]]
    indexes: tuple[str, ...]
    guarded: tuple[str, ...]


def scene_of(random: Random) -> Scene:
    """Return rules, documents and indexes for a seed."""
    reading = {name: random.choice(rules) for name, rules in READING.items()}
    rules: dict[str, CollectionRule] = {
        name: CollectionRule(read=reading[name], write=random.choice(WRITING[name]))
        for name in PARTLY
    }
    rules["b"] = CollectionRule(read=True, write=random.choice((True, "n < 3", False)))
    if random.random() < 0.5:
        rules["*"] = CollectionRule(read="owner = :identity", write=True)
        rules.update({name: CollectionRule() for name in NEVER})
    identity = IdentityConfig(
        id=CALLER, api_key_hash="", permissions=(FineGrained(collections=rules),)
    )
    hidden = {
        name: [_hidden(random, name, number) for number in range(random.randint(1, 8))]
        for name in (*PARTLY, *NEVER)
    }
    if random.random() < CROWDED:
        hidden["a"] = [_hidden(random, "a", number) for number in range(INLINE_ROWS + 1)]
    return Scene(
        access=Permits.of(identity).access("execute"),
        visible={
            name: [_visible(random, name, number) for number in range(random.randint(0, 8))]
            for name in (*PARTLY, *WHOLLY)
        },
        hidden=hidden,
        changed={
            name: [{**_hidden(random, name, number), "_id": each["_id"]}
                   for number, each in enumerate(found)]
            for name, found in hidden.items()
        },
        indexes=tuple(each for each in INDEXES if random.random() < 0.6),
        guarded=tuple(f"hidden-{name}-0" for name in PARTLY),
    )  # fmt: skip


def _visible(random: Random, collection: str, number: int) -> Document:
    return {
        **_fields(random),
        "_id": _one(random, f"seen-{number}", number + 10),
        "owner": CALLER,
        "level": _one(random, 0, 1),
        "readers": ["other", CALLER],
        "o": {"p": _one(random, *_NUMBERS), "pattern": "never matches"},
    }


def _hidden(random: Random, collection: str, number: int) -> Document:
    document: Document = {**_fields(random), "_id": f"hidden-{collection}-{number}"}
    document["o"] = _one(random, None, 7, {"p": 1, "pattern": "\\"}, {"q": [1]})
    document["level"] = _one(random, 2, 3, None, "x")
    document["readers"] = _one(random, [], "nobody", ["other"], None)
    document["public"] = _one(random, False, None, "x")
    if random.random() < 0.5:
        document["file"] = dict(TOKEN)
    # For some of these the condition is not FALSE but NULL or MISSING.
    owner = _one(random, "other", None, 5, "")
    if random.random() < 0.7:
        document["owner"] = owner
    return document


def _fields(random: Random) -> Document:
    return {
        "n": _one(random, *_NUMBERS),
        "s": _one(random, *_STRINGS),
        "secret": _one(random, "hunter2", "swordfish", "", 4),
        "tags": _one(random, [], ["a", "b"], [1, [2]], {"x": 1}, None),
    }


def _one(random: Random, *values: Value) -> Value:
    return random.choice(values)


async def world_of(scene: Scene, kind: Kind, opening: Opening) -> ObservedWorld:
    """Return a database with the documents of a scene."""
    store = await opening(kind.value)
    numbers, ticks = count(1), count()
    surroundings = TimeAndChance(
        now_ms=lambda: NOW_MS,
        # Each look at this clock takes time, so that times tell how much was done: so much that
        # neither seconds nor nanoseconds are rounded.
        monotonic=lambda: next(ticks) * 2.0**-9,
        new_id=lambda: f"new-{next(numbers)}",
    )
    database = Database(store, "world", surroundings, {"data_sync_info": lambda: ()})
    database.start()
    world = ObservedWorld(kind=kind, database=database, store=store)
    await _filled(world, scene)
    return world


async def _filled(world: ObservedWorld, scene: Scene) -> None:
    kind = world.kind
    hidden = {} if kind is Kind.BARE else scene.hidden
    # Every world commits as often: `steady` is written everywhere, and read by nobody.
    await _together(world, [_steady(0), *_inserted(scene.visible, hidden)])
    last = [_steady(1)]
    if kind is Kind.OTHER:
        for name, documents in scene.changed.items():
            last.append((f"INSERT INTO {name} DOCUMENTS (:d) ON ID CONFLICT DO UPDATE",
                         {"d": [*documents]}))  # fmt: skip
            last.append((f"DELETE FROM {name} WHERE _id = :i", {"i": f"hidden-{name}-1"}))
            last.append((f"EVICT FROM {name} WHERE _id = :i", {"i": f"hidden-{name}-2"}))
    await _together(world, last)
    for index in scene.indexes:
        await world.database.execute(
            index, {}, access=EVERYTHING, request_id="scene", timeout_seconds=None
        )
    places = [(name, str(each["_id"])) for name, found in hidden.items() for each in found]
    world.hidden = world.texts_of(places)


def _steady(number: int) -> tuple[str, Document]:
    return "INSERT INTO steady DOCUMENTS (:d)", {"d": {"_id": number, "owner": "nobody"}}


def _inserted(
    visible: Mapping[str, list[Document]], hidden: Mapping[str, list[Document]]
) -> list[tuple[str, Document]]:
    """Return statements that insert the documents one by one, hidden ones among the visible."""
    found: list[tuple[str, Document]] = []
    for name in (*PARTLY, *WHOLLY, *NEVER):
        some, others = visible.get(name, []), hidden.get(name, [])
        for position in range(max(len(some), len(others))):
            for each in (*others[position : position + 1], *some[position : position + 1]):
                text = f"INSERT INTO {name} DOCUMENTS (:d) ON ID CONFLICT DO NOTHING"
                found.append((text, {"d": each}))
    return found


async def _together(world: ObservedWorld, statements: list[tuple[str, Document]]) -> None:
    await world.database.transaction(
        statements, access=EVERYTHING, request_id="scene", timeout_seconds=None
    )


async def in_memory(name: str) -> Store:
    """Open an empty store in memory; see `Opening`."""
    store = MemoryStore(Data(Replica(SiteId(b"one of the world"), 0)), lambda: NOW_MS)
    store.open()
    return store
