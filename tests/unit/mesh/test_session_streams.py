# SPDX-License-Identifier: Apache-2.0
"""Two sessions over tiny databases: what streams, and what it costs."""

from __future__ import annotations

from edge_twisted.mesh.effects import Established, Progress
from edge_twisted.testing.mesh_pair import Pair, two


def test_a_subscription_brings_what_is_there_and_what_comes() -> None:
    left, right = two()
    left.write("tasks", {"a": "1", "b": "2"})
    pair = Pair.of(left, right, right_wants=["tasks"]).start()
    assert right.shown("tasks") == {"a": "1", "b": "2"}
    assert [type(e) for e in pair.right.told(Established)] == [Established]
    left.write("tasks", {"a": "3"})
    left.write("tasks", {"b": None})
    pair.settle()
    assert right.shown("tasks") == {"a": "3"}
    assert pair.right.session.is_caught_up
    assert pair.left.told(Progress)[-1] == Progress(3)


def test_two_way() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    right.write("tasks", {"b": "2"})
    pair = Pair.of(left, right, right_wants=["tasks"], left_wants=["tasks"]).start()
    assert left.shown("tasks") == right.shown("tasks") == {"a": "1", "b": "2"}
    pair.wait(10)
    left.write("tasks", {"a": "2"})
    right.write("tasks", {"b": "3", "c": "4"})
    pair.settle()
    assert left.shown("tasks") == right.shown("tasks") == {"a": "2", "b": "3", "c": "4"}
    pair.wait(20)
    assert not pair.left.closed and not pair.right.closed
