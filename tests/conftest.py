# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests."""

from __future__ import annotations

from time import monotonic

import pytest
from hypothesis import settings

#: When the time for tests ends, by `monotonic`; None: they have all the time.
_END = pytest.StashKey[float | None]()

# How long an example takes is the machine's business: figures belong to bench/.
settings.register_profile("edge", deadline=None)
settings.load_profile("edge")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--seconds``, for ``nox -s quick``."""
    parser.addoption(
        "--seconds", type=float, default=None, help="skip the tests that come later than this"
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note when the time for tests ends."""
    seconds: float | None = session.config.getoption("seconds")
    session.config.stash[_END] = None if seconds is None else monotonic() + seconds


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave a test to CI if there is no time left."""
    end = item.config.stash[_END]
    if end is not None and monotonic() > end:
        pytest.skip("left to CI: no time")
