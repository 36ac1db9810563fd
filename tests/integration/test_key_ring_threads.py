# SPDX-License-Identifier: Apache-2.0
"""First checks of keys on the threads of a real pool, while the reactor goes on turning."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadable import isInIOThread
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from edge_twisted.config.model import IdentityConfig
from edge_twisted.security.api_keys import generate
from edge_twisted.security.key_ring import KeyRing
from edge_twisted.store.threads import ThreadPool as StoreThreads

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor

reactor = cast("Reactor", global_reactor)


class ThreadsTests(TestCase):
    async def test_the_reactor_turns_while_keys_are_hashed(self) -> None:
        pool = ThreadPool(0, 2)
        pool.start()
        self.addCleanup(pool.stop)
        on_reactor: list[bool] = []

        def defer(work: Callable[[], bool]) -> Deferred[bool]:
            def observed() -> bool:
                on_reactor.append(isInIOThread())
                return work()

            return deferToThreadPool(reactor, pool, observed)

        keys = [generate() for _ in range(4)]
        identities = [
            IdentityConfig(id=str(number), api_key_hash=made.hash, permissions=("full",))
            for number, made in enumerate(keys)
        ]
        ring = KeyRing(identities, defer)
        turns: list[None] = []
        heart = LoopingCall(turns.append, None)
        heart.start(0.001)
        asked = [ring.identify(made.key.encode(), "a") for made in keys]
        self.assertEqual([each.called for each in asked], [False] * 4)
        found = await gatherResults(asked)
        heart.stop()
        self.assertEqual([each and each.id for each in found], ["0", "1", "2", "3"])
        self.assertEqual(on_reactor, [False] * 4)
        self.assertGreater(len(turns), 4)

    async def test_the_threads_of_a_pool_can_give_way_to_others(self) -> None:
        mine = os.getpriority(os.PRIO_PROCESS, 0)
        for niceness in (0, 10):
            threads = StoreThreads(reactor, "test", 1, niceness=niceness)
            self.addCleanup(threads.close)
            found = await threads.call(
                lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            )
            self.assertEqual(found, niceness or mine)
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, 0), mine)
