# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for values, fields and operations on documents."""

from __future__ import annotations

from hypothesis import strategies as st

from edge_twisted.documents.operations import Increment, Operation, Restart, Set, Unset
from edge_twisted.documents.values import Value

#: Few names, so that writes of different replicas meet.
names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=3).map(tuple)

token: dict[str, Value] = {"id": "A" * 43, "len": 3, "metadata": {"name": "x"}}

scalars: st.SearchStrategy[Value] = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "", "x", b"\x00"])
)
values: st.SearchStrategy[Value] = st.recursive(
    scalars | st.just(token),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
fields = st.dictionaries(names, values, max_size=3)

operations: st.SearchStrategy[Operation] = (
    st.builds(Set, paths, values)
    | st.builds(Unset, paths)
    | st.builds(Increment, paths, st.integers(-5, 5), st.booleans())
    | st.builds(Restart, paths, st.integers(-5, 5))
)
