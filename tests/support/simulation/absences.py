# SPDX-License-Identifier: Apache-2.0
"""
Absences: what it costs to come back.

In the end of each seed, when all is quiet, one server is cut off, or one end of a link restarts.
Meanwhile a field of a long document changes.  Whoever comes back has to get the field, and not the
document: all servers speak the newest version, and what deltas build on has survived.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from attrs import define

from edge_twisted.documents.ids import DocumentId
from edge_twisted.mesh.wire.features import VERSIONS
from edge_twisted.mesh.wire.items import Announced, Partial, Whole
from edge_twisted.records.evictions import Evictions
from tests.support.simulation.contents import Place
from tests.support.simulation.node import Server, SimulationFailed
from tests.support.simulation.workload import WorkloadStatement

if TYPE_CHECKING:
    from tests.support.simulation.scenario import Mesh

COLLECTION: Final = "c"
COLLECTION_QUERY: Final = "SELECT * FROM c"
ID: Final = "absence"
#: It matches every condition of the servers; a delta is far smaller.
DOCUMENT: Final = {"_id": ID, "a": 1, "b": 2, "n": 1, "text": "x" * 3000}
#: Until everybody has it, and has said so.
SETTLE_SECONDS: Final = 6.0
AWAY_SECONDS: Final = 3.0
BACK_SECONDS: Final = 60.0
#: Fields that change meanwhile, one statement each; no condition looks at them.
FIELDS: Final = ("p", "q", "r")


@define
class AbsenceCost:
    """
    What one absence of a seed has cost.

    :ivar deltas: how often the document came as a delta to the one who was away.
    :ivar wholes: how often it came whole, or was announced.
    """

    kind: str
    deltas: int = 0
    wholes: int = 0


def be_absent(mesh: Mesh) -> AbsenceCost | None:
    """
    Let a server be away for a while, and count what its return costs; None if nobody is linked.

    :raises SimulationFailed: it did not come back, or documents came whole.
    """
    random = mesh.world.random
    # A server in transit does not show what it has, and sends whole what it has dropped.
    if not mesh.dials or any(server.transit_bytes is not None for server in mesh.servers):
        return None
    pair = [mesh.servers[number] for number in random.choice(mesh.dials)]
    random.shuffle(pair)
    sender, receiver = pair
    for server in mesh.servers:
        server.calls_at_commit.clear()
    absence = AbsenceCost(random.choice(sorted(_KINDS)))
    mesh.world.note("absence", absence.kind, sender.name, receiver.name)
    _run(mesh, sender, "insert", f"INSERT INTO {COLLECTION} DOCUMENTS (:d)", d=DOCUMENT)
    _change(mesh, sender, "p")
    mesh.world.run_until(mesh.world.now + SETTLE_SECONDS)
    lines = {frozenset(line) for line in mesh.dials if receiver.number in line}
    mesh.blocked |= lines
    _KINDS[absence.kind](sender, receiver)
    mesh.world.run_until(mesh.world.now + 1)
    for server in (sender, receiver):
        if not server.is_up:
            server.start()
    receiver.watched, receiver.came = DocumentId.of(ID).key, []
    for field in random.choices(FIELDS, k=random.randrange(1, 4)):
        _change(mesh, sender, field)
    mesh.world.run_until(mesh.world.now + AWAY_SECONDS)
    mesh.blocked -= lines
    _wait_for_return(mesh, sender, receiver)
    absence.deltas = sum(isinstance(item, Partial) for item in receiver.came)
    absence.wholes = sum(isinstance(item, Whole | Announced) for item in receiver.came)
    if _bases_survive(mesh, receiver) and (absence.wholes or not absence.deltas):
        raise SimulationFailed(
            f"{receiver.name} was away from {sender.name} ({absence.kind}): a document came whole"
            f" {absence.wholes} times, and as a delta {absence.deltas} times"
        )
    return absence


def _run(mesh: Mesh, server: Server, kind: str, text: str, **arguments: object) -> None:
    if not mesh.run(server, WorkloadStatement(kind, text, arguments, COLLECTION)):
        raise SimulationFailed(f"{server.name} did not run {text}")


def _change(mesh: Mesh, server: Server, field: str) -> None:
    value = mesh.world.random.randrange(1000)
    _run(mesh, server, "set", f"UPDATE c SET {field} = :v WHERE _id = :id", v=value, id=ID)


def _wait_for_return(mesh: Mesh, sender: Server, receiver: Server) -> None:
    place = (COLLECTION, DocumentId.of(ID).key)
    deadline = mesh.world.now + BACK_SECONDS
    while _digest(sender, place) != _digest(receiver, place):
        if mesh.world.now > deadline:
            raise SimulationFailed(f"{receiver.name} came back, and lacks a change")
        mesh.world.run_until(mesh.world.now + 1)
    mesh.world.run_until(mesh.world.now + 1)


def _digest(server: Server, place: Place) -> int | None:
    document = server.held.documents.get(place)
    return None if document is None else document.digest


def _bases_survive(mesh: Mesh, receiver: Server) -> bool:
    """Return whether every document that anybody sends to the receiver has to come as a delta."""
    if any(server.versions != VERSIONS for server in mesh.servers):
        return False
    # Who subscribes with a condition does not know what it has of others, and passes documents on
    # before others tell what they know.
    are_whole = all(COLLECTION_QUERY in server.queries for server in mesh.servers)
    if not are_whole and len(mesh.servers) > 2:
        return False
    others = [server for server in mesh.servers if server is not receiver]
    for server in others:
        with server.replica.store.snapshot() as snapshot:
            # Who evicted some writes of a replica cannot say what it has of that replica.
            if Evictions.of(snapshot, COLLECTION).vector:
                return False
    return True


# -- ways of being away: of the sender and the receiver


def _cut(sender: Server, receiver: Server) -> None:
    for end in tuple(receiver.ends):
        if end.connection is not None:
            end.connection.cut()


def _forget(sender: Server, receiver: Server) -> None:
    _cut(sender, receiver)
    sender.bases.clear()


def _restart_sender(sender: Server, receiver: Server) -> None:
    _cut(sender, receiver)
    sender.crash()


def _restart_receiver(sender: Server, receiver: Server) -> None:
    receiver.crash()


def _restart_both(sender: Server, receiver: Server) -> None:
    sender.crash()
    receiver.crash()


_KINDS: Final[dict[str, Callable[[Server, Server], None]]] = {
    "cut": _cut,
    "forget": _forget,
    "restart_sender": _restart_sender,
    "restart_receiver": _restart_receiver,
    "restart_both": _restart_both,
}
