# SPDX-License-Identifier: Apache-2.0
"""Version vectors with exceptions do what sets of writes do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.digest import digest
from edge_twisted.documents.encoding import decode, encode
from edge_twisted.documents.entries import Entry, Stamp
from edge_twisted.documents.headers import read_header
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.values import MISSING
from edge_twisted.documents.versions import (
    Dot,
    Replica,
    SiteId,
    Span,
    VersionVector,
    decode_vector,
    encode_vector,
)
from edge_twisted.mesh.wire.items import Seen
from edge_twisted.mesh.wire.values import read_seen, write_seen

REPLICAS = [Replica(SiteId(bytes([number]) * 16), 1) for number in range(2)]
ALL = [Dot(replica, number) for replica in REPLICAS for number in range(1, 13)]

dots = st.sets(st.sampled_from(ALL))


def vector(seen: set[Dot]) -> VersionVector:
    """Return the vector of a set of writes, made write by write as servers do."""
    found = VersionVector()
    for dot in sorted(seen):
        last = found.seen(dot.replica)
        found = found.with_dot(dot)
        if last + 1 < dot.sequence:
            found = found.with_exception(dot.replica, (last + 1, dot.sequence - 1))
    return found


def members(version: VersionVector) -> set[Dot]:
    return {dot for dot in ALL if version.covers(dot)}


@given(dots)
def test_it_has_what_was_put_in(seen: set[Dot]) -> None:
    assert members(vector(seen)) == seen


@given(dots, dots)
def test_joined_is_the_union(a: set[Dot], b: set[Dot]) -> None:
    joined = vector(a).join(vector(b))
    assert members(joined) == a | b
    assert joined == vector(a | b)
    assert hash(joined) == hash(vector(a | b))


@given(dots, dots)
def test_includes_is_the_superset(a: set[Dot], b: set[Dot]) -> None:
    assert vector(a).includes(vector(b)) == (a >= b)
    assert (vector(a) == vector(b)) == (a == b)


@given(dots, dots)
def test_digests_tell_them_apart(a: set[Dot], b: set[Dot]) -> None:
    assert (digest(b"id", vector(a)) == digest(b"id", vector(b))) == (a == b)


@given(dots)
def test_they_are_written_and_read(seen: set[Dot]) -> None:
    version = vector(seen)
    assert decode_vector(encode_vector(version)) == version
    (written,) = write_seen([Seen(b"id", version)])
    assert read_seen(written) == (Seen(b"id", version),)


@given(dots.filter(bool))
def test_states_carry_them(seen: set[Dot]) -> None:
    stamp = Stamp(Timestamp(5), *max(seen))
    state = DocumentState(life=(Entry(stamp, MISSING),), version=vector(seen))
    data = encode(state)
    assert decode(data, None).version == state.version
    assert read_header(data).version == state.version


def test_old_writes_below_spans_are_found() -> None:
    spans: tuple[Span, ...] = ((2, 3), (5, 5), (9, 11))
    version = VersionVector({REPLICAS[0]: 12}, {REPLICAS[0]: spans})
    assert [n for n in range(1, 14) if version.covers(Dot(REPLICAS[0], n))] == [1, 4, 6, 7, 8, 12]
