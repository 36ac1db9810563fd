# SPDX-License-Identifier: Apache-2.0
"""Times as text."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from edge_twisted.logs.timestamps import (
    FILE_STAMP_PATTERN,
    file_stamp,
    parse_file_stamp,
    rfc3339,
)

seconds = st.floats(min_value=0, max_value=253_402_300_799)


def test_known_times() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1_795_506_600.9999) == "2026-11-24T07:50:00.999Z"
    assert file_stamp(1_795_506_600.5) == "2026-11-24T07-50-00.500Z"


@given(seconds, seconds)
def test_texts_sort_as_times_do(a: float, b: float) -> None:
    a, b = sorted((a, b))
    assert rfc3339(a) <= rfc3339(b)
    assert file_stamp(a) <= file_stamp(b)


@given(seconds)
def test_file_stamps_are_read_back(time: float) -> None:
    stamp = file_stamp(time)
    assert re.fullmatch(FILE_STAMP_PATTERN, stamp)
    assert abs(parse_file_stamp(stamp) - time) < 0.002
