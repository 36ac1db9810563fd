# SPDX-License-Identifier: Apache-2.0
"""Who is let in: keys, permissions, other origins, limits, and the order of these."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.api.cors import CrossOrigin
from edge_twisted.api.errors import (
    Forbidden,
    HttpError,
    InvalidRequest,
    TooManyRequests,
    Unauthorized,
)
from edge_twisted.api.gate import ApiGate, GateRules, caller_of
from edge_twisted.api.health import ROUTE as HEALTH
from edge_twisted.api.logs_download import ROUTE as LOGS
from edge_twisted.api.presence import ROUTE as PRESENCE
from edge_twisted.api.request import Request
from edge_twisted.api.route import Route
from edge_twisted.api.throttle import Throttle
from edge_twisted.api.transaction import ROUTE as TRANSACTION
from edge_twisted.config.model import Cors, IdentityConfig, Permissions
from edge_twisted.security.api_keys import generate
from edge_twisted.security.callers import ANYBODY, Caller
from edge_twisted.security.key_ring import KeyRing
from tests.support.api_requests import api_request

MADE = generate()
OTHER = generate()


class CountingThrottle(Throttle):
    """Lets so many requests through."""

    def __init__(self, limit: int) -> None:
        super().__init__(())
        self.left = limit
        self.seen: list[str | None] = []

    def check(self, request: Request) -> None:
        self.seen.append(request.identity.id if request.identity else None)
        if not self.left:
            raise TooManyRequests(7)
        self.left -= 1

    def header_lines(self, request: Request) -> bytes:
        return b"RateLimit: %d\r\n" % self.left


def identity(*permissions: Permissions) -> IdentityConfig:
    return IdentityConfig(id="till", api_key_hash=MADE.hash, permissions=permissions)


class Case(SynchronousTestCase):
    """A gate with one key."""

    def setUp(self) -> None:
        self.hashes: list[Deferred[bool]] = []
        self.throttle = CountingThrottle(100)
        self.keys = KeyRing([identity("data")], self.in_pool)
        self.gate = ApiGate(GateRules(keys=self.keys, throttle=self.throttle))

    def in_pool(self, work: Callable[[], bool]) -> Deferred[bool]:
        return succeed(work())

    def request(
        self, authorization: str | None = None, route: Route = PRESENCE, **fields: str
    ) -> Request:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if authorization is not None:
            headers["Authorization"] = authorization
        request = api_request(path=route.path, headers=headers, identity=None)
        request.route = route
        return request

    def refusal(self, request: Request, kind: type[HttpError]) -> str:
        try:
            answer = self.gate.admit(request)
        except kind as error:
            return str(error)
        assert isinstance(answer, Deferred)
        return str(self.failureResultOf(answer, kind).value)


class Keys(Case):
    """With keys."""

    def test_a_first_check_waits_and_later_ones_do_not(self) -> None:
        answer = self.gate.admit(self.request(f"Bearer {MADE.key}"))
        assert isinstance(answer, Deferred)
        caller = self.successResultOf(answer)
        assert caller is not None
        self.assertEqual(caller.id, "till")
        for scheme in ("bearer", "BEARER", "Bearer "):
            request = self.request(f"{scheme} {MADE.key}")
            self.assertIs(self.gate.admit(request), caller)
            self.assertIs(caller_of(request), caller)

    def test_hashes_are_waited_for_by_network(self) -> None:
        asked: list[str] = []

        def identify(_: bytes, source: str) -> Deferred[Caller | None]:
            asked.append(source)
            return succeed(None)

        self.patch(self.keys, "identify", identify)
        for client in ("192.0.2.1", "2001:db8:1:2:3::4", "2001:db8:1:2:ffff::5"):
            request = self.request(f"Bearer {MADE.key}")
            request.client = client
            self.refusal(request, Unauthorized)
        self.assertEqual(asked, ["192.0.2.1", "2001:db8:1:2::/64", "2001:db8:1:2::/64"])

    def test_keys_that_are_none(self) -> None:
        self.assertIn("Bearer KEY", self.refusal(self.request(), Unauthorized))
        for text in ("", "Bearer", "Bearer  ", "Basic abc", MADE.key):
            self.refusal(self.request(text), Unauthorized)
        self.refusal(self.request(f"Bearer {OTHER.key}"), Unauthorized)
        self.refusal(self.request("Bearer nonsense"), Unauthorized)

    def test_refusals_count_too_and_by_no_key(self) -> None:
        self.throttle.left = 3
        self.refusal(self.request(), Unauthorized)
        self.refusal(self.request(f"Bearer {OTHER.key}"), Unauthorized)
        self.refusal(self.request(f"Bearer {MADE.key}", LOGS), Forbidden)
        self.assertEqual(self.throttle.seen, [None, None, "till"])
        self.refusal(self.request(), TooManyRequests)
        self.refusal(self.request(f"Bearer {OTHER.key}"), TooManyRequests)

    def test_two_keys(self) -> None:
        for between in (", Bearer ", " ", ","):
            self.refusal(self.request(f"Bearer {MADE.key}{between}{OTHER.key}"), InvalidRequest)

    def test_a_key_without_the_permission_is_named_and_refused(self) -> None:
        request = self.request(f"Bearer {MADE.key}", LOGS)
        self.refusal(request, Forbidden)
        assert request.identity is not None
        self.assertEqual(request.identity.id, "till")

    def test_transactions_open_with_execute(self) -> None:
        self.successResultOf(self.admitted(self.request(f"Bearer {MADE.key}", TRANSACTION)))

    def test_open_endpoints_need_none(self) -> None:
        request = self.request(route=HEALTH)
        self.assertIsNone(self.gate.admit(request))
        with self.assertRaises(Unauthorized):
            caller_of(request)

    def test_the_throttle_comes_last_and_knows_who(self) -> None:
        self.throttle.left = 1
        self.successResultOf(self.admitted(self.request(f"Bearer {MADE.key}")))
        with self.assertRaises(TooManyRequests):
            self.gate.admit(self.request(f"Bearer {MADE.key}"))
        self.assertEqual(self.throttle.seen, ["till", "till"])
        self.assertIsNone(self.gate.admit(self.request(route=HEALTH)))

    def test_rules_are_replaced_live(self) -> None:
        request = self.request(f"Bearer {MADE.key}")
        self.successResultOf(self.admitted(request))
        self.keys.replace([])
        self.refusal(self.request(f"Bearer {MADE.key}"), Unauthorized)
        self.gate.replace(GateRules(keys=None))
        self.assertIs(self.gate.admit(self.request()), ANYBODY)
        self.assertEqual(self.gate.header_lines(request), b"")

    def test_a_check_under_way_answers_by_the_rules_it_began_with(self) -> None:
        waiting: Deferred[bool] = Deferred()
        keys = KeyRing([identity("full")], lambda _: waiting)
        self.gate.replace(GateRules(keys=keys))
        answer = self.gate.admit(self.request(f"Bearer {MADE.key}", LOGS))
        assert isinstance(answer, Deferred)
        self.assertNoResult(answer)
        waiting.callback(True)
        self.assertIsNotNone(self.successResultOf(answer))

    def admitted(self, request: Request) -> Deferred[Caller | None]:
        answer = self.gate.admit(request)
        return answer if isinstance(answer, Deferred) else succeed(answer)


class Origins(Case):
    """Without keys, pages of other sites must not drive the server."""

    def setUp(self) -> None:
        super().setUp()
        self.gate.replace(GateRules(keys=None))

    def test_programs_and_own_pages_pass(self) -> None:
        self.assertIs(self.gate.admit(self.request()), ANYBODY)
        own = self.request(Origin="http://localhost:8080", Host="localhost:8080")
        self.assertIs(self.gate.admit(own), ANYBODY)

    def test_others_do_not(self) -> None:
        for origin in ("http://evil.example", "null", "https://localhost:8080", "http://localhost"):
            self.refusal(self.request(Origin=origin, Host="localhost:8080"), Forbidden)
        self.refusal(self.request(Origin="http://a"), Forbidden)

    def test_those_that_are_allowed_do(self) -> None:
        cors = CrossOrigin(Cors(allowed_origins=("https://till.example",)))
        self.gate.replace(GateRules(keys=None, cors=cors))
        self.assertIs(self.gate.admit(self.request(Origin="https://till.example")), ANYBODY)
        self.refusal(self.request(Origin="https://till.example.evil"), Forbidden)
        self.gate.replace(GateRules(keys=None, cors=CrossOrigin(Cors(allowed_origins=("*",)))))
        self.assertIs(self.gate.admit(self.request(Origin="http://any")), ANYBODY)

    def test_with_keys_the_key_decides(self) -> None:
        self.gate.replace(GateRules(keys=self.keys))
        answer = self.gate.admit(self.request(f"Bearer {MADE.key}", Origin="http://evil.example"))
        assert isinstance(answer, Deferred)
        self.assertIsNotNone(self.successResultOf(answer))
