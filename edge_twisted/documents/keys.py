# SPDX-License-Identifier: Apache-2.0
"""Operations on encoded keys: the successor of a prefix, and the inverse order."""

from __future__ import annotations

from typing import Final

_INVERTED: Final = bytes(range(255, -1, -1))


def after(prefix: bytes) -> bytes | None:
    """Return the lowest key above all keys that begin with `prefix`; None if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def invert(key: bytes) -> bytes:
    """Return a key with every bit inverted, which reverses the order of prefix-free keys."""
    return key.translate(_INVERTED)
