# SPDX-License-Identifier: Apache-2.0
"""Attachments across hops: servers with stores, links in memory, time by hand."""

from __future__ import annotations

import random

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.api.attachments import AttachmentNotFound, AttachmentUnavailable
from edge_twisted.mesh.blobs.messages import CHUNK_BYTES, WINDOW_BYTES, Chunk
from tests.integration.mesh.blob_network import Network, Server, blob_id

CONTENT = random.Random(1).randbytes(20 * CHUNK_BYTES + 77)
ID = blob_id(CONTENT)


class BlobTests(SynchronousTestCase):
    """Each begins with servers in a line, all of which know a document that names the blob."""

    def setUp(self) -> None:
        self.network = Network()

    def line(self, *names: str) -> list[Server]:
        servers = self.network.line(*names)
        for server in servers:
            server.name_blob(ID)
        return servers

    def fetched(self, server: Server, seconds: float = 9.5) -> Deferred[bool]:
        return server.transfer.fetch(ID, seconds)

    # -- the plain way

    def test_a_blob_comes_over_one_hop(self) -> None:
        a, b = self.line("a", "b")
        b.add(CONTENT)
        done = self.fetched(a)
        self.network.deliver()
        self.assertTrue(self.successResultOf(done))
        self.assertEqual(a.data.blobs.complete[ID], CONTENT)

    def test_a_blob_comes_over_two_hops_and_stays_between(self) -> None:
        a, b, c = self.line("a", "b", "c")
        c.add(CONTENT)
        done = self.fetched(a)
        self.network.deliver()
        self.assertTrue(self.successResultOf(done))
        self.assertTrue(a.has(ID) and b.has(ID))

    def test_bytes_on_their_way_are_bounded(self) -> None:
        _a, _b, c = self.line("a", "b", "c")
        c.add(CONTENT)
        self.fetched(self.network.servers["a"])
        self.network.deliver()
        self.assertLess(self.network.most["c", "b"], WINDOW_BYTES + 1024)
        self.assertGreater(self.network.most["c", "b"], WINDOW_BYTES - CHUNK_BYTES)

    def test_small_blobs_pass_large_ones(self) -> None:
        a, b = self.line("a", "b")
        b.add(CONTENT)
        small = b.add(b"small")
        b.name_blob(small, "other")
        self.fetched(a)
        self.network.deliver_chunks(4)
        done = a.transfer.fetch(small, 9.5)
        self.network.deliver_chunks(8)
        self.assertTrue(self.successResultOf(done))
        self.assertFalse(a.has(ID))

    def test_an_empty_blob_comes(self) -> None:
        a, b = self.network.line("a", "b")
        empty = b.add(b"")
        b.name_blob(empty)
        done = a.transfer.fetch(empty, 9.5)
        self.network.deliver()
        self.assertTrue(self.successResultOf(done))

    def test_what_is_here_is_not_asked_for(self) -> None:
        a, _ = self.line("a", "b")
        a.add(CONTENT)
        self.assertTrue(self.successResultOf(self.fetched(a)))
        self.assertFalse(self.network.waiting)

    def test_unasked_ones_come_in_their_turn(self) -> None:
        a, b = self.network.line("a", "b")
        ids = [b.add(b"%d" % number) for number in range(40)]
        for number, one in enumerate(ids):
            b.name_blob(one, f"c{number}")
        a.transfer.fetch_unasked(ids)
        self.network.deliver()
        self.assertTrue(all(a.has(one) for one in ids))

    # -- unavailable

    def test_nobody_has_it(self) -> None:
        a, _b, _c = self.line("a", "b", "c")
        done = self.fetched(a)
        self.network.deliver()
        self.assertFalse(self.successResultOf(done))

    def test_without_neighbours_it_is_unavailable_at_once(self) -> None:
        (a,) = self.line("a")
        self.assertFalse(self.successResultOf(self.fetched(a)))

    def test_loops_end(self) -> None:
        a, *_ = self.line("a", "b", "c", "d")
        self.network.plug("d", "a")
        self.network.plug("b", "d")
        done = self.fetched(a)
        self.network.deliver()
        self.assertFalse(self.successResultOf(done))

    def test_it_is_fetched_once_somebody_has_it(self) -> None:
        a, _b, _c = self.line("a", "b", "c")
        self.fetched(a)
        self.network.deliver()
        d = self.network.server("d")
        d.name_blob(ID)
        d.add(CONTENT)
        self.network.plug("a", "d")
        self.network.deliver()
        self.assertTrue(a.has(ID))

    def test_it_is_tried_again_now_and_then(self) -> None:
        a, _b, c = self.line("a", "b", "c")
        self.fetched(a)
        self.network.deliver()
        c.add(CONTENT)
        self.network.pass_time(31)
        self.assertTrue(a.has(ID))

    def test_a_silent_neighbour_is_waited_for_until_the_request_ends(self) -> None:
        a, b = self.line("a", "b")
        b.add(CONTENT)
        self.network.busy.add("b")
        done = self.fetched(a, 9.5)
        self.network.pass_time(9)
        self.assertNoResult(done)
        self.network.pass_time(1)
        self.assertFalse(self.successResultOf(done))
        self.network.busy.clear()
        self.network.pass_time(1)
        self.assertTrue(a.has(ID), "it goes on in the background")

    # -- low priority

    def test_documents_go_first_for_as_long_as_it_takes(self) -> None:
        a, b = self.line("a", "b")
        b.add(CONTENT)
        self.network.busy.add("b")
        self.fetched(a)
        self.network.pass_time(60)
        self.assertEqual(self.network.chunks, 0)
        self.network.busy.clear()
        self.network.pass_time(1)
        self.assertTrue(a.has(ID))

    # -- cuts

    def test_a_cut_in_the_middle_is_resumed(self) -> None:
        a, b = self.line("a", "b")
        b.add(CONTENT)
        self.fetched(a)
        self.network.deliver_chunks(10)
        self.network.cut("a", "b")
        partial = len(a.data.blobs.partial[ID])
        self.assertGreater(partial, 5 * CHUNK_BYTES)
        before = self.network.chunks
        self.network.plug("a", "b")
        self.network.deliver()
        self.assertEqual(a.data.blobs.complete[ID], CONTENT)
        self.assertLessEqual(self.network.chunks - before, 21 - partial // CHUNK_BYTES)

    def test_another_source_takes_over(self) -> None:
        a, b = self.line("a", "b")
        d = self.network.server("d")
        d.name_blob(ID)
        self.network.plug("a", "d")
        b.add(CONTENT)
        d.add(CONTENT)
        done = self.fetched(a)
        self.network.deliver_chunks(10)
        self.network.cut("a", "b")
        self.network.deliver()
        self.assertTrue(self.successResultOf(done))
        self.assertLessEqual(self.network.chunks, 21 + 4)

    def test_the_far_link_is_cut_and_mended(self) -> None:
        a, b, c = self.line("a", "b", "c")
        c.add(CONTENT)
        done = self.fetched(a)
        self.network.deliver_chunks(10)
        self.network.cut("b", "c")
        self.network.deliver()
        self.assertFalse(self.successResultOf(done))
        self.network.plug("b", "c")
        self.network.pass_time(31)
        self.assertTrue(a.has(ID) and b.has(ID))

    def test_whom_a_relay_fetched_for_has_gone(self) -> None:
        a, b, c = self.line("a", "b", "c")
        c.add(CONTENT)
        self.fetched(a)
        self.network.deliver_chunks(10)
        self.network.cut("a", "b")
        self.network.deliver()
        self.assertFalse(b.has(ID))
        self.assertGreater(len(b.data.blobs.partial[ID]), 0)

    # -- who may have it

    def test_a_document_must_name_it(self) -> None:
        a, b = self.network.line("a", "b")
        b.add(CONTENT)
        done = self.fetched(a)
        self.network.deliver()
        self.assertFalse(self.successResultOf(done))

    def test_the_document_must_live(self) -> None:
        a, b = self.line("a", "b")
        b.add(CONTENT)
        b.delete(ID)
        done = self.fetched(a)
        self.network.deliver()
        self.assertFalse(self.successResultOf(done))

    def test_the_collection_must_be_for_peers(self) -> None:
        a, b = self.line("a", "b")
        b.add(CONTENT)
        b.set_scope("LocalPeerOnly")
        done = self.fetched(a)
        self.network.deliver()
        self.assertFalse(self.successResultOf(done))
        b.set_scope("SmallPeersOnly")
        done = self.fetched(a)
        self.network.deliver()
        self.assertTrue(self.successResultOf(done))

    # -- lies

    def test_wrong_bytes_are_not_kept(self) -> None:
        a, b = self.line("a", "b")
        b.add(CONTENT)
        self.network.tamper = lambda sender, chunk: _spoilt(chunk)
        done = self.fetched(a)
        self.network.deliver()
        self.assertFalse(self.successResultOf(done))
        self.assertFalse(a.has(ID))
        self.assertNotIn(ID, a.data.blobs.partial)

    def test_an_honest_peer_serves_after_a_liar(self) -> None:
        a, b = self.line("a", "liar")
        d = self.network.server("d")
        d.name_blob(ID)
        self.network.plug("a", "d")
        b.add(CONTENT)
        d.add(CONTENT)
        self.network.tamper = lambda sender, chunk: _spoilt(chunk) if sender == "liar" else chunk
        done = self.fetched(a)
        self.network.deliver()
        self.assertTrue(self.successResultOf(done))
        self.assertEqual(a.data.blobs.complete[ID], CONTENT)

    def test_a_liar_does_not_get_past_the_relay(self) -> None:
        a, b, c = self.line("a", "b", "liar")
        c.add(CONTENT)
        self.network.tamper = lambda sender, chunk: _spoilt(chunk) if sender == "liar" else chunk
        done = self.fetched(a)
        self.network.deliver()
        self.assertFalse(self.successResultOf(done))
        self.assertFalse(b.has(ID))
        self.assertNotIn(("b", "a"), {k for k, size in self.network.most.items() if size > 60_000})

    def test_nonsense_ends_the_link(self) -> None:
        a, _ = self.line("a", "b")
        a.transfer.heard("b", b"\x93\x01")
        self.assertEqual(self.network.refused, [("a", "b")])

    # -- for the API

    def test_the_api_learns_what_became_of_it(self) -> None:
        a, b = self.line("a", "b")
        self.failureResultOf(a.references.fetch(blob_id(b"?"), 9.5), AttachmentNotFound)
        done = a.references.fetch(ID, 9.5)
        self.network.deliver()
        self.failureResultOf(done, AttachmentUnavailable)
        b.add(CONTENT)
        done = a.references.fetch(ID, 9.5)
        self.network.deliver()
        self.successResultOf(done)

    def test_who_waits_can_give_up(self) -> None:
        a, b = self.line("a", "b")
        b.add(CONTENT)
        done = self.fetched(a)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.network.deliver()
        self.assertTrue(a.has(ID))
        self.assertEqual(
            [], [call for call in self.network.clock.getDelayedCalls() if call.getTime() > 5]
        )

    def test_stopping_keeps_what_came(self) -> None:
        a, b = self.line("a", "b")
        b.add(CONTENT)
        done = self.fetched(a)
        self.network.deliver_chunks(10)
        self.successResultOf(Deferred.fromCoroutine(a.transfer.stop()))
        self.assertFalse(self.successResultOf(done))
        self.assertGreater(len(a.data.blobs.partial[ID]), 5 * CHUNK_BYTES)


def _spoilt(chunk: Chunk) -> Chunk:
    return Chunk(chunk.attachment, chunk.offset, b"\xff" * len(chunk.data))
