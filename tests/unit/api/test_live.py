# SPDX-License-Identifier: Apache-2.0
"""What a reload changes while the server runs, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.api.errors import EndpointDisabled, Unauthorized
from edge_twisted.api.reloadable import ReloadableApi
from edge_twisted.api.request import Request
from edge_twisted.api.throttle import Throttle
from edge_twisted.config.model import (
    Auth,
    Configuration,
    HttpServer,
    IdentityConfig,
    ThrottleStrategy,
)
from edge_twisted.security.api_keys import generate
from edge_twisted.security.callers import ANYBODY, Caller
from tests.support.api_requests import api_request
from tests.unit.api.test_gate import CountingThrottle
from tests.unit.api.test_tree import configuration, parts

MADE = generate()
STRATEGY = ThrottleStrategy(strategy="ip_address", max_requests=1, window_secs=1.0)


def keyed(by: Configuration, *hashes: str) -> Configuration:
    identities = tuple(
        IdentityConfig(id=f"id-{n}", api_key_hash=text, permissions=("full",))
        for n, text in enumerate(hashes)
    )
    return evolve(by, auth=Auth(identities=identities))


class Reloads(SynchronousTestCase):
    """An API that is reloaded."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.first = configuration(folder)
        self.less = configuration(folder, http_api={"presence": True}, rest=False)
        self.throttles: list[CountingThrottle] = []
        self.live = ReloadableApi(
            self.first, parts(), defer_to_pool=self.in_pool, throttle_of=self.throttle_of
        )

    def in_pool(self, work: Callable[[], bool]) -> Deferred[bool]:
        return succeed(work())

    def throttle_of(self, http: HttpServer) -> Throttle:
        self.throttles.append(CountingThrottle(100))
        return self.throttles[-1]

    def admitted(self, key: str | None = None) -> Request:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        request = api_request(path="/presence", headers=headers, identity=None)
        self.live.find(request)
        answer = self.live.gate.admit(request)
        if isinstance(answer, Deferred):
            # The pool of these tests answers at once.
            self.value_or_raise(answer)
        return request

    def value_or_raise(self, answer: Deferred[Caller | None]) -> None:
        results: list[Caller | Failure | None] = []
        answer.addBoth(results.append)
        if isinstance(results[0], Failure):
            results[0].raiseException()

    def test_endpoints_and_keys(self) -> None:
        self.assertIs(self.admitted().identity, ANYBODY)
        self.live.find(api_request("POST", "/execute"))
        self.assertEqual(self.live.commit(keyed(self.less, MADE.hash)), ())
        with self.assertRaises(EndpointDisabled):
            self.live.find(api_request("POST", "/execute"))
        with self.assertRaises(Unauthorized):
            self.admitted()
        identity = self.admitted(MADE.key).identity
        assert identity is not None
        self.assertEqual(identity.id, "id-0")
        self.live.commit(keyed(self.less, generate().hash))
        with self.assertRaises(Unauthorized):
            self.admitted(MADE.key)
        self.live.commit(self.first)
        self.assertIs(self.admitted().identity, ANYBODY)

    def test_a_key_that_passed_is_not_hashed_again(self) -> None:
        self.live.commit(keyed(self.less, MADE.hash))
        self.admitted(MADE.key)
        self.live.commit(keyed(self.first, generate().hash, MADE.hash))
        request = api_request(
            path="/presence", headers={"Authorization": f"Bearer {MADE.key}"}, identity=None
        )
        self.live.find(request)
        self.assertNotIsInstance(self.live.gate.admit(request), Deferred)

    def test_counts_survive_a_reload_about_something_else(self) -> None:
        self.live.commit(self.less)
        self.assertEqual(len(self.throttles), 1)
        assert self.first.http_server is not None
        http = evolve(self.first.http_server, throttling=(STRATEGY,))
        self.live.commit(evolve(self.first, http_server=http))
        self.assertEqual(len(self.throttles), 2)

    def test_what_cannot_be(self) -> None:
        self.assertEqual(self.live.verify(self.first), ())
        self.assertEqual(self.live.verify(keyed(self.first, MADE.hash)), ())
        self.assertEqual(len(self.live.verify(keyed(self.first, "nonsense"))), 1)
        self.assertEqual(self.live.commit(evolve(self.first, http_server=None)), ["http_server"])
        self.admitted()
