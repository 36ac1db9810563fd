# SPDX-License-Identifier: Apache-2.0
"""An id's key says all that the id is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_twisted.documents.ids import DocumentId, id_value
from edge_twisted.documents.values import INTEGER_MAX, INTEGER_MIN

scalars = st.one_of(
    st.text(st.characters(codec="utf-8")),
    st.sampled_from(["", "\x00", "\x00\x01", "a\x00\xff", "\x01\x00"]),
    st.integers(INTEGER_MIN, INTEGER_MAX),
    st.sampled_from([0, -1, 2**53, 2**53 + 1, -(2**53) - 1, INTEGER_MAX, INTEGER_MIN]),
    st.booleans(),
)
inner = st.recursive(
    scalars | st.none(),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each, max_size=3)
    ),
    max_leaves=6,
)
ids = (
    scalars | st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(ids)
def test_a_key_is_read_back(value: object) -> None:
    found = id_value(DocumentId.of(value).key)  # type: ignore[arg-type]
    assert found == value
    assert repr(found) == repr(_sorted(value))


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value
