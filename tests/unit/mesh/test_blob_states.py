# SPDX-License-Identifier: Apache-2.0
"""The states of a blob fetch: every state meets every event, and the page has the table."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

import edge_twisted
from edge_twisted.mesh.blobs.fetch import Fetch
from edge_twisted.mesh.blobs.fetches import FORGOTTEN_SECONDS, SILENT_SECONDS, Fetches
from edge_twisted.mesh.blobs.messages import CHUNK_BYTES, WINDOW_BYTES, Chunk, Pull
from edge_twisted.mesh.blobs.states import NEXT_STATE, FetchEvent, FetchState

PAGE = Path(edge_twisted.__file__).parent.parent / "docs" / "mesh-attachments.md"
ID = "A" * 43
#: A large blob that uses up the window of the link with "p".
OTHER = "B" * 42 + "A"
LENGTH = 10
Pair = tuple[FetchState, FetchEvent]


class Searcher:
    """Searches that go on until they are ended."""

    def __init__(self) -> None:
        self.searching: set[str] = set()

    def begin(self, attachment: str) -> None:
        self.searching.add(attachment)

    def is_searching(self, attachment: str) -> bool:
        return attachment in self.searching

    def end(self, attachment: str) -> None:
        self.searching.discard(attachment)


class Scene:
    """Fetches with one of ID in some state; `by` says who wants it."""

    def __init__(self, by: str) -> None:
        self.searcher = Searcher()
        self.fetches = Fetches(self.searcher)
        self.by = by
        self.fetches.want(OTHER, 0.0, urgent=True)
        self.fetches.found(OTHER, "p", WINDOW_BYTES, 0.0)
        self.fetches.begun(OTHER, 0, 0.0)

    # -- ways into the states

    def want(self) -> None:
        if self.by == "us":
            self.fetches.want(ID, 0.0, urgent=True)
        else:
            self.fetches.pulled("n", Pull(ID, 0, 1), {}, 0.0)

    def rest(self) -> None:
        # Only what is wanted here rests.
        self.fetches.want(ID, 0.0, urgent=True)
        self.end_search()

    def open(self) -> None:
        self.want()
        self.find("q")
        self.fetches.remove_source("q", ID, 0.0)
        self.fetches.begun(ID, 0, 0.0)

    def wait_for_disk(self) -> None:
        self.want()
        self.find("q")

    def verify(self) -> None:
        self.pull("q")
        self.send(LENGTH)

    def pull(self, peer: str) -> None:
        self.want()
        self.find(peer)
        self.fetches.begun(ID, 0, 0.0)

    # -- what can happen

    def find(self, peer: str, length: int = LENGTH) -> None:
        self.fetches.found(ID, peer, length, 0.0)

    def end_search(self) -> None:
        self.searcher.end(ID)
        self.fetches.search_ended(ID, 0.0)

    def send(self, length: int) -> None:
        for peer in ("p", "q", "r"):
            self.fetches.take_chunk(peer, Chunk(ID, 0, b"x" * length), 0.0)

    def free_window(self) -> None:
        self.fetches.take_chunk("p", Chunk(OTHER, 0, b"x" * CHUNK_BYTES), 0.0)
        self.fetches.written("p", CHUNK_BYTES)

    def leave(self) -> None:
        for peer in ("p", "q"):
            self.fetches.left(peer, 0.0)

    def remove_sources(self) -> None:
        for peer in ("p", "q"):
            self.fetches.remove_source(peer, ID, 0.0)


WAYS: dict[FetchState, Callable[[Scene], object]] = {
    FetchState.RESTING: Scene.rest,
    FetchState.SEARCHING: Scene.want,
    FetchState.OPENING: Scene.wait_for_disk,
    FetchState.OPEN: Scene.open,
    FetchState.QUEUED: lambda scene: scene.pull("p"),
    FetchState.PULLING: lambda scene: scene.pull("q"),
    FetchState.VERIFYING: Scene.verify,
    FetchState.DONE: lambda scene: None,
}
HAPPENINGS: dict[str, Callable[[Scene], object]] = {
    "wanted": lambda scene: scene.fetches.want(ID, 0.0, urgent=True),
    "pulled": lambda scene: scene.fetches.pulled("m", Pull(ID, 0, 1), {"r": LENGTH}, 0.0),
    "found": lambda scene: scene.find("r"),
    "search over": Scene.end_search,
    "begun": lambda scene: scene.fetches.begun(ID, 0, 0.0),
    "begun with all bytes": lambda scene: scene.fetches.begun(ID, LENGTH, 0.0),
    "window free": Scene.free_window,
    "some bytes": lambda scene: scene.send(LENGTH - 1),
    "all bytes": lambda scene: scene.send(LENGTH),
    "too many bytes": lambda scene: scene.send(LENGTH + 1),
    "source gone": Scene.remove_sources,
    "source left": Scene.leave,
    "source silent": lambda scene: scene.fetches.tick(SILENT_SECONDS),
    "corrupt": lambda scene: scene.fetches.corrupt(ID, 0.0),
    "broken": lambda scene: scene.fetches.broken(ID, 0.0),
    "finished": lambda scene: scene.fetches.finished(ID, 0.0),
    "unwanted": lambda scene: scene.fetches.stopped("n", ID),
    "forgotten": lambda scene: scene.fetches.tick(FORGOTTEN_SECONDS),
}


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> set[Pair]:
    """The pairs of state and event that a fetch of ID meets, legal or not."""
    pairs: set[Pair] = set()
    advance = Fetch.advance

    def recorded(fetch: Fetch, event: FetchEvent) -> None:
        if fetch.attachment == ID:
            pairs.add((fetch.state, event))
        advance(fetch, event)

    monkeypatch.setattr(Fetch, "advance", recorded)
    return pairs


@pytest.mark.parametrize("by", ["us", "a neighbour"])
@pytest.mark.parametrize("state", FetchState)
def test_every_state_can_be_entered(state: FetchState, by: str) -> None:
    scene = Scene(by)
    WAYS[state](scene)
    assert scene.fetches.state(ID) is state


def test_whatever_happens_in_any_state_is_in_the_table_and_all_of_it_happens(
    met: set[Pair],
) -> None:
    for by, way, first, second in product(
        ("us", "a neighbour"), WAYS.values(), HAPPENINGS.values(), HAPPENINGS.values()
    ):
        scene = Scene(by)
        for step in (way, first, second):
            step(scene)
    assert met == {(state, event) for state, row in NEXT_STATE.items() for event in row}


def test_each_pair_leads_where_the_table_says_or_nowhere() -> None:
    for state, event in product(FetchState, FetchEvent):
        fetch = Fetch(attachment=ID, wanted_at=0.0, state=state)
        if event in NEXT_STATE[state]:
            fetch.advance(event)
            assert fetch.state is NEXT_STATE[state][event]
        else:
            with pytest.raises(KeyError):
                fetch.advance(event)
            assert fetch.state is state


def test_the_documentation_prints_the_table() -> None:
    rows = [
        f"| {state.value} | {event.value} | {after.value} |"
        for state, row in NEXT_STATE.items()
        for event, after in row.items()
    ]
    _, _, rest = PAGE.read_text("utf-8").partition(
        "| state | event | next state |\n|---|---|---|\n"
    )
    assert rest.partition("\n\n")[0].splitlines() == rows
