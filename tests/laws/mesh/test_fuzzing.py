# SPDX-License-Identifier: Apache-2.0
"""The fuzzers of the mesh, for a moment; and the laws of frames."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_twisted.mesh.wire.frames import FrameReader, FrameWriter
from tests.support.fuzz_mesh import ENTRY_POINTS


@pytest.mark.parametrize("fuzz", ENTRY_POINTS)
@settings(deadline=None, max_examples=500)
@given(data=st.binary(max_size=400))
@example(data=b"")
def test_arbitrary_bytes_end_in_refusals(fuzz: Callable[[bytes], None], data: bytes) -> None:
    fuzz(data)


@settings(deadline=None, max_examples=500)
@given(
    st.lists(st.tuples(st.binary(max_size=3000), st.integers(1, 5), st.booleans()), max_size=8),
    st.lists(st.integers(1, 500), min_size=1, max_size=40),
)
def test_any_cut_of_the_stream_gives_the_same_messages(
    messages: list[tuple[bytes, int, bool]], cuts: list[int]
) -> None:
    writer, reader = FrameWriter(), FrameReader()
    reader.limit_bytes = 1 << 20
    payloads = [data * times for data, times, _ in messages]
    pairs = zip(payloads, messages, strict=True)
    stream = b"".join(writer.message(p, deflated=deflated) for p, (*_, deflated) in pairs)
    found: list[bytes] = []
    at, step = 0, 0
    while at < len(stream):
        size = cuts[step % len(cuts)]
        reader.feed(stream[at : at + size])
        found.extend(reader.messages())
        at, step = at + size, step + 1
    assert found == payloads


def test_a_message_longer_than_a_frame_takes_several() -> None:
    writer, reader = FrameWriter(), FrameReader()
    reader.limit_bytes = 1 << 24
    payload = bytes(range(256)) * (1 << 14)
    for deflated in (True, False):
        data = writer.message(payload, deflated=deflated)
        reader.feed(data)
        assert list(reader.messages()) == [payload]
    assert len(writer.message(payload, deflated=False)) == len(payload) + 4 * 4
