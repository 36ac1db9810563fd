# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for what expressions work on, weighted toward what could break them."""

from __future__ import annotations

from hypothesis import strategies as st

from edge_twisted.documents.values import MISSING, Operand, Value

INTEGERS = st.one_of(
    st.integers(-5, 70),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([-(2**63), 2**63 - 1, 2**53 + 1, 253402300799999, -62135596800000]),
)
FLOATS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, 2.0**63, 2.0**53]),
)
TEXTS = st.one_of(
    st.text(alphabet="aAbß%_\\[](){}|*+?.-09 ", max_size=8),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
#: Texts that some function gives a meaning to.
WORDS = st.sampled_from(
    [
        "day", "month", "year", "hour", "week", "ms", "TZN", "UTC", "Europe/Berlin", "Asia/Tokyo",
        "+09:00", "YYYY-MM-DD", "hh:mm:ss.sss", "%Y-%m-%dT%H:%M:%S%z", "%s", "%j", "%Z", "TZD",
        "i", "imsx", "1h30m", "-1.5s", "12", "-3.5e2", "true", "null", "[1,{}]", "1e999",
        "", " ", "\0", "\n",
    ]
)  # fmt: skip
DATES = st.one_of(
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    st.sampled_from(
        [
            "2026-03-15T10:30:45.123Z",
            "2024-02-29T23:59:59+05:30",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999Z",
            "2026-02-30T00:00:00Z",
            "2026-03-15T10:30:45",
        ]
    ),
)
SCALARS: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), INTEGERS, FLOATS, TEXTS, WORDS, DATES, st.binary(max_size=4)
)
VALUES: st.SearchStrategy[Value] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OPERANDS: st.SearchStrategy[Operand] = st.one_of(VALUES, st.just(MISSING))
NUMBERS: st.SearchStrategy[int | float] = st.one_of(INTEGERS, FLOATS)
