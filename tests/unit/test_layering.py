# SPDX-License-Identifier: Apache-2.0
"""The house's rule of one-way imports, and of what the pure rooms may not know."""

from __future__ import annotations

import ast
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
    "config": {"errors", "documents", "dql"},
    "logs": {"errors", "config"},
    "security": {"errors", "config"},
    "store": {"errors", "documents", "dql"},
    "database": {"errors", "documents", "dql", "store", "config"},
    "mesh": {"errors", "documents", "dql", "config", "security", "logs"},
    "replication": {"errors", "documents", "dql", "store", "database", "config", "mesh"},
    "api": {"errors", "documents", "dql", "config", "security", "logs"},
}
#: Rooms at the top, which may import everything.
TOP = {"services", "tap", "cli", "testing", "__init__"}

#: Rooms, or modules, that know neither I/O nor time nor chance.
PURE = (
    "documents/", "dql/", "config/",
    "mesh/trust/authority.py", "mesh/links/backoff.py", "mesh/blobs/", "mesh/trust/certificates.py", "mesh/presence/gossip.py",
    "mesh/links/link_choice.py", "mesh/trust/peer_key.py", "mesh/presence/graph.py", "mesh/presence/codec.py",
    "mesh/reconciliation/", "mesh/wire/frames.py", "mesh/wire/messages.py", "mesh/session/session.py",
    "mesh/session/incoming.py", "mesh/session/outgoing.py", "mesh/repair_", "mesh/wire/items.py",
    "mesh/wire/violations.py", "mesh/ports/port.py", "mesh/session/batch_queue.py", "mesh/session/credit.py",
    "mesh/repair/suppliers.py", "mesh/ports/effects.py", "mesh/session/fingerprints.py", "mesh/session/handshake.py",
    "mesh/limits/buckets.py", "mesh/limits/rates.py", "mesh/presence/spread.py", "mesh/links/strangers.py",
    "mesh/session/pulls.py", "mesh/session/states.py", "mesh/session/streams.py", "mesh/session/send_window.py", "mesh/wire/values.py",
)  # fmt: skip
IMPURE_EXCEPTIONS = {"config/load.py"}
IMPURE = {
    "apsw", "asyncio", "multiprocessing", "os", "random", "secrets", "select", "socket", "sqlite3",
    "ssl", "subprocess", "tempfile", "threading", "time", "twisted", "uuid",
}  # fmt: skip
#: The single module that may import the global reactor, and the only room with threads.
REACTOR_MODULES = {"services/reactor.py", "cli/reactor.py"}
THREAD_ROOMS = ("store/", "testing/")


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
            assert name.startswith(("store/", "testing/")), (
                f"{where}: SQLite is known to store/ only"
            )


def test_every_room_has_a_rule() -> None:
    rooms = {room_of(path) for path in modules()}
    assert rooms <= set(MAY_IMPORT) | TOP
