# SPDX-License-Identifier: Apache-2.0
"""Set reconciliation: the published vectors, what is refused, and crafted cells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_twisted.mesh.reconciliation.cells import CELL_BYTES, CELL_MASK, TokenPermutation, entries
from edge_twisted.mesh.reconciliation.errors import MalformedReconciliation
from edge_twisted.mesh.reconciliation.part_peeler import PartPeeler
from edge_twisted.mesh.reconciliation.patterns import MOST_CELLS, cells_of
from edge_twisted.mesh.reconciliation.peeler import Decoded, NeedMore, Peeler, TooDifferent
from edge_twisted.mesh.reconciliation.sketch import Sketch, SketchBuilder
from edge_twisted.mesh.reconciliation.source import MOST_REQUESTS, CellSource
from edge_twisted.mesh.reconciliation.wire import CellRequest, Summary

SALT = bytes(range(16))
DOCUMENT = Path(__file__).parents[3] / "docs" / "mesh-reconciliation.md"


def documented(name: str) -> str:
    """Return a vector of the protocol's document: ``name = value`` in a block of code."""
    found = re.search(rf"^{re.escape(name)} += (.+)$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert found, name
    return found[1]


def request(start: int, stop: int, parts: list[int], level: int = 4) -> bytes:
    return CellRequest(level=level, start=start, stop=stop, parts=parts).encoded()


def test_vectors_of_the_document() -> None:
    (token,) = TokenPermutation(SALT).tokens([1])
    assert f"{token:016x}" == documented("token(1)")
    assert TokenPermutation(SALT).digest(token) == 1
    (entry,) = entries([token])
    assert f"{entry:026x}" == documented("entry(1)")
    cells = " ".join(str(cell) for cell in cells_of(entry, 0, MOST_CELLS))
    assert cells == documented("cells(1)")
    sketch = Sketch.of([1, 2, -1], SALT)
    assert sketch.fingerprint.encoded().hex() == documented("fingerprint({1, 2, -1})")
    part = token >> 60
    asked = request(1, 4, [part])
    assert asked.hex() == documented("request")
    assert CellSource(sketch).answer(asked).hex() == documented("answer")


def test_equal_sets_need_nothing() -> None:
    one, other = (Sketch.of(range(1000), SALT) for _ in range(2))
    assert one.fingerprint == other.fingerprint
    assert Peeler(one, other.summary).verdict == Decoded((), ())


def test_a_single_difference_is_in_the_summary() -> None:
    here, there = Sketch.of(range(1000), SALT), Sketch.of(range(1001), SALT)
    assert Peeler(here, there.summary).verdict == Decoded((), (1000,))
    assert Peeler(there, here.summary).verdict == Decoded((1000,), ())


def test_one_empty_side_is_too_different_if_large() -> None:
    empty, full = Sketch.of([], SALT), Sketch.of(range(5000), SALT)
    assert Peeler(empty, full.summary).verdict == TooDifferent()
    assert Peeler(full, empty.summary).verdict == TooDifferent()


def test_a_builder_works_in_steps() -> None:
    builder = SketchBuilder(SALT)
    for begin in range(0, 1000, 100):
        builder.add(range(begin, begin + 100))
    assert sum(1 for _ in builder.finish_in_steps()) > 10
    assert Sketch.of(range(1000), SALT).summary.count == 1000


def test_salts_change_everything() -> None:
    some = Sketch.of(range(100), SALT).fingerprint
    assert some != Sketch.of(range(100), bytes(16)).fingerprint
    with pytest.raises(ValueError, match="16 bytes"):
        Sketch.of((), b"short")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request(0, 4, [1], level=4)[:-1],
        request(4, 4, [1]),
        request(5, 4, [1]),
        request(0, MOST_CELLS + 1, [1]),
        request(0, 4, [1], level=3),
        request(0, 4, [1], level=13),
        request(0, 4, []),
        request(2, 4, [1]),
        request(1, 4, [1], level=5),
    ],
)
def test_requests_that_cannot_be_are_refused(data: bytes) -> None:
    source = CellSource(Sketch.of(range(100), SALT))
    with pytest.raises(MalformedReconciliation, match="request"):
        source.answer_in_steps(data)


