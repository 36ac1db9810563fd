# SPDX-License-Identifier: Apache-2.0
"""The example of decision 1: what two servers store of one document, step by step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from edge_twisted.documents.clock import Timestamp, timestamp
from edge_twisted.documents.entries import Entries, Stamp
from edge_twisted.documents.nodes import PathNode, Variant
from edge_twisted.documents.operations import Increment, Operation, Set, VariantRules
from edge_twisted.documents.state import DocumentState, merge
from edge_twisted.documents.values import MISSING, Value
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.documents.writes import apply, delete, insert

NAMES = {Replica(SiteId(b"a" * 16), 1): "A", Replica(SiteId(b"b" * 16), 1): "B"}
TYPES = VariantRules(declared={("sold",): Variant.COUNTER})


class Server:
    """A replica that writes one document: it numbers its writes, and its clock is given."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.sequence = 0
        self.state: DocumentState | None = None

    def stamp(self, second: int) -> Stamp:
        """Return the stamp of the next write."""
        self.sequence += 1
        return Stamp(Timestamp(timestamp(second * 1000)), self.replica, self.sequence)


def text() -> str:
    """Return the example: for each step what happens, and what the servers then store."""
    return "\n".join(_steps()) + "\n"


def _steps() -> Iterator[str]:
    a, b = (Server(replica) for replica in NAMES)

    def write(server: Server, change: Callable[[DocumentState | None], DocumentState]) -> None:
        server.state = change(server.state)

    def now(server: Server) -> DocumentState:
        assert server.state is not None
        return server.state

    def both() -> None:
        a.state = b.state = merge(now(a), now(b))

    yield "1. At 10:01 A inserts {name: 'Tea', shelf: {row: 4}}: registers, one in a map."
    fields: dict[str, Value] = {"name": "Tea", "shelf": {"row": 4}}
    write(a, lambda state: insert(state, fields, a.stamp(1)))
    yield from _stored("A", now(a))
    yield "2. At 10:02 A increments the counter `sold` by 2. B then receives all of it."
    write(a, lambda _: apply(now(a), [Increment(("sold",), 2)], a.stamp(2), TYPES))
    b.state = a.state
    yield from _stored("A and B", now(a))
    yield "3. The link is down. At 10:03 A names it 'Green tea' and increments `sold` by 5."
    changes: list[Operation] = [Set(("name",), "Green tea"), Increment(("sold",), 5)]
    write(a, lambda _: apply(now(a), changes, a.stamp(3), TYPES))
    yield from _stored("A", now(a))
    yield "4. At 10:04 B names it 'Black tea' and increments `sold` by 1."
    others: list[Operation] = [Set(("name",), "Black tea"), Increment(("sold",), 1)]
    write(b, lambda _: apply(now(b), others, b.stamp(4), TYPES))
    yield from _stored("B", now(b))
    yield "5. The link is back, and both merge. Neither had seen the other's name: both stay."
    both()
    yield from _stored("A and B", now(a))
    yield "6. The link is down again. At 10:06 A deletes the document."
    write(a, lambda _: delete(now(a), a.stamp(6)))
    yield from _stored("A", now(a))
    yield "7. At 10:07 B, which has not heard of the delete, moves it to row 9."
    write(b, lambda _: apply(now(b), [Set(("shelf", "row"), 9)], b.stamp(7), TYPES))
    yield from _stored("B", now(b))
    yield "8. Both merge. A's delete had not seen B's write, so the document lives, whole."
    both()
    yield from _stored("A and B", now(a))


def _stored(who: str, state: DocumentState) -> Iterator[str]:
    version = ", ".join(f"{NAMES[replica]}:{n}" for replica, n in sorted(state.version.items()))
    yield f"   {who} stores    version {{{version}}}"
    yield f"     life       {_entries(state.life)}"
    yield from _slots(state.root, "")
    shown = "nothing: deleted" if state.fields is None else json.dumps(state.fields)
    yield f"     shows      {shown}"


def _slots(node: PathNode, path: str) -> Iterator[str]:
    for variant, entries in node.slots.items():
        line = f"     {path:10} {variant.name.lower()} {_entries(entries)}"
        if (counter := node.counters.get(variant)) is not None:
            shares = (f"{NAMES[dot.replica]}: {each.total}" for dot, each in counter.shares.items())
            line += f", shares {{{', '.join(sorted(shares))}}}"
        yield line
    for name, child in sorted(node.children.items()):
        yield from _slots(child, f"{path}.{name}" if path else name)


def _entries(entries: Entries) -> str:
    found = []
    for entry in entries:
        value = "removed" if entry.value is MISSING else json.dumps(entry.value)
        found.append(f"{NAMES[entry.stamp.replica]}{entry.stamp.sequence}={value}")
    return " | ".join(found) or "-"
