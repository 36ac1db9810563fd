# SPDX-License-Identifier: Apache-2.0
"""Who is behind a key, and what a flood of wrong keys costs: counted, not timed."""

from __future__ import annotations

import base64
from collections.abc import Callable

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.config.model import IdentityConfig
from edge_twisted.security import fair_queue, key_ring
from edge_twisted.security.api_keys import generate
from edge_twisted.security.errors import BadKeyHash, KeyCheckOverloaded
from edge_twisted.security.key_ring import KeyRing

OURS = generate()
OTHER = generate()


def foreign_hash(key: bytes) -> str:
    """Return a cheap hash without a public id, as another tool would make it."""
    salt = b"0123456789abcdef"
    digest = Scrypt(salt=salt, length=32, n=2, r=1, p=1).derive(key)
    parts = [base64.b64encode(each).decode().rstrip("=") for each in (salt, digest)]
    return base64.b64encode(f"$scrypt$ln=1,r=1,p=1${parts[0]}${parts[1]}".encode()).decode()


def identity(name: str, hashed: str) -> IdentityConfig:
    return IdentityConfig(id=name, api_key_hash=hashed, permissions=("full",))


class Pool:
    """A pool whose work runs when the test says so."""

    def __init__(self) -> None:
        self.queued: list[tuple[Callable[[], bool], Deferred[bool]]] = []
        self.count = 0

    def defer(self, work: Callable[[], bool]) -> Deferred[bool]:
        self.count += 1
        answer: Deferred[bool] = Deferred()
        self.queued.append((work, answer))
        return answer

    def run(self, most: int = 10_000) -> None:
        while self.queued and most:
            work, answer = self.queued.pop(0)
            answer.callback(work())
            most -= 1


class KeyRingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pool = Pool()

    def tearDown(self) -> None:
        # Coroutines that never end would complain when they are collected.
        self.pool.run()

    def ring(self, *identities: IdentityConfig) -> KeyRing:
        return KeyRing(identities, self.pool.defer)

    def ask(self, ring: KeyRing, key: str | bytes, source: str = "a") -> str | None:
        raw = key.encode() if isinstance(key, str) else key
        answer = ring.identify(raw, source)
        self.pool.run()
        found = self.successResultOf(answer)
        return found.id if found else None

    def test_a_key_is_hashed_once_and_known_ever_after(self) -> None:
        ring = self.ring(identity("till", OURS.hash), identity("other", OTHER.hash))
        self.assertIsNone(ring.known(OURS.key.encode()))
        self.assertEqual(self.ask(ring, OURS.key), "till")
        self.assertEqual(self.ask(ring, OURS.key), "till")
        known = ring.known(OURS.key.encode())
        self.assertEqual(known and known.id, "till")
        self.assertEqual(self.pool.count, 1)
        self.assertEqual(self.ask(ring, OTHER.key), "other")

    def test_a_flood_of_wrong_keys_costs_no_hash_at_all(self) -> None:
        ring = self.ring(identity("till", OURS.hash))
        prefix, public_id, secret = OURS.key.split("_")
        for number in range(1000):
            made_up = f"{prefix}_{public_id}_{number:0>43}"
            for key in (made_up, f"key-{number}", "", OURS.key + "x" * (number + 1), secret):
                self.assertIsNone(self.ask(ring, key))
        self.assertEqual(self.pool.count, 0)
        self.assertIsNone(self.ask(ring, OTHER.key), "well-formed, but nobody's")
        self.assertEqual(self.pool.count, 0)

    def test_bytes_that_are_no_text_are_a_wrong_key(self) -> None:
        self.assertIsNone(self.ask(self.ring(identity("till", OURS.hash)), b"\xff\x00\n"))

    def test_foreign_hashes_cost_one_hash_each_and_none_for_a_repeated_key(self) -> None:
        ring = self.ring(
            identity("a", foreign_hash(b"key a")),
            identity("b", foreign_hash(b"key b")),
            identity("till", OURS.hash),
        )
        self.assertEqual(self.ask(ring, "key b"), "b")
        self.assertEqual(self.pool.count, 2)
        for _ in range(3):
            self.assertIsNone(self.ask(ring, "key c"))
        self.assertEqual(self.pool.count, 4)
        self.assertEqual(self.ask(ring, OURS.key), "till")
        self.assertEqual(self.pool.count, 5)

    def test_hashes_run_one_at_a_time_and_sources_take_turns(self) -> None:
        ring = self.ring(identity("a", foreign_hash(b"key a")))
        flood = [ring.identify(b"wrong %d" % number, "attacker") for number in range(40)]
        newcomer = ring.identify(b"key a", "shop")
        self.assertEqual(len(self.pool.queued), 1)
        self.pool.run(3)
        found = self.successResultOf(newcomer)
        self.assertEqual(found and found.id, "a")
        self.pool.run()
        self.assertEqual([self.successResultOf(each) for each in flood], [None] * 40)

    def test_what_waits_is_bounded_and_a_newcomer_still_gets_in(self) -> None:
        ring = self.ring(identity("a", foreign_hash(b"key a")))
        flood = [ring.identify(b"wrong %d" % number, "attacker") for number in range(500)]
        refused = [each for each in flood if each.called]
        self.assertEqual(len(refused), 500 - fair_queue.MAX_WAITING_PER_SOURCE - 1)
        for each in refused:
            self.failureResultOf(each, KeyCheckOverloaded)
        self.assertEqual(self.ask(ring, "key a", "shop"), "a")
        self.assertEqual(self.pool.count, fair_queue.MAX_WAITING_PER_SOURCE + 2)

    def test_what_needs_no_hash_is_refused_without_a_wait(self) -> None:
        ring = self.ring(identity("till", OURS.hash))
        _, public_id, _ = OURS.key.split("_")
        forged = f"edge_{public_id}_{'0' * 43}"
        for key in (OTHER.key, forged, "nonsense", "x" * (key_ring.MAX_KEY_BYTES + 1)):
            self.assertTrue(ring.refuses(key.encode()), key)
        self.assertFalse(ring.refuses(OURS.key.encode()))

    def test_where_a_hash_is_foreign_a_wrong_key_is_refused_once_it_was_hashed(self) -> None:
        ring = self.ring(identity("a", foreign_hash(b"key a")))
        self.assertFalse(ring.refuses(b"wrong"))
        self.assertIsNone(self.ask(ring, "wrong"))
        self.assertTrue(ring.refuses(b"wrong"))
        self.assertFalse(ring.refuses(b"key a"))

    def test_a_key_of_ours_does_not_wait_for_a_flood_of_hashes(self) -> None:
        ring = self.ring(identity("a", foreign_hash(b"key a")), identity("till", OURS.hash))
        for number in range(fair_queue.MAX_WAITING):
            ring.identify(b"wrong %d" % number, f"host {number}")
        for source in ("host 0", "shop"):
            answer = ring.identify(OURS.key.encode(), source)
            # One hash that runs already, and then this one.
            self.pool.run(2)
            found = self.successResultOf(answer)
            self.assertEqual(found and found.id, "till")

    def test_all_sources_together_are_bounded(self) -> None:
        ring = self.ring(identity("a", foreign_hash(b"key a")))
        asked = [
            ring.identify(b"wrong %d" % n, f"host {n}") for n in range(fair_queue.MAX_WAITING + 9)
        ]
        refused = [each for each in asked if each.called]
        self.assertEqual(len(refused), 8)
        text = str(self.failureResultOf(refused.pop(), KeyCheckOverloaded).value)
        self.assertIn(str(fair_queue.MAX_WAITING), text)
        for each in refused:
            self.failureResultOf(each, KeyCheckOverloaded)
        self.pool.run()

    def test_one_key_asked_for_many_times_is_hashed_once(self) -> None:
        ring = self.ring(identity("till", OURS.hash))
        answers = [ring.identify(OURS.key.encode(), "a") for _ in range(50)]
        self.pool.run()
        self.assertEqual(
            {each and each.id for each in map(self.successResultOf, answers)}, {"till"}
        )
        self.assertEqual(self.pool.count, 1)

    def test_a_caller_that_goes_away_takes_the_answer_from_nobody(self) -> None:
        ring = self.ring(identity("till", OURS.hash))
        gone, stays = (ring.identify(OURS.key.encode(), "a") for _ in range(2))
        gone.addErrback(lambda _: None)
        gone.cancel()
        self.pool.run()
        found = self.successResultOf(stays)
        self.assertEqual(found and found.id, "till")

    def test_remembered_wrong_keys_are_bounded(self) -> None:
        self.patch(key_ring, "MAX_REFUSED", 10)
        ring = self.ring(identity("a", foreign_hash(b"key a")))
        for number in range(30):
            self.ask(ring, f"wrong {number}")
        self.assertEqual(len(ring._refused), 10)

    def test_a_broken_pool_fails_the_caller_and_is_not_remembered(self) -> None:
        ring = self.ring(identity("till", OURS.hash))
        answer = ring.identify(OURS.key.encode(), "a")
        self.pool.queued.pop()[1].errback(RuntimeError("no thread"))
        self.failureResultOf(answer, RuntimeError)
        self.assertEqual(self.ask(ring, OURS.key), "till")

    # -- reload

    def test_a_reload_keeps_who_stays_and_forgets_who_goes(self) -> None:
        ring = self.ring(identity("till", OURS.hash), identity("other", OTHER.hash))
        self.ask(ring, OURS.key)
        self.ask(ring, OTHER.key)
        ring.replace([identity("renamed", OURS.hash)])
        self.assertEqual(self.ask(ring, OURS.key), "renamed")
        self.assertIsNone(ring.known(OTHER.key.encode()))
        self.assertIsNone(self.ask(ring, OTHER.key))
        self.assertEqual(self.pool.count, 2)

    def test_a_check_under_way_answers_by_the_new_identities(self) -> None:
        ring = self.ring(identity("till", OURS.hash))
        answer = ring.identify(OURS.key.encode(), "a")
        ring.replace([])
        self.pool.run()
        self.assertIsNone(self.successResultOf(answer))
        self.assertIsNone(ring.known(OURS.key.encode()))

    def test_a_key_that_was_wrong_before_a_reload_may_be_right_after(self) -> None:
        ring = self.ring(identity("a", foreign_hash(b"key a")))
        self.assertIsNone(self.ask(ring, "key b"))
        under_way = ring.identify(b"key c", "a")
        ring.replace([identity(name, foreign_hash(b"key %c" % ord(name))) for name in "abc"])
        self.pool.run()
        self.assertIsNone(self.successResultOf(under_way))
        self.assertEqual(self.ask(ring, "key b"), "b")
        self.assertEqual(self.ask(ring, "key c"), "c")

    def test_a_bad_hash_changes_nothing(self) -> None:
        ring = self.ring(identity("till", OURS.hash))
        with self.assertRaises(BadKeyHash):
            ring.replace([identity("other", OTHER.hash), identity("bad", "no hash")])
        self.assertEqual(self.ask(ring, OURS.key), "till")
        self.assertIsNone(self.ask(ring, OTHER.key))


class TurnsTests(SynchronousTestCase):
    def test_one_who_leaves_the_queue_gives_nobody_s_turn_away(self) -> None:
        queue = fair_queue.FairSlots(1)
        self.successResultOf(queue.take("a"))
        leaves, stays = queue.take("a"), queue.take("a")
        leaves.addErrback(lambda _: None)
        leaves.cancel()
        queue.give_back()
        self.successResultOf(stays)
        queue.give_back()
        last = queue.take("b")
        self.successResultOf(last)
        gone = queue.take("c")
        gone.addErrback(lambda _: None)
        gone.cancel()
        queue.give_back()
        self.successResultOf(queue.take("d"))
