# SPDX-License-Identifier: Apache-2.0
"""The relay over a store: what it subscribes to for whom, and how it keeps to its room."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from edge_twisted.mesh.ports.effects import (
    PeerSubscribed,
    PeerUnsubscribed,
    StreamProgress,
    Unwanted,
)
from edge_twisted.mesh.ports.requests import ApplyBatch, ReadChanges, Scope, TransitRoute
from edge_twisted.mesh.wire.items import ScopeKey
from edge_twisted.records.transit import DropMark
from edge_twisted.replication.transit_relay import (
    AGAIN_SECONDS,
    KEEP_SECONDS,
    REMEMBERED_MS,
    STALLED_SECONDS,
    RelayParts,
    TransitRelay,
)
from tests.integration.replication.base import ReplicationTestCase

ALL = "SELECT * FROM c"


class Neighbours:
    """Records what the relay does at neighbours."""

    def __init__(self) -> None:
        self.subscribed: dict[tuple[str, str], Scope] = {}
        self.cut: list[str] = []

    def subscribe(self, peer: str, scope: Scope) -> None:
        self.subscribed[peer, scope.query] = scope

    def unsubscribe(self, peer: str, key: ScopeKey) -> None:
        gone = [p for p, s in self.subscribed.items() if p[0] == peer and s.key == key]
        for place in gone:
            del self.subscribed[place]

    def cut_off(self, peer: str, detail: str) -> None:
        self.cut.append(peer)

    def at(self, peer: str) -> list[str]:
        return sorted(query for name, query in self.subscribed if name == peer)


class RelayTests(ReplicationTestCase):
    """T with neighbours a, which has documents, and b and c, which want some."""

    async def prepare(self, most: int = 1 << 20) -> None:
        self.seconds = 0.0
        self.a = await self.replica("a")
        self.t = await self.replica("t", transit_bytes=most)
        self.neighbours = Neighbours()
        self.relay = self.new_relay()
        for name in ("a", "b"):
            self.relay.connected(name, name.encode() * 16, name)

    def new_relay(self, **progress: int) -> TransitRelay:
        relay = TransitRelay(
            RelayParts(
                documents=self.t.documents,
                store=self.t.store,
                neighbours=self.neighbours,
                progress=lambda peer: progress.get(peer, -1),
                seconds=lambda: self.seconds,
                now_ms=self.now_ms,
                entropy=lambda size: bytes([self.made]) * size,
            )
        )
        with self.t.store.snapshot() as snapshot:
            relay.load(snapshot)
        return relay

    def wants(self, name: str, query: str = ALL, **more: Any) -> None:
        """Let a neighbour subscribe, and say that this is all."""
        scope = self.t.documents.scope(query, {})
        event = PeerSubscribed(number=1, scope=scope, route=None, position=None)
        self.relay.told(name, name, evolve(event, **more))

    async def passes(self, *documents: dict[str, Any]) -> None:
        """Insert at A, and bring it into transit at T."""
        await self.a.insert("c", *documents)
        after = self.t.store.lsn
        scope = evolve(self.t.documents.scope(ALL, {}), route=TransitRoute(()))
        changes = await self.a.documents.perform(ReadChanges(scope=scope, after=0))
        await self.t.documents.perform(
            ApplyBatch(
                scope=scope,
                sender=self.a.documents.replica,
                items=changes.items,  # type: ignore[union-attr]
                lsn=None,
            )
        )
        assert self.t.store.lsn > after

    def acknowledges(self, name: str, lsn: int | None = None) -> None:
        self.relay.told(name, name, StreamProgress(self.t.store.lsn if lsn is None else lsn))

    @property
    def documents(self) -> int:
        return self.relay.account.documents

    # -- subscriptions

    async def test_what_one_wants_is_subscribed_to_at_the_others(self) -> None:
        await self.prepare()
        self.wants("b")
        self.assertEqual((self.neighbours.at("a"), self.neighbours.at("b")), ([ALL], []))
        route = self.neighbours.subscribed["a", ALL].route
        assert route is not None
        self.assertEqual(route.path, (b"b" * 16,))
        self.relay.connected("c", b"c" * 16, "c")
        self.assertEqual(self.neighbours.at("c"), [ALL])
        self.relay.told("b", "b", PeerUnsubscribed(1))
        self.relay.tick()
        self.assertEqual(self.neighbours.subscribed, {})

    async def test_what_this_server_wants_or_may_not_hand_on_is_left_alone(self) -> None:
        await self.prepare()
        self.t.documents.subscribe([self.t.documents.scope(ALL, {})])
        self.t.documents.close_collections(frozenset({"secret"}))
        self.wants("b", number=1)
        self.wants("b", "SELECT * FROM secret", number=2)
        self.wants("b", "SELECT * FROM c WHERE a = 1", number=3)
        self.wants("b", "SELECT * FROM system:vitals", number=4)
        self.relay.tick()
        self.assertEqual(self.neighbours.subscribed, {})
        self.t.documents.close_collections(frozenset())
        self.relay.scopes_changed()
        self.relay.tick()
        self.assertEqual(self.neighbours.at("a"), ["SELECT * FROM secret"])

    async def test_who_is_away_is_served_for_a_week_over_restarts(self) -> None:
        await self.prepare()
        self.wants("b")
        self.acknowledges("b")
        self.relay.disconnected("b")
        self.seconds += KEEP_SECONDS
        self.relay.tick()
        self.neighbours = Neighbours()
        self.relay = self.new_relay(b=7)
        self.relay.connected("a", b"a" * 16, "a")
        self.assertEqual(self.neighbours.at("a"), [ALL])
        self.assertEqual(self.relay.routes.peers["b"].acknowledged, 7)
        self.now += REMEMBERED_MS
        self.relay.tick()
        self.assertEqual(self.neighbours.at("a"), [])

    async def test_who_comes_back_and_wants_less_is_served_that(self) -> None:
        await self.prepare()
        self.wants("b")
        self.relay.disconnected("b")
        self.relay.connected("b", b"b" * 16, "again")
        self.relay.tick()
        self.assertEqual(self.neighbours.at("a"), [ALL])
        self.relay.told("b", "again", StreamProgress(0))
        self.relay.tick()
        self.assertEqual(self.neighbours.at("a"), [])

    async def test_what_nobody_wants_is_counted(self) -> None:
        await self.prepare()
        self.relay.told("a", "a", Unwanted(3))
        self.assertEqual(self.relay.account.unwanted, 3)

    # -- room

    async def test_without_room_nothing_more_is_taken_until_it_is_acknowledged(self) -> None:
        await self.prepare(most=1000)
        self.wants("b")
        self.acknowledges("b", 0)
        await self.passes(*({"_id": n, "text": "x" * 300} for n in range(5)))
        self.relay.check_room()
        self.assertEqual((self.documents, self.relay.account.is_paused), (5, True))
        self.assertEqual(self.neighbours.at("a"), [])
        self.acknowledges("b")
        self.relay.tick()
        self.assertLess(self.relay.account.size, 1000)
        self.relay.tick()
        self.assertEqual((self.relay.account.is_paused, self.neighbours.at("a")), (False, [ALL]))
        self.assertEqual(self.neighbours.cut, [])

    async def test_who_acknowledges_nothing_is_cut_off_and_what_it_lacks_is_dropped(self) -> None:
        await self.prepare(most=1000)
        self.wants("b")
        self.relay.connected("c", b"c" * 16, "c")
        self.wants("c")
        self.acknowledges("b", 0)
        await self.passes(*({"_id": n, "text": "x" * 300} for n in range(5)))
        self.acknowledges("c")
        self.relay.tick()
        self.assertEqual((self.documents, self.neighbours.cut), (5, []))
        self.seconds += STALLED_SECONDS
        self.relay.tick()
        self.assertEqual(self.neighbours.cut, ["b"])
        self.relay.disconnected("b")
        self.relay.tick()
        self.assertLess(self.documents, 5)

    async def test_what_only_absent_ones_lack_stays_while_nobody_else_has_it(self) -> None:
        await self.prepare(most=1000)
        self.wants("b")
        self.acknowledges("b", 0)
        self.relay.disconnected("b")
        await self.passes(*({"_id": n, "text": "x" * 300} for n in range(5)))
        self.relay.tick()
        self.assertEqual((self.documents, self.relay.account.is_paused), (5, True))

    # -- what was dropped

    async def dropped(self) -> int:
        await self.prepare(most=1)
        self.wants("b")
        await self.passes({"_id": 1})
        self.acknowledges("b")
        self.relay.tick()
        self.relay.tick()
        self.assertEqual((self.documents, self.relay.account.dropped), (0, 1))
        with self.t.store.snapshot() as snapshot:
            return DropMark.of(snapshot, "c").lsn

    def token(self) -> bytes:
        route = self.neighbours.subscribed["a", ALL].route
        assert route is not None
        return route.token

    async def comes(self, **more: Any) -> bool:
        """Whether a subscription of C has all fetched again."""
        self.made += 1
        before = self.token()
        self.relay.connected("c", b"c" * 16, "c")
        self.wants("c", **more)
        self.seconds += AGAIN_SECONDS
        self.relay.tick()
        self.relay.tick()
        return self.token() != before

    async def test_a_late_comer_has_it_fetched_again(self) -> None:
        await self.dropped()
        self.assertTrue(await self.comes())

    async def test_who_has_passed_what_was_dropped_has_not(self) -> None:
        lsn = await self.dropped()
        self.assertFalse(await self.comes(position=lsn))

    async def test_who_was_away_when_it_was_dropped_has_it_fetched_again(self) -> None:
        lsn = await self.dropped()
        self.assertTrue(await self.comes(position=lsn - 1, route=TransitRoute((b"d" * 16,), b"t")))

    async def test_a_wish_that_is_passed_on_is_followed_once(self) -> None:
        await self.dropped()
        route = TransitRoute((b"d" * 16,), b"wish")
        self.assertTrue(await self.comes(route=route))
        self.assertEqual(self.token(), b"wish")
        self.relay.disconnected("c")
        self.assertFalse(await self.comes(route=route))

    async def test_a_wish_is_followed_again_where_more_was_dropped_since(self) -> None:
        """It is of a full server that was paused, and goes on with the repair that it had begun."""
        await self.dropped()
        route = TransitRoute((b"d" * 16,), b"wish")
        self.assertTrue(await self.comes(route=route))
        self.relay.disconnected("c")
        await self.passes({"_id": 2})
        self.acknowledges("b")
        self.relay.tick()
        self.relay.tick()
        transit = self.t.documents.transit
        assert transit is not None
        self.assertEqual(self.documents, 0)
        self.assertNotEqual(transit.passed("c"), [])
        self.seconds += 2 * AGAIN_SECONDS
        await self.comes(route=route)
        self.assertEqual(transit.passed("c"), [])
