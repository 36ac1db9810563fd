# SPDX-License-Identifier: Apache-2.0
"""Presence: any order, any duplicates, the same graph; and what the graph shows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from edge_twisted.mesh.presence.codec import MAX_RECORD_BYTES, decode, encode, signed_bytes
from edge_twisted.mesh.presence.gossip import Giver, Gossip, RecordFault, RefusedRecord, Spread
from edge_twisted.mesh.presence.graph import (
    FORGET_SECONDS,
    MAX_CLAIMS,
    MAX_CONNECTIONS,
    MAX_RECORDS,
    MAX_STAMP,
    Claim,
    PresenceGraph,
    PresenceRecord,
    RecordVersion,
    is_sound,
)
from edge_twisted.mesh.trust.identity import PeerIdentity
from edge_twisted.mesh.trust.peer_key import PeerKey

KINDS = ("AccessPoint", "WebSocket")


def key(number: int) -> PeerKey:
    return PeerKey(f"pk{number:044d}")


def record(
    number: int, *links: int, boot: int = 1, counter: int = 1, name: str = ""
) -> PresenceRecord:
    return PresenceRecord(
        peer=key(number),
        stamp=RecordVersion(boot, counter),
        device_name=name or f"peer {number}",
        os="Linux",
        version="edge-twisted/0",
        claims=tuple(sorted(Claim(key(each), "AccessPoint") for each in links)),
    )


US = record(0)
numbers = st.integers(1, 5)
claims = st.builds(Claim, st.integers(0, 5).map(key), st.sampled_from(KINDS))
records = st.builds(
    PresenceRecord,
    peer=numbers.map(key),
    stamp=st.builds(RecordVersion, st.integers(0, 2), st.integers(0, 3)),
    device_name=st.sampled_from(["a", "b"]),
    os=st.just("Linux"),
    version=st.just("v"),
    claims=st.lists(claims, max_size=6, unique=True).map(sorted).map(tuple),
)


def shown(graph: PresenceGraph) -> object:
    return [(each, graph.links(each)) for each in (graph.local, *graph.peers())]


def graph_of(received: Sequence[PresenceRecord], *links: int) -> PresenceGraph:
    graph = PresenceGraph(US)
    graph.publish([Claim(key(each), "AccessPoint") for each in links])
    for each in received:
        graph.receive(each)
    return graph


@given(st.lists(records, max_size=12), st.data(), st.lists(numbers, max_size=3))
def test_any_order_and_any_duplicates_give_the_same_graph(
    received: list[PresenceRecord], data: st.DataObject, links: list[int]
) -> None:
    again = data.draw(st.lists(st.sampled_from(received))) if received else []
    shuffled = data.draw(st.permutations([*received, *again]))
    assert shown(graph_of(received, *links)) == shown(graph_of(shuffled, *links))


@given(st.lists(records, max_size=12))
def test_news_is_passed_on_once(received: list[PresenceRecord]) -> None:
    graph = PresenceGraph(US)
    for each in received:
        passed = graph.receive(each)
        assert passed in (None, each)
        assert graph.receive(each) is None


@given(st.lists(records, max_size=12), st.lists(numbers, max_size=3))
def test_what_is_shown_hangs_together(received: list[PresenceRecord], links: list[int]) -> None:
    """Every link is claimed by both ends and shown at both; every peer has one."""
    graph = graph_of(received, *links)
    everybody = {each.peer: each for each in (graph.local, *graph.peers())}
    drawn = {
        (each.peer, link.peer, link.kind)
        for each in everybody.values()
        for link in graph.links(each)
    }
    assert drawn == {(b, a, kind) for a, b, kind in drawn}
    for a, b, kind in drawn:
        assert Claim(b, kind) in everybody[a].claims
    assert all(any(a == each for a, _, _ in drawn) for each in everybody if each != US.peer)


@given(records)
def test_records_survive_the_wire(original: PresenceRecord) -> None:
    assert decode(encode(original)) == original


@given(st.binary(max_size=64))
@example(b"\x98\x01\xa1\xff")
def test_garbage_on_the_wire_is_nothing(data: bytes) -> None:
    found = decode(data)
    assert found is None or is_sound(found)


def test_what_others_claim_of_us_leaves_us_able_to_speak() -> None:
    """A forged record of our own, with the highest stamp there is, is no end of our own news."""
    graph = PresenceGraph(US)
    assert decode(encode(record(0, boot=MAX_STAMP, counter=1))) is None
    assert decode(encode(record(0, boot=1, counter=2**64 - 1))) is None
    forged = decode(encode(record(0, 5, boot=MAX_STAMP - 1, counter=MAX_STAMP - 1)))
    assert forged is not None
    answer = graph.receive(forged)
    assert answer is not None and answer.rank > forged.rank and answer.claims == US.claims
    published = graph.publish([Claim(key(1), "AccessPoint")])
    assert published is not None and encode(published)


def test_a_chain_is_seen_whole_and_breaks_at_once() -> None:
    graph = graph_of([record(1, 0, 2), record(2, 1, 3), record(3, 2)], 1)
    assert [each.peer for each in graph.peers()] == [key(1), key(2), key(3)]
    graph.receive(record(1, 0, counter=2))
    assert [each.peer for each in graph.peers()] == [key(1)]
    graph.publish([])
    assert graph.peers() == []


def test_a_link_that_one_end_claims_is_none() -> None:
    graph = graph_of([record(1, 0, 2), record(2)], 1)
    assert [each.peer for each in graph.peers()] == [key(1)]
    assert graph.links(record(1, 0, 2)) == [Claim(key(0), "AccessPoint")]


def test_old_news_of_the_dead_stays_old() -> None:
    graph = graph_of([record(1, 0), record(2, 1)], 1)
    graph.receive(record(1, 0, counter=5))
    assert graph.receive(record(1, 0, 2, counter=4)) is None
    assert [each.peer for each in graph.peers()] == [key(1)]


def test_an_older_life_of_ours_is_outdone() -> None:
    graph = PresenceGraph(US)
    graph.publish([Claim(key(1), "AccessPoint")])
    ours = graph.receive(record(0, 4, boot=7, counter=9))
    assert ours is not None
    assert ours.stamp == RecordVersion(7, 10)
    assert ours.claims == (Claim(key(1), "AccessPoint"),)
    assert graph.receive(record(0, 4, boot=7, counter=9)) is None


def test_those_out_of_reach_are_forgotten_later() -> None:
    graph = graph_of([record(1, 0), record(2, 1)], 1)
    graph.forget(0.0)
    graph.forget(FORGET_SECONDS - 1)
    assert len(graph.everything()) == 3
    graph.forget(FORGET_SECONDS)
    assert [each.peer for each in graph.everything()] == [key(0), key(1)]


def test_the_number_of_records_is_bounded() -> None:
    graph = graph_of([record(1, 0)], 1)
    for number in range(2, MAX_RECORDS + 10):
        assert graph.receive(record(number)) is not None, "those out of reach make room"
    assert len(graph.everything()) == MAX_RECORDS + 1
    assert [each.peer for each in graph.peers()] == [key(1)]


def test_the_number_of_links_is_bounded() -> None:
    graph = PresenceGraph(US)
    full = range(10_000, 10_000 + MAX_CONNECTIONS)
    for number in range(1, MAX_CLAIMS // MAX_CONNECTIONS + 5):
        graph.receive(record(number, *full))
    assert sum(len(each.claims) for each in graph.everything()) <= MAX_CLAIMS


def test_a_record_is_bounded() -> None:
    full = record(1, *range(MAX_CONNECTIONS))
    assert is_sound(full)
    assert len(encode(full)) < MAX_RECORD_BYTES
    assert not is_sound(record(1, *range(MAX_CONNECTIONS + 1)))
    assert not is_sound(record(1, name="x" * 257))
    assert not is_sound(record(1, 3, 3))


# -- signatures

KEYS = [PeerIdentity.of(ec.derive_private_key(number, ec.SECP256R1())) for number in range(1, 5)]


def signed(who: PeerIdentity, said: PresenceRecord) -> PresenceRecord:
    """Return a record about `who`, signed."""
    mine = evolve(said, peer=who.peer_key)
    return evolve(mine, signature=who.sign(signed_bytes(mine)))


def fresh() -> Gossip:
    """Return the gossip of the last of `KEYS`, who knows nobody yet."""
    us = KEYS[-1]
    return Gossip(PresenceGraph(evolve(US, peer=us.peer_key)), us.sign)


#: Links over which records come: of a peer that signs, and of one of version 1.
GIVERS = [Giver(KEYS[1].peer_key, signs=True), Giver(KEYS[1].peer_key, signs=False)]


def is_refused(data: bytes, giver: Giver) -> bool:
    """Return whether a record is not believed; it must leave no trace in the graph."""
    gossip = fresh()
    heard = gossip.hear(data, giver)
    assert len(gossip.graph.everything()) == (2 if isinstance(heard, Spread) else 1)
    return not isinstance(heard, Spread)


def test_a_changed_bit_anywhere_is_refused() -> None:
    data = encode(signed(KEYS[0], record(0, 1, 2, boot=1_764_000_000_000, counter=300)))
    assert not is_refused(data, GIVERS[0])
    for place in range(len(data) * 8):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        assert is_refused(bytes(changed), GIVERS[0]), f"bit {place}"


@given(records, st.data())
def test_what_was_said_by_a_peer_is_believed_and_nothing_else(
    said: PresenceRecord, data: st.DataObject
) -> None:
    giver = data.draw(st.sampled_from(GIVERS))
    true = signed(KEYS[0], said)
    whole = encode(true)
    assert decode(whole) == true
    assert not is_refused(whole, giver)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert is_refused(whole[:cut], giver)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    assert is_refused(bytes(changed), giver)
    other = data.draw(records.filter(lambda each: evolve(each, peer=said.peer) != said))
    moved = evolve(other, peer=true.peer, signature=true.signature)
    assert is_refused(encode(moved), giver), "the signature is of another statement"
    assert is_refused(encode(evolve(true, peer=KEYS[2].peer_key)), giver), "of another peer"
    assert is_refused(encode(evolve(true, signature=b"")), giver)


@given(records)
def test_equal_statements_are_signed_as_equal_bytes(said: PresenceRecord) -> None:
    assert signed_bytes(signed(KEYS[0], said)) == signed_bytes(evolve(said, peer=KEYS[0].peer_key))


@given(records)
def test_version_1_reads_a_signed_record(said: PresenceRecord) -> None:
    class First(msgspec.Struct, array_like=True):
        """A record as version 1 reads it."""

        form: int
        peer: str
        boot: int
        counter: int
        device_name: str
        os: str
        version: str
        claims: list[tuple[str, str]]

    true = signed(KEYS[0], said)
    read = msgspec.msgpack.decode(encode(true), type=First)
    assert (read.form, read.peer, read.claims) == (1, true.peer, [tuple(c) for c in true.claims])


@pytest.mark.parametrize(
    ("about", "giver", "fault"),
    [
        (KEYS[1], GIVERS[1], None),
        (KEYS[0], GIVERS[1], RecordFault.UNSIGNED),
        (KEYS[-1], GIVERS[1], RecordFault.UNSIGNED),
        (KEYS[-1], Giver(KEYS[-1].peer_key, signs=False), RecordFault.UNSIGNED),
        (KEYS[1], GIVERS[0], RecordFault.UNSIGNED),
        (KEYS[0], GIVERS[0], RecordFault.UNSIGNED),
    ],
)
def test_an_unsigned_record_counts_on_the_link_with_its_peer_alone(
    about: PeerIdentity, giver: Giver, fault: RecordFault | None
) -> None:
    gossip = fresh()
    heard = gossip.hear(encode(evolve(record(0, boot=3), peer=about.peer_key)), giver)
    if fault is None:
        assert isinstance(heard, Spread) and not heard.is_signed
        assert len(gossip.everything(signed_only=True)) == 1
        assert len(gossip.everything(signed_only=False)) == 2
    else:
        assert heard == RefusedRecord(fault, about.peer_key)
        assert len(gossip.everything(signed_only=False)) == 1


def test_a_record_that_changes_loses_its_signature() -> None:
    graph = PresenceGraph(US)
    assert graph.sign_local(b"s" * 64).signature
    assert graph.local.signature
    changed = graph.publish([Claim(key(1), "AccessPoint")])
    assert changed is not None and not changed.signature


def test_a_record_of_the_greatest_size_can_be_signed() -> None:
    full = signed(KEYS[0], record(1, *range(MAX_CONNECTIONS)))
    data = encode(full)
    assert len(data) < MAX_RECORD_BYTES and not is_refused(data, GIVERS[0])


def test_names_too_long_for_a_record_are_signed_as_they_are_sent() -> None:
    us = KEYS[0]
    gossip = Gossip(PresenceGraph(evolve(record(0, name="x" * 500), peer=us.peer_key)), us.sign)
    (data,) = gossip.everything(signed_only=True)
    assert not is_refused(data, GIVERS[0])
