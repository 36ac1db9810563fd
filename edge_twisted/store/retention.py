# SPDX-License-Identifier: Apache-2.0
"""How long what was deleted is kept."""

from __future__ import annotations

from attrs import frozen

HOUR_MS = 3_600_000
DAY_SECONDS = 86_400.0


@frozen(kw_only=True)
class Retention:
    """
    When tombstones are reaped, and blobs that nothing names are collected.

    The first four are the system parameters of the same names.
    """

    tombstone_ttl_enabled: bool = True
    tombstone_ttl_hours: int = 168
    days_between_reaping: float = 1.0
    #: Most tombstones in one run of the reaper.
    tombstone_reap_batch_size: int = 10_000
    #: The reaper and the collector also run so long after the store was opened.
    first_run_seconds: float = 60.0
    #: A blob that arrived or lost its last mention less than this ago is kept.
    attachment_grace_seconds: float = 600.0
    attachment_interval_seconds: float = 600.0
