# SPDX-License-Identifier: Apache-2.0
"""Whether the servers of a simulation agree, and with what was written."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edge_twisted.documents.headers import INITIAL_EPOCH
from edge_twisted.documents.json_text import from_text
from edge_twisted.documents.nodes import nodes_of
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.values import MISSING
from edge_twisted.store.rows import StoredDocument
from tests.support.simulation.bounds import DocumentBounds, lacks
from tests.support.simulation.contents import Place, documents_of
from tests.support.simulation.node import Server, SimulationFailed
from tests.support.simulation.oracle import Oracle, state_of
from tests.support.simulation.workload import TALLIES


def differences(servers: Sequence[Server]) -> list[str]:
    """Return how servers differ in what they are both to have; nothing if they agree."""
    found: list[str] = []
    first = servers[0]
    reference = documents_of(first.replica.store)
    for server in servers[1:]:
        here = documents_of(server.replica.store)
        for place in sorted(reference.keys() | here.keys()):
            ours, theirs = reference.get(place), here.get(place)
            if _agree(server, place, ours, theirs):
                continue
            found.append(f"{place}: {first.name} {_shown(ours)}, {server.name} {_shown(theirs)}")
    return found


def _agree(
    server: Server, place: Place, ours: StoredDocument | None, theirs: StoredDocument | None
) -> bool:
    if not (_is_wanted(server, place, ours) or _is_wanted(server, place, theirs)):
        return True
    if _is_live(ours) or _is_live(theirs):
        return ours is not None and theirs is not None and ours[2:] == theirs[2:]
    return True


def _is_live(document: StoredDocument | None) -> bool:
    return document is not None and document.body is not None


def _is_wanted(server: Server, place: Place, document: StoredDocument | None) -> bool:
    """Return whether a server subscribes to a document as it is."""
    if document is None or document.body is None:
        return False
    matches = server.replica.documents.matches
    return any(
        scope.collection == place[0] and matches(scope, document.body) for scope in server.scopes
    )


def _shown(document: StoredDocument | None) -> str:
    if document is None:
        return "nothing"
    version = state_of(document).version
    body = document.body.decode() if document.body else "tombstone"
    return f"{re.sub('x{9,}', 'xx', body)} {version}"


def check_end(servers: Sequence[Server], oracle: Oracle, *, reaped: bool) -> None:
    """
    Hold what the servers agreed on against what was written.

    :raises SimulationFailed: they differ, lost a write, or brought something back.
    """
    # Who drops a tombstone in transit forgets it like the reaper.
    reaped = reaped or any(server.transit_bytes is not None for server in servers)
    found = differences(servers)
    if found:
        raise SimulationFailed("they differ:\n  " + "\n  ".join(found))
    documents = documents_of(servers[0].replica.store)
    for place, bounds in sorted(oracle.bounds().items(), key=lambda item: item[0]):
        document = documents.get(place)
        problem = _problem(place, bounds, document, forgot=reaped and place in oracle.deleted)
        if problem:
            must = bounds.must
            raise SimulationFailed(
                f"{place}: {problem}: {_shown(document)}; must have {must.version}"
            )
    _check_tally(documents, oracle)
    for server in servers:
        _check_transit(server, oracle)


def _check_transit(server: Server, oracle: Oracle) -> None:
    """Hold a server in transit to showing nothing of what passes, and to its bound."""
    transit = server.replica.documents.transit
    if transit is None:
        return
    if transit.size > transit.most_bytes:
        raise SimulationFailed(f"{server.name} keeps {transit.size} bytes for others")
    written = {each.place for each in oracle.records if each.server == server.number}
    shown = documents_of(server.replica.store).keys() - written
    if shown and not server.has_subscribed:
        raise SimulationFailed(f"{server.name} shows what it does not want: {sorted(shown)}")


def _problem(
    place: Place, bounds: DocumentBounds, document: StoredDocument | None, *, forgot: bool
) -> str:
    found = DocumentState() if document is None else state_of(document)
    if not found.is_alive and bounds.certainly_lives():
        return "a live document is gone"
    if found.is_alive and not bounds.may_live() and not (forgot and _is_new_initial(found, bounds)):
        return "a deleted document is back"
    if document is None or forgot:
        # Who forgot a delete cannot have what only its tombstone held.
        return ""
    return "an acknowledged write is lost" if lacks(found, bounds.must) else ""


def _is_new_initial(found: DocumentState, bounds: DocumentBounds) -> bool:
    """
    Return whether a document shows what INITIAL wrote, which no delete has seen, and no more.

    INITIAL loses against any delete, but nobody can know of one that was reaped.
    """
    slots = [entries for node in nodes_of(found.root) for entries in node.slots.values()]
    writers = {
        entry.stamp.replica
        for entries in (found.life, *slots)
        for entry in entries
        if entry.value is not MISSING
    }
    is_only = all(writer.epoch == INITIAL_EPOCH for writer in writers)
    return is_only and not any(map(bounds.seen_by_deletes.seen, writers))


def _check_tally(documents: dict[Place, StoredDocument], oracle: Oracle) -> None:
    for (collection, _), document in documents.items():
        if collection != TALLIES or document.body is None:
            continue
        shown = from_text(document.body).get("n", 0)
        if not oracle.tally - oracle.tally_lost <= shown <= oracle.tally:
            raise SimulationFailed(
                f"the tally is {shown}, of {oracle.tally} that were added"
                f" ({oracle.tally_lost} may be lost)"
            )
