# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for the security room: permission sets, and bytes that took damage."""

from __future__ import annotations

from hypothesis import strategies as st

from edge_twisted.config.model import CollectionRule, FineGrained, Permissions
from edge_twisted.security.permissions import ENDPOINTS

#: Few names, so that sets meet.
COLLECTIONS = ("tasks", "orders", "*")
CONDITIONS = ("owner = :identity", "done", "public = true")


def collection_rules() -> st.SearchStrategy[CollectionRule]:
    """Rules of one collection."""
    side = st.booleans() | st.sampled_from(CONDITIONS)
    return st.builds(CollectionRule, read=side, write=side)


def permission_sets() -> st.SearchStrategy[Permissions]:
    """One permission set of any kind."""
    endpoints = st.none() | st.lists(st.sampled_from(sorted(ENDPOINTS)), unique=True).map(tuple)
    collections = st.none() | st.dictionaries(st.sampled_from(COLLECTIONS), collection_rules())
    fine = st.builds(FineGrained, endpoints=endpoints, collections=collections)
    plain: st.SearchStrategy[Permissions] = st.sampled_from(("full", "data", "read_only"))
    return plain | fine


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with a few bytes changed, or cut off."""
    result = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        result[draw(st.integers(0, len(result) - 1))] = draw(st.integers(0, 255))
    return bytes(result[: draw(st.integers(0, len(result)) | st.just(len(result)))])
