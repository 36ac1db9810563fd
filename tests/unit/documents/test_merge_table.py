# SPDX-License-Identifier: Apache-2.0
"""The published table of merge results: two replicas write apart, then hear of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.encoding import encode, encode_fresh
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.json_text import to_text
from edge_twisted.documents.nodes import Variant, show_variant
from edge_twisted.documents.operations import (
    Increment,
    InvalidWrite,
    Operation,
    Restart,
    Set,
    Unset,
    VariantRules,
)
from edge_twisted.documents.state import DocumentState, merge
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.documents.writes import apply, delete, differences, initial, insert

Fields = dict[str, Value]
START: Fields = {"s": "0", "o": {"x": 1}, "arr": [1], "color": "red", "size": 1}


def stamp(site: str, sequence: int, moment: int) -> Stamp:
    return Stamp(Timestamp(moment), Replica(SiteId(site.encode() * 16), 0), sequence)


Write = Callable[[DocumentState, Stamp], DocumentState]


def ops(*operations: Operation) -> Write:
    return lambda state, mark: apply(state, operations, mark)


def both(
    a: Sequence[Write], b: Sequence[Write], start: Fields | None = START, a_last: bool = False
) -> Fields | None:
    """What both replicas show after the exchange; B writes later, unless `a_last`."""
    begun = DocumentState() if start is None else insert(None, start, stamp("z", 1, 1))
    left = right = begun
    for number, write in enumerate(a, 1):
        left = write(left, stamp("a", number, (50 if a_last else 10) + number))
    for number, write in enumerate(b, 1):
        right = write(right, stamp("b", number, 20 + number))
    one, other = merge(left, right), merge(right, left)
    assert encode(one) == encode(other)
    return one.fields


@pytest.mark.parametrize("a_last", [False, True])
@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (Set(("o", "a"), 2), Set(("o", "b"), 3), {"o": {"a": 2, "b": 3, "x": 1}}),
        (Set(("o",), {"a": 10}), Set(("o", "b"), 20), {"o": {"a": 10, "b": 20, "x": 1}}),
        (Unset(("o",)), Set(("o", "c"), 5), {"o": {"c": 5}}),
        (Unset(("s",)), Set(("s",), "B"), {"s": "B"}),
        (Increment(("n",), 5), Increment(("n",), 7), {"n": 12}),
        (Increment(("n",), 5, pn=True), Increment(("n",), 7, pn=True), {"n": 12}),
        (Restart(("n",), 100), Increment(("n",), 5), {"n": 100}),
    ],
)
def test_whoever_writes_last(a: Operation, b: Operation, expected: Fields, a_last: bool) -> None:
    assert both([ops(a)], [ops(b)], a_last=a_last) == {**START, **expected}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (Set(("s",), "A"), Set(("s",), "B"), {"s": "B"}),
        (Set(("arr",), [1, 2, 3]), Set(("arr",), [0, 1, 2]), {"arr": [0, 1, 2]}),
        (Restart(("n",), 1), Restart(("n",), 2), {"n": 2}),
        (Set(("o",), 5), Set(("o", "y"), 2), {"o": {"x": 1, "y": 2}}),
        (Set(("o", "y"), 2), Set(("o",), 5), {"o": 5}),
    ],
)
def test_the_later_write_wins(a: Operation, b: Operation, expected: Fields) -> None:
    assert both([ops(a)], [ops(b)]) == {**START, **expected}


def test_two_inserts_of_one_id() -> None:
    def write(fields: Fields) -> Write:
        return lambda state, mark: insert(state, fields, mark)

    left: Fields = {"p": 1, "q": 1, "m": {"a": 1}}
    right: Fields = {"q": 2, "r": 2, "m": {"b": 2}}
    expected = {"p": 1, "q": 2, "r": 2, "m": {"a": 1, "b": 2}}
    assert both([write(left)], [write(right)], start=None) == expected


def test_initial_documents() -> None:
    same: Write = lambda state, mark: initial({"p": 1, "q": {"r": 2}})  # noqa: E731
    assert both([same], [same], start=None) == {"p": 1, "q": {"r": 2}}
    later = [same, ops(Set(("p",), 0))]
    assert both(later, [same], start=None) == {"p": 0, "q": {"r": 2}}
    other: Write = lambda state, mark: initial({"p": 5, "q": {"r": 0}})  # noqa: E731
    assert both([same], [other], start=None) == {"p": 5, "q": {"r": 2}}
    assert both([other], [same], start=None) == {"p": 5, "q": {"r": 2}}
    assert both([same, delete], [same], start=None) is None
    # A deletion is later than the beginning of time, whatever was inserted there.
    assert both([same, delete], [other], start=None) is None


@pytest.mark.parametrize("a_last", [False, True])
def test_delete_against_update_keeps_the_whole_document(a_last: bool) -> None:
    update = ops(Set(("color",), "blue"))
    assert both([delete], [update], a_last=a_last) == {**START, "color": "blue"}
    # Also what the deleter had written before.
    assert both([ops(Set(("size",), 9)), delete], [update], a_last=a_last) == {
        **START,
        "color": "blue",
        "size": 9,
    }
    assert both([delete], [ops(Increment(("n",), 1))], a_last=a_last) == {**START, "n": 1}
    assert both([delete], [ops(Unset(("o",)))], a_last=a_last) == {
        key: value for key, value in START.items() if key != "o"
    }


def test_delete_and_nothing_newer() -> None:
    assert both([delete], []) is None
    assert both([delete], [delete]) is None


def test_a_new_life_takes_only_the_fields_of_concurrent_edits() -> None:
    anew: Write = lambda state, mark: insert(state, {"new": 1}, mark)  # noqa: E731
    assert both([delete, anew], []) == {"new": 1}
    assert both([delete, anew], [ops(Set(("color",), "blue"))]) == {"new": 1, "color": "blue"}


def test_a_register_does_not_clear_the_map() -> None:
    state = insert(None, {"obj": {"a": 1, "b": 2}}, stamp("a", 1, 1))
    state = apply(state, [Set(("obj",), 5)], stamp("a", 2, 2))
    assert state.fields == {"obj": 5}
    state = apply(state, [Set(("obj",), {"w": 1})], stamp("a", 3, 3))
    assert state.fields == {"obj": {"a": 1, "b": 2, "w": 1}}


def test_a_counter_beside_a_register() -> None:
    state = insert(None, {"n": 10}, stamp("a", 1, 1))
    state = apply(state, [Increment(("n",), 1)], stamp("a", 2, 2))
    assert state.fields == {"n": 1}
    shown = show_variant(state.root.children["n"], Variant.REGISTER)
    assert shown is not None and shown.value == 10


def test_a_removed_counter_begins_anew() -> None:
    state = insert(None, {}, stamp("a", 1, 1))
    steps: list[Operation] = [Increment(("n",), 5), Unset(("n",)), Increment(("n",), 2)]
    for number, operation in enumerate(steps, 2):
        state = apply(state, [operation], stamp("a", number, number))
    assert state.fields == {"n": 2}


def test_declared_types() -> None:
    typing = VariantRules(declared={("r",): Variant.REGISTER, ("c",): Variant.COUNTER})
    state = insert(None, {"r": {"a": 1}, "c": 5}, stamp("a", 1, 1), typing)
    assert state.fields == {"r": {"a": 1}, "c": 5}
    state = apply(state, [Set(("r",), {"b": 2})], stamp("a", 2, 2), typing)
    state = apply(state, [Increment(("c",), 2)], stamp("a", 3, 3), typing)
    assert state.fields == {"r": {"b": 2}, "c": 7}
    with pytest.raises(InvalidWrite, match='Unsupported DML operation on REGISTER field "r"'):
        apply(state, [Set(("r", "b"), 3)], stamp("a", 4, 4), typing)


def test_strict_mode_knows_only_registers() -> None:
    strict = VariantRules(strict=True)
    state = insert(None, {"o": {"a": 1}}, stamp("a", 1, 1), strict)
    state = apply(state, [Set(("o",), {"b": 1})], stamp("a", 2, 2), strict)
    assert state.fields == {"o": {"b": 1}}
    refused: list[Operation] = [Set(("o", "a"), 1), Increment(("n",), 1)]
    for operation in refused:
        with pytest.raises(InvalidWrite, match="Unsupported DML operation on REGISTER field"):
            apply(state, [operation], stamp("a", 3, 3), strict)


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([Set(("_id",), 1)], "The document id `_id` cannot be modified"),
        ([Set(("a",), 1), Unset(("a", "b"))], "More than one modification specified for the path"),
        ([Increment(("n",), 1.5)], "Expected 1.5 to be an integer value"),
        ([Increment(("n",), True)], "Expected true to be an integer value"),
        ([Restart(("n",), None)], "Expected null to be an integer value"),
    ],
)
def test_what_cannot_be_done(operations: list[Operation], message: str) -> None:
    state = insert(None, {}, stamp("a", 1, 1))
    with pytest.raises(InvalidWrite, match=message):
        apply(state, operations, stamp("a", 2, 2))


def test_differences() -> None:
    state = insert(None, {"a": 1, "o": {"x": 1, "y": [1]}}, stamp("a", 1, 1))
    assert list(differences(state, {"a": 1, "o": {"x": 1}})) == []
    wanted: Fields = {"a": 1.0, "o": {"x": 2, "y": [1]}, "new": None}
    assert list(differences(state, wanted)) == [
        Set(("a",), 1.0),
        Set(("o", "x"), 2),
        Set(("new",), None),
    ]


def test_the_state_of_a_fresh_document_is_small() -> None:
    wide: Fields = {f"field {n}": {"nested": [n], "text": "x" * 50} for n in range(500)}
    mark = Stamp(Timestamp(2**63), Replica(SiteId(b"s" * 16), 2**31), 2**40)
    state = insert(None, wide, mark)
    assert encode(state) == encode_fresh(mark)
    assert len(encode(state)) <= 64
    edited = apply(state, [Set(("field 7", "text"), "y")], stamp("b", 1, 1))
    assert len(encode(edited)) <= 160, "one edit costs one stamp, not a stamp per field"
    assert to_text(edited.fields or {}) != to_text(state.fields or {})
