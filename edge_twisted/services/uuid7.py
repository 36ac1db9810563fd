# SPDX-License-Identifier: Apache-2.0
"""Ids for new documents: UUIDv7 (RFC 9562), so that documents made together lie together."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID


def uuid7(now_ms: int, entropy: Callable[[int], bytes]) -> str:
    """Return a new id as text, a UUID of version 7 (RFC 9562): 48 bits of time, 74 random bits.

    `now_ms` is in ms since 1970; `entropy` returns as many random bytes as it is told.
    """
    random = int.from_bytes(entropy(10), "big")
    number = (now_ms & (1 << 48) - 1) << 80 | random
    number = number & ~(0xF << 76) | 0x7 << 76  # version
    number = number & ~(0x3 << 62) | 0x2 << 62  # variant
    return str(UUID(int=number))
