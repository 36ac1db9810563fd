# SPDX-License-Identifier: Apache-2.0
"""The contract on reads that run elsewhere, and on streams."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product

from twisted.python.failure import Failure

from edge_twisted.documents.ids import id_value
from edge_twisted.documents.json_text import from_text
from edge_twisted.documents.values import Value, sort_key
from edge_twisted.store.errors import ReadCancelled, UnknownIndex
from edge_twisted.store.fields import Fields, row_of
from edge_twisted.store.index_read import EVERYTHING, IndexRead
from edge_twisted.store.interface import Snapshot, Store, UnitOfWork
from edge_twisted.store.prefilter import AllOf, AnyOf, Compares, IsKind, holds
from edge_twisted.store.rows import ByteRange, IndexDefinition, IndexKey, ReadLimit
from tests.support.store_contract.base import StoreTestCase, UnitFailure, flat
from tests.support.stored_documents import deleting, put, putting

BY_N = IndexDefinition(collection="c", name="by_n", keys=(IndexKey(path=("n",)),))
#: More than any database takes in one statement; all documents have an `n`.
FAR_TOO_BIG = AllOf((IsKind(("n",), frozenset({"number"})),) * 1000)


class ReadContract(StoreTestCase):
    """Long reads and streams."""

    async def filled(self, count: int) -> Store:
        """Return a store with documents 0 to `count` - 1 in "c"."""
        store = await self.opened()

        def fill(unit: UnitOfWork) -> None:
            for n in range(count):
                put(unit, "c", n, {"n": n, "pad": "x" * 100})

        await store.write("fill", fill)
        return store

    async def test_reads_answer_and_fail(self) -> None:
        """The Deferred of a read fires with its result, or fails with its exception."""
        store = await self.filled(3)
        self.assertEqual(await store.read("count", lambda s: len(flat(s.scan("c")))), 3)

        def broken(snapshot: Snapshot) -> None:
            raise UnitFailure

        await self.assertFailure(store.read("broken", broken), UnitFailure)

    async def test_index_bodies_come_in_the_order_of_their_keys(self) -> None:
        """Bodies come by key in both directions, over one span or several; ids and counts agree."""
        store = await self.filled(30)
        await store.write("index", lambda unit: unit.create_index(BY_N))
        await store.index_ready("c", "by_n")
        several = (ByteRange(sort_key(3), sort_key(5)), ByteRange(sort_key(7), sort_key(29)))
        numbers = {
            (EVERYTHING,): [*range(30)],
            several: [3, 4, *range(7, 29)],
            several[1:]: [*range(7, 29)],
            (): [],
        }
        with store.snapshot() as snapshot:
            for (spans, expected), down in product(numbers.items(), (False, True)):
                read = IndexRead("c", "by_n", spans, descending=down)
                bodies = [from_text(body)["n"] for (body,) in flat(snapshot.index_bodies(read))]
                self.assertEqual(bodies, expected[::-1] if down else expected)
                ids = [id_value(key) for key in flat(snapshot.index_ids(read))]
                self.assertEqual(ids, expected)
                self.assertEqual(snapshot.index_count(read), len(expected))
            with self.assertRaises(UnknownIndex):
                snapshot.index_bodies(IndexRead("c", "other"))

    async def test_bodies_of_an_index_may_be_filtered_or_come_at_once(self) -> None:
        """`index_bodies` and `index_texts` apply prefilters, to bodies with binary values too."""
        store = await self.filled(30)

        def more(unit: UnitOfWork) -> None:
            unit.create_index(BY_N)
            put(unit, "c", 30, {"n": 4, "pad": b"binary"})
            put(unit, "c", 31, {"n": 4.5, "odd": {"$binary": "no"}})

        await store.write("index", more)
        await store.index_ready("c", "by_n")
        kept = Compares(("n",), ">", 4)
        spans = (ByteRange(sort_key(3), sort_key(6)), ByteRange(sort_key(20), sort_key(22)))
        for prefilter, down in product((None, kept, AnyOf(()), FAR_TOO_BIG), (False, True)):
            with store.snapshot() as snapshot:
                read = IndexRead("c", "by_n", spans, descending=down, prefilter=prefilter)
                every = snapshot.index_bodies(read._replace(prefilter=None))
                texts = [
                    text
                    for (text,) in flat(every)
                    if prefilter is None or holds(prefilter, from_text(text))
                ]
                self.assertEqual(flat(snapshot.index_bodies(read)), [(text,) for text in texts])

                at_once = partial(snapshot.index_texts, read)
                self.assertEqual(snapshot.index_count(read), len(texts))
                if prefilter is not None:
                    counted = snapshot.count("c", prefilter)
                    self.assertEqual(counted, len(flat(snapshot.scan("c", prefilter))))
                count, size = len(texts), sum(map(len, texts))
                self.assertEqual(at_once(most=ReadLimit(count, size)), texts)
                self.assertEqual(at_once(most=ReadLimit(count, size), first=2), texts[:2])
                self.assertEqual(at_once(most=ReadLimit(count, size), first=count + 1), texts)
                self.assertEqual(at_once(most=ReadLimit(0, 0), first=0), [])
                if texts:
                    self.assertIsNone(at_once(most=ReadLimit(count - 1, size)))
                    self.assertIsNone(at_once(most=ReadLimit(count, size - 1)))
                    self.assertIsNone(at_once(most=ReadLimit(count - 1, size), first=count))
        with store.snapshot() as snapshot:
            self.assertEqual(snapshot.count("nothing", kept), 0)
            with self.assertRaises(UnknownIndex):
                snapshot.index_texts(IndexRead("c", "other", spans), most=ReadLimit(9, 999))
            with self.assertRaises(UnknownIndex):
                snapshot.index_count(IndexRead("c", "other", spans, prefilter=kept))

    async def test_a_part_of_an_answer_leaves_nothing_open(self) -> None:
        """A partial read of an index does not hold its snapshot."""
        store = await self.filled(30)
        await store.write("index", lambda unit: unit.create_index(BY_N))
        await store.index_ready("c", "by_n")
        for number, (most, first) in enumerate(
            ((ReadLimit(9, 9999), 1), (ReadLimit(2, 9999), None), (ReadLimit(9, 1), None))
        ):
            with store.snapshot() as snapshot:
                snapshot.index_texts(IndexRead("c", "by_n"), most=most, first=first)
            committed = await store.write("insert", putting("c", 100 + number))
            with store.snapshot() as snapshot:
                self.assertEqual(snapshot.lsn, committed.lsn)

    async def test_rows_of_fields(self) -> None:
        """Every read can yield rows of fields; a document with binary values stays a body."""
        store = await self.opened()
        values: list[Value] = [
            None, True, 0, -1, 2**63 - 1, 1.0, -0.5, 1e300, 5e-324,
            "", "\x00\"\\/\u2028é\U0001f600",
            [], [1, [2.0, None]], {}, {"z": 1, "a": {"b": [True]}}, {"$x": "$"}, b"\x01",
        ]  # fmt: skip

        def fill(unit: UnitOfWork) -> None:
            unit.create_index(BY_N)
            for n, value in enumerate(values):
                put(unit, "c", n, {"n": n, "v": value, "m": {"v": value, "w": n}})
            put(unit, "c", 99, {"n": 99, "m": [{"v": 1}]})

        await store.write("fill", fill)
        await store.index_ready("c", "by_n")
        asked: list[Fields] = [
            (), (("v", ("v",)),), (("x", ("m", "v")), ("_id", ("_id",)), ("n", ("n",))),
            (("w", ("m", "w")), ("none", ("none",)), ("deep", ("m", "v", "a", "b"))),
        ]  # fmt: skip
        for prefilter, fields in product((None, Compares(("n",), ">", 4), FAR_TOO_BIG), asked):
            with store.snapshot() as snapshot:
                plain = IndexRead("c", "by_n", prefilter=prefilter)
                bodies = flat(snapshot.index_bodies(plain))
                rows = [row_of(text, fields) for (text,) in bodies]
                read = partial(snapshot.index_texts, plain._replace(fields=fields))
                self.assertEqual(read(most=ReadLimit(99, 99_999)), rows)
                self.assertEqual(read(most=ReadLimit(99, 99_999), first=3), rows[:3])
                found = snapshot.index_bodies(plain._replace(fields=fields))
                self.assertEqual(flat(found), [(row,) for row in rows])
                scanned = flat(snapshot.scan("c", prefilter, fields))
                whole = flat(snapshot.scan("c", prefilter))
                self.assertEqual(scanned, [(key, row_of(text, fields)) for key, text in whole])

    async def test_a_hurried_read_is_a_read(self) -> None:
        """A hurried read returns what any other read returns, as long as it is quick."""
        store = await self.filled(3)
        with store.snapshot() as snapshot:
            with store.hurried():
                self.assertEqual(len(flat(snapshot.scan("c"))), 3)
            self.assertEqual(len(flat(snapshot.scan("c"))), 3)

    async def test_iterators_side_by_side_do_not_meet(self) -> None:
        """Iterators that ended, were abandoned or still run do not affect each other."""
        store = await self.filled(30)
        with store.snapshot() as snapshot:
            ended = flat(snapshot.scan("c"))
            going = snapshot.scan("c")
            first = next(going)
            next(snapshot.scan("c"))
            self.assertEqual(flat(snapshot.scan("c")), ended)
            self.assertEqual(sorted(first + flat(going)), sorted(ended))
        with store.snapshot() as snapshot:
            self.assertEqual(flat(snapshot.scan("c")), ended)

    async def test_a_stream_keeps_its_snapshot(self) -> None:
        """A stream does not show writes that came after its beginning."""
        store = await self.filled(1000)
        stream = store.stream("scan", lambda snapshot: snapshot.scan("c"))
        first = await stream.next()
        assert first is not None
        await store.write("insert", putting("c", 5000))
        await store.write("delete", deleting("c", 999))
        count = len(first)
        while batch := await stream.next():
            count += len(batch)
        self.assertEqual(count, 1000)
        self.assertIsNone(await stream.next())
        stream.close()
        with store.snapshot() as snapshot:
            self.assertEqual(len(flat(snapshot.scan("c"))), 1000)

    async def test_a_closed_stream_is_over(self) -> None:
        """A stream may be closed early, twice, or before it begins; `next` then fails."""
        store = await self.filled(1000)
        stream = store.stream("scan", lambda snapshot: snapshot.scan("c"))
        await stream.next()
        stream.close()
        stream.close()
        await self.assertFailure(stream.next(), ReadCancelled)
        store.stream("never begun", lambda snapshot: snapshot.scan("c")).close()

    async def test_a_failing_stream(self) -> None:
        """An exception of the iterator fails `next`, and ends the stream."""
        store = await self.filled(1)

        def broken(snapshot: Snapshot) -> Iterator[int]:
            yield 1
            raise UnitFailure

        stream = store.stream("broken", broken)
        self.assertEqual(await stream.next(), 1)
        await self.assertFailure(stream.next(), UnitFailure)
        await self.assertFailure(stream.next(), ReadCancelled)

    async def test_nested_snapshots(self) -> None:
        """`Store.snapshot` may be entered again inside its own block."""
        store = await self.filled(2)
        with store.snapshot() as outer, store.snapshot() as inner:
            self.assertEqual(outer.lsn, inner.lsn)
            self.assertEqual(len(flat(inner.scan("c"))), 2)
        with store.snapshot() as snapshot:
            self.assertEqual(snapshot.lsn, 1)


def failing(failure: Failure) -> None:
    """Fail the test with what went wrong elsewhere."""
    failure.raiseException()