@pytest.mark.parametrize(
    "data",
    [request(0, 4, [1, 2]), request(5, 8, [1]), request(4, 8, [1, 3]), request(4, 8, [1], level=5)],
)
def test_requests_have_to_go_on(data: bytes) -> None:
    source = CellSource(Sketch.of(range(100), SALT))
    source.answer(request(0, 4, [1, 2]))
    with pytest.raises(MalformedReconciliation, match="request"):
        source.answer_in_steps(data)


def test_requests_end() -> None:
    source = CellSource(Sketch.of(range(100), SALT))
    for start in range(MOST_REQUESTS):
        source.answer(request(start, start + 1, [1]))
    with pytest.raises(MalformedReconciliation, match="beyond the last"):
        source.answer_in_steps(request(MOST_REQUESTS, MOST_REQUESTS + 1, [1]))


def test_cells_nobody_asked_for_are_refused() -> None:
    here, there = Sketch.of(range(100), SALT), Sketch.of(range(50, 150), SALT)
    done = Peeler(here, here.summary)
    with pytest.raises(MalformedReconciliation, match="nobody asked for"):
        done.feed(b"x")
    peeler = Peeler(here, there.summary)
    verdict = peeler.verdict
    assert isinstance(verdict, NeedMore)
    with pytest.raises(MalformedReconciliation, match="more than"):
        peeler.feed(bytes(verdict.request.answer_bytes + 1))


def test_noise_for_cells_ends() -> None:
    here = Sketch.of(range(3000), SALT)
    there = Sketch.of(range(10, 3010), SALT)
    peeler = Peeler(here, there.summary)
    spent = 0
    while isinstance(verdict := peeler.verdict, NeedMore):
        spent += verdict.request.answer_bytes
        peeler.feed(b"\xa5" * verdict.request.answer_bytes)
    assert peeler.verdict == TooDifferent()
    assert spent <= 8 * 3010


def test_a_wrong_summary_is_noticed_at_the_end() -> None:
    here, there = Sketch.of(range(100), SALT), Sketch.of(range(101), SALT)
    wrong = Summary(there.summary.count + 1, there.summary.sums)
    with pytest.raises(MalformedReconciliation, match="do not come to"):
        Peeler(here, wrong)


def test_cells_that_give_one_entry_for_ever_are_a_violation() -> None:
    """Found in one cell but missing from the others: taking it out puts its negative there."""
    tokens = TokenPermutation(SALT).tokens(range(4000))
    token = next(token for token in tokens if token >> 60 == 3)
    (entry,) = entries([token])
    theirs = [0] * 64
    for cell in list(cells_of(entry, 0, 64))[:2]:
        theirs[cell] = 2 * entry & CELL_MASK
    theirs[next(iter(cells_of(entry, 8, 64)))] = entry
    peeler = PartPeeler(4, 3)
    with pytest.raises(MalformedReconciliation, match="contradict"):
        peeler.feed(theirs, [0] * 64, lambda _: False)


def test_an_entry_of_another_part_is_not_believed() -> None:
    token = next(token for token in TokenPermutation(SALT).tokens(range(4000)) if token >> 60 == 3)
    peeler = PartPeeler(4, 5)
    peeler.feed(entries([token]), [0], lambda _: False)
    assert not peeler.found
    assert not peeler.is_done


def test_small_parts_of_a_deep_level() -> None:
    sketch = Sketch.of(range(20_000), SALT)
    whole = [token for part in range(1 << 11) for token in sketch.tokens(11, part)]
    assert whole == sorted(TokenPermutation(SALT).tokens(range(20_000)))
    assert len(CellSource(sketch).answer(request(0, 3, [0, 77, 2047], level=11))) == 9 * CELL_BYTES
