# SPDX-License-Identifier: Apache-2.0
"""The house's rule of one-way imports, and of what the pure rooms may not know."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge_twisted

ROOT = Path(edge_twisted.__file__).parent

#: Room -> the rooms that it may import, beside itself.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "documents": {"errors"},
    "dql": {"errors", "documents"},
    "config": {"errors"},
    "logs": {"errors", "config"},
    "security": {"errors", "config"},
    "store": {"errors", "documents"},
    "records": {"errors", "documents", "store"},
    "database": {"errors", "documents", "dql", "store", "records"},
    "mesh": {"errors", "documents", "config", "security"},
    "replication": {"errors", "documents", "dql", "store", "records", "database", "mesh"},
    "api": {"errors", "documents", "dql", "config", "security", "logs"},
}
#: Rooms at the top, which may import everything.
TOP = {"services", "tap", "cli", "__init__"}

#: Rooms, or modules, that know neither I/O nor time nor chance.
PURE = (
    "documents/", "dql/", "config/",
    "mesh/blobs/", "mesh/limits/", "mesh/ports/", "mesh/presence/", "mesh/reconciliation/",
    "mesh/repair/", "mesh/session/", "mesh/wire/",
    "mesh/links/backoff.py", "mesh/links/link_choice.py", "mesh/links/strangers.py",
    "mesh/trust/authority.py", "mesh/trust/certificates.py", "mesh/trust/peer_key.py",
    "mesh/trust/signatures.py",
)  # fmt: skip
#: `requests` names Deferred in the interface of what the database does for a session.
IMPURE_EXCEPTIONS = {"config/load.py", "mesh/ports/requests.py"}
IMPURE = {
    "apsw", "asyncio", "multiprocessing", "os", "random", "secrets", "select", "socket", "sqlite3",
    "ssl", "subprocess", "tempfile", "threading", "time", "twisted", "uuid",
}  # fmt: skip
#: The single module that may import the global reactor, and the only room with threads.
REACTOR_MODULES = {"services/reactor.py", "cli/reactor.py"}
THREAD_ROOMS = ("store/",)


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield (absolute module name, line, nesting depth of functions) for each import of a file."""

    def visit(node: ast.AST, depth: int) -> Iterator[tuple[str, int, int]]:
        for child in ast.iter_child_nodes(node):
            inner = depth + isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield alias.name, child.lineno, depth
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: imports here are absolute"
                for alias in child.names:
                    yield f"{child.module}.{alias.name}", child.lineno, depth
            yield from visit(child, inner)

    yield from visit(ast.parse(path.read_text("utf-8")), 0)


def room_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    room = room_of(path)
    name = path.relative_to(ROOT).as_posix()
    pure = name.startswith(PURE) and name not in IMPURE_EXCEPTIONS
    for target, line, depth in imports(path):
        where = f"{name}:{line}: {target}"
        parts = target.split(".")
        if parts[0] == "edge_twisted":
            other = parts[1] if len(parts) > 1 else "__init__"
            if other == "__version__" or room in TOP:
                continue
            assert depth == 0, f"{where}: no import inside a function"
            assert other == room or other in MAY_IMPORT[room], f"{where}: {room} may not know it"
        if pure:
            assert parts[0] not in IMPURE, f"{where}: a pure room may not know it"
        if target.startswith("twisted.internet.reactor"):
            assert name in REACTOR_MODULES, f"{where}: the reactor is handed on, not imported"
        if parts[0] == "threading":
            assert name.startswith(THREAD_ROOMS), f"{where}: threads live in store/ only"
        if parts[0] == "apsw":
            assert name.startswith("store/"), f"{where}: SQLite is known to store/ only"


def test_every_room_has_a_rule() -> None:
    rooms = {room_of(path) for path in modules()}
    assert rooms <= set(MAY_IMPORT) | TOP


# -- the inside of the crowded rooms ------------------------------------------------------------

#: Sub-room -> the sub-rooms of the same room that it may import, beside itself.
SUB_ROOMS: dict[str, dict[str, set[str]]] = {
    "mesh": {
        "wire": set(),
        "trust": set(),
        "ports": {"wire"},
        "limits": {"wire"},
        "presence": {"limits", "trust"},
        "reconciliation": set(),
        "repair": {"ports", "reconciliation", "wire"},
        "session": {"limits", "ports", "reconciliation", "repair", "wire"},
        "carriers": {"presence"},
        "links": {"blobs", "carriers", "limits", "ports", "presence", "trust", "wire"},
        "blobs": set(),
    },
}
#: How many floors a room may have: the longest way down through the imports of its own modules.
MOST_FLOORS = {"database": 8, "records": 3, "mesh": 11}


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules() -> dict[str, set[str]]:
    """Return what each module of the package imports of the others, for types alone included."""
    names = {dotted(path): path for path in modules()}
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        targets = (target for target, _, _ in imports(path))
        known = (t if t in names else t.rpartition(".")[0] for t in targets)
        found[name] = {each for each in known if each in names and each != name}
    return found


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """Return the floor of each module: 1 above the highest that it imports; fails on a circle."""
    found: dict[str, int] = {}

    def floor(name: str, above: tuple[str, ...] = ()) -> int:
        assert name not in above, f"a circle of imports: {' -> '.join((*above, name))}"
        if name not in found:
            below = (floor(each, (*above, name)) for each in graph[name])
            found[name] = 1 + max(below, default=0)
        return found[name]

    for name in graph:
        floor(name)
    return found


