# SPDX-License-Identifier: Apache-2.0
"""Multicast DNS by the real library, on the loopback interface."""

from __future__ import annotations

from collections.abc import Callable
from unittest import SkipTest

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from edge_twisted.mesh.carriers.tcp import TcpPeerAddress
from edge_twisted.mesh.links.discovery import Announcement, Discovery, DiscoveryParts, MeshNames
from edge_twisted.mesh.links.mdns import ZeroconfMdns
from edge_twisted.mesh.trust.peer_key import PeerKey
from tests.integration.reactor import reactor

NAMES = MeshNames(b"a key of these tests", "12345678-1234-4123-1234-123456789012")
LOOPBACK = "127.0.0.1"


class MdnsTests(TestCase):
    timeout = 60

    def discovery(self, name: str, port: int | None, found: list[TcpPeerAddress]) -> Discovery:
        us = PeerKey(f"pk{name}")
        announce = None
        if port is not None:
            announce = Announcement(instance=NAMES.instance(us), ip=LOOPBACK, port=port)
        return Discovery(
            DiscoveryParts(
                mdns=ZeroconfMdns([LOOPBACK]),
                names=NAMES,
                us=us,
                announce=announce,
                found=found.append,
                vanished=found.remove,
                clock=reactor,
                in_thread=deferToThread,
                from_thread=reactor.callFromThread,
            )
        )

    async def until(self, true: Callable[[], object], seconds: float = 20.0) -> None:
        for _ in range(int(seconds / 0.05)):
            if true():
                return
            await deferLater(reactor, 0.05)
        raise AssertionError("waited in vain")

    async def test_peers_find_each_other_and_notice_a_goodbye(self) -> None:
        found_by_a: list[TcpPeerAddress] = []
        found_by_b: list[TcpPeerAddress] = []
        a = self.discovery("a", 40401, found_by_a)
        b = self.discovery("b", None, found_by_b)
        a.start()
        b.start()
        try:
            await self.until(lambda: a._session is not None or a._has_warned)
            if a._has_warned:
                raise SkipTest("no multicast on the loopback interface here")
            await self.until(lambda: found_by_b == [TcpPeerAddress(host=LOOPBACK, port=40401)])
            self.assertEqual(found_by_a, [], "who does not listen is not announced")
        finally:
            await a.stop()
        try:
            await self.until(lambda: found_by_b == [])
        finally:
            await b.stop()

    def tearDown(self) -> Deferred[None]:  # type: ignore[override]
        # The library's threads end a moment after they were told to.
        return deferLater(reactor, 0.05)
