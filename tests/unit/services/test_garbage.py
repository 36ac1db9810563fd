# SPDX-License-Identifier: Apache-2.0
"""The collector's pace holds while the server runs, and not longer."""

from __future__ import annotations

import gc

from edge_twisted.services.garbage import THRESHOLDS, GarbageCollection


def test_the_pace_is_the_servers_while_it_runs() -> None:
    before = gc.get_threshold()
    part = GarbageCollection()
    part.startService()
    try:
        assert gc.get_threshold() == THRESHOLDS
        assert gc.get_freeze_count() > 0
    finally:
        part.stopService()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
