# SPDX-License-Identifier: Apache-2.0
"""Exceptions of versions that no server writes."""

from __future__ import annotations

from typing import Any

import msgspec.msgpack
import pytest

from edge_twisted.documents.encoding import CorruptState
from edge_twisted.documents.headers import MAX_EXCEPTIONS, read_header, read_life
from edge_twisted.documents.versions import Dot, Replica, SiteId
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.violations import PeerViolation

SITE = b"s" * 16


def state(seen: Any, epoch: int = 1) -> bytes:
    """Return the tombstone that writer number 9 left, of a version as it is written."""
    return msgspec.msgpack.encode([[[SITE, epoch]], [[0, 9, 5]], [seen], 0, [[0, False]], []])


def test_what_servers_write_is_read() -> None:
    version = read_header(state([9, [2, 3], [5, 8]])).version
    replica = Replica(SiteId(SITE), 1)
    assert [n for n in range(11) if n and version.covers(Dot(replica, n))] == [1, 4, 9]


@pytest.mark.parametrize(
    "seen",
    [
        [9],
        [9, [0, 1]],
        [9, [3, 2]],
        [9, [-2, -1]],
        [9, [2, 3], [4, 5]],
        [9, [4, 5], [2, 2]],
        [9, [5, 9]],
        [9, [5, 12]],
        [0, [1, 2]],
        [9, [1, 2, 3]],
        [9, [1]],
        [9, 1],
        [9, [True, 2]],
        [9, [1.0, 2]],
        [9, ["1", "2"]],
        [[9], [1, 2]],
        [],
        [2 * MAX_EXCEPTIONS + 9, *([2 * n + 2, 2 * n + 2] for n in range(MAX_EXCEPTIONS + 1))],
    ],
)
def test_exceptions_that_cannot_be_are_refused(seen: Any) -> None:
    with pytest.raises(CorruptState):
        read_header(state(seen))


def test_initial_has_none() -> None:
    read_header(state(9, epoch=0))
    with pytest.raises(CorruptState):
        read_header(state([9, [1, 2]], epoch=0))


def test_a_deleted_document_lives_by_nothing() -> None:
    assert read_life(state(9)) == ()


@pytest.mark.parametrize("field", [2, 3])
def test_lists_in_messages_are_bounded(field: int) -> None:
    entry: tuple[Any, ...] = (SITE, 1, 1, 1) if field == 2 else (SITE, 1, 1)
    seen: list[Any] = [b"key", [], [], []]
    for size, is_fine in ((MAX_EXCEPTIONS, True), (MAX_EXCEPTIONS + 1, False)):
        seen[field] = [entry] * size
        data = msgspec.msgpack.encode([11, 1, True, [seen]])
        if is_fine:
            assert isinstance(m.decode(data), m.Gone)
            continue
        with pytest.raises(PeerViolation):
            m.decode(data)