def test_no_circles() -> None:
    floors(imported_modules())


@pytest.mark.parametrize("room", MOST_FLOORS)
def test_rooms_are_not_too_high(room: str) -> None:
    prefix = f"edge_twisted.{room}."
    inside = {
        name: {each for each in targets if each.startswith(prefix)}
        for name, targets in imported_modules().items()
        if name.startswith(prefix)
    }
    assert max(floors(inside).values()) <= MOST_FLOORS[room]


@pytest.mark.parametrize("room", SUB_ROOMS)
def test_arrows_between_sub_rooms(room: str) -> None:
    may = SUB_ROOMS[room]
    for name, targets in imported_modules().items():
        for target in targets:
            here, there = name.split("."), target.split(".")
            if here[1:2] != [room] or there[1:2] != [room] or len(here) < 4 or len(there) < 3:
                continue
            assert there[2] in may[here[2]] | {here[2]}, f"{name} may not know {target}"


# -- the seam between links and carriers --------------------------------------------------------

#: Names of Twisted that depend on what carries the bytes.
OF_CARRIERS = (
    "twisted.internet.address.", "twisted.internet.endpoints.", "twisted.internet.error.Conn",
    "twisted.internet.error.DNS", "twisted.internet.interfaces.IReactorTCP",
    "twisted.internet.interfaces.IReactorUNIX", "twisted.internet.interfaces.ITCPTransport",
)  # fmt: skip
#: Discovery finds addresses of TCP, by its nature.
FINDS_TCP = {"mesh/links/discovery.py", "mesh/links/mdns.py"}


def test_the_mesh_knows_the_interface_of_carriers_alone() -> None:
    interface = "edge_twisted.mesh.carriers.carrier."
    for path in modules():
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("mesh/") or name.startswith("mesh/carriers/"):
            continue
        for target, line, _ in imports(path):
            where = f"{name}:{line}: {target}"
            if target.startswith("edge_twisted.mesh.carriers."):
                assert target.startswith(interface) or name in FINDS_TCP, where
            # `connectionDone` and the like are how every transport ends, and no matter of one.
            assert not target.startswith(OF_CARRIERS), where


# -- the page


def drawn(title: str) -> tuple[dict[str, int], dict[str, set[str]]]:
    """
    Return what docs/architecture.md draws under `title`.

    That is room -> floor, and the rooms of a line that has an arrow -> the rooms it points at.
    """
    text = (ROOT.parent / "docs" / "architecture.md").read_text("utf-8")
    drawing = re.match(r"(?: {4}.*\n)+", text.split(f"{title}\n\n", 1)[1])
    assert drawing is not None
    floors: dict[str, int] = {}
    arrows: dict[str, set[str]] = {}
    for line in drawing[0].splitlines():
        found = re.match(r"    (\d)  (\w+(?:, \w+)*)(?:  +(-> )?(.*))?$", line)
        assert found is not None, line
        floors.update(dict.fromkeys(found[2].split(", "), int(found[1])))
        if found[3] and "below" not in found[4]:
            arrows[found[2]] = set(found[4].split(", "))
    return floors, arrows


def imported(base: Path) -> dict[str, set[str]]:
    """Return room -> the rooms that it imports, of the rooms in the folder `base`."""
    parts = [each for each in base.iterdir() if each.is_dir() or each.suffix == ".py"]
    found: dict[str, set[str]] = {
        each.stem: set() for each in parts if not each.stem.startswith("__")
    }
    above = base.relative_to(ROOT.parent).as_posix().replace("/", ".") + "."
    for path in sorted(base.rglob("*.py")):
        room = path.relative_to(base).parts[0].removesuffix(".py")
        if room in found:
            names = {name for name, _, _ in imports(path) if name.startswith(above)}
            targets = {name.removeprefix(above).split(".")[0] for name in names}
            found[room] |= targets & set(found) - {room}
    return found


@pytest.mark.parametrize(
    ("title", "folder"),
    [
        ("and those to `errors`, which all rooms may import, are left out.", ""),
        ("`mesh/`:", "mesh"),
        ("`database/`:", "database"),
    ],
    ids=["rooms", "mesh", "database"],
)
def test_the_architecture_draws_the_floors_and_arrows_of_the_tree(title: str, folder: str) -> None:
    """Every room is drawn, imports lower floors only, and has the arrows that it has."""
    floors, arrows = drawn(title)
    found = imported(ROOT / folder)
    assert set(floors) == set(found)
    upward = [
        f"{room} -> {target}"
        for room, targets in found.items()
        for target in targets
        if floors[target] >= floors[room]
    ]
    assert upward == []
    real = {
        line: set().union(*(found[room] for room in line.split(", "))) - {"errors"}
        for line in arrows
    }
    assert arrows == real
