# SPDX-License-Identifier: Apache-2.0
"""Collections whose sync scope closes and opens, before a stream and in the middle of one."""

from __future__ import annotations

import pytest

from edge_twisted.mesh.ports.effects import ScopeRefused
from edge_twisted.mesh.ports.requests import (
    Answer,
    CursorUnknown,
    DocumentRequest,
    FindGone,
    ReadChanges,
    ReadDigests,
    ReadDocuments,
    ScopeClosed,
)
from tests.support.fake_documents import FakeDocuments
from tests.support.mesh_pair import LinkPair, two


def is_open(pair: LinkPair) -> bool:
    return pair.left.closed is None and pair.right.closed is None


def open_again(pair: LinkPair, left: FakeDocuments) -> None:
    """Serve the tasks again."""
    left.closed.clear()
    pair.left.take(pair.left.session.committed(left.lsn, frozenset({"tasks"}), pair.now))
    pair.wait(3)


def close_at(pair: LinkPair, left: FakeDocuments, kind: type) -> list[DocumentRequest]:
    """Close the tasks just before the left side is asked that; return what it was asked."""
    asked: list[DocumentRequest] = []

    def perform(request: DocumentRequest) -> Answer:
        if isinstance(request, kind) and not asked:
            asked.append(request)
            left.closed.add("tasks")
        return left.answer(request)

    pair.left.perform = perform  # type: ignore[method-assign]
    return asked


def test_a_closed_sync_scope_is_served_once_it_opens() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    left.closed.add("tasks")
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    assert right.shown("tasks") == {}
    assert [e.key for e in pair.right.told(ScopeRefused)] == [b"tasks"]
    left.write("tasks", {"b": "2"})
    pair.wait(3)
    assert right.shown("tasks") == {}
    left.closed.clear()
    pair.left.take(pair.left.session.committed(left.lsn, frozenset({"tasks"}), pair.now))
    pair.settle()
    assert right.shown("tasks") == {"a": "1", "b": "2"}
    left.closed.add("tasks")
    left.write("tasks", {"c": "3"})
    pair.settle()
    assert right.shown("tasks") == {"a": "1", "b": "2"}
    assert is_open(pair)


def test_what_is_lacking_when_the_scope_closes_comes_once_it_opens() -> None:
    left, right = two()
    left.write("tasks", {"a": "1", "b": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    right.docs["tasks"].clear()
    right.knowledge.clear()
    asked = close_at(pair, left, ReadDocuments)
    left.write("tasks", {"a": "2", "b": "2"})
    pair.settle()
    # An answer without the documents would say that they are not there any more.
    assert asked and right.shown("tasks") == {}
    open_again(pair, left)
    assert right.shown("tasks") == left.shown("tasks") == {"a": "2", "b": "2"}
    assert is_open(pair)


@pytest.mark.parametrize("kind", [ReadDigests, ReadDocuments, FindGone])
def test_a_repair_in_which_the_scope_closes_is_made_once_it_opens(kind: type) -> None:
    left, right = two()
    left.write("tasks", dict.fromkeys("abc", "1"))
    LinkPair.of(left, right, right_wants=["tasks"]).start()
    left.write("tasks", {"a": None, "b": "2"})
    left.reap("tasks")
    right.cursors.clear()
    pair = LinkPair.of(left, right, right_wants=["tasks"])
    asked = close_at(pair, left, kind)
    pair.start().wait(3)
    assert asked and right.shown("tasks")["a"] == "1"
    assert [e.key for e in pair.right.told(ScopeRefused)] == [b"tasks"]
    open_again(pair, left)
    assert right.shown("tasks") == left.shown("tasks") == {"b": "2", "c": "1"}
    assert is_open(pair)


@pytest.mark.parametrize("at", range(2, 5))
@pytest.mark.parametrize("kind", ["closed", "unknown"])
def test_what_a_stream_leaves_of_the_window_is_not_used_before_the_peer_hears_of_it(
    at: int, kind: str
) -> None:
    left, right = two()
    pair = LinkPair.of(left, right, right_wants=["tasks", "others"]).start()
    for number in range(8):
        for name in ("tasks", "others"):
            left.write(name, {f"{number}": "x" * 100_000})
    reads = 0

    def perform(request: DocumentRequest) -> Answer:
        nonlocal reads
        if isinstance(request, ReadChanges) and request.scope.query == "tasks":
            reads += 1
            if reads == at:
                return ScopeClosed() if kind == "closed" else CursorUnknown(reason="reaped")
        return left.answer(request)

    pair.left.perform = perform  # type: ignore[method-assign]
    pair.left.tell_commits(pair.now)
    while pair.left.step(pair.now):
        pass
    # The receiver is slow to store what came.
    while pair.left.to_peer:
        pair.right.take(pair.right.session.receive(pair.left.to_peer.popleft(), pair.now))
    assert is_open(pair)
    pair.settle()
    assert len(right.shown("others")) == 8
    assert is_open(pair)
