# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on encoded keys: what comes after a beginning, and the order turned round."""

from __future__ import annotations

from typing import Final

_INVERTED: Final = bytes(range(255, -1, -1))


def after(prefix: bytes) -> bytes | None:
    """Return the lowest bytes above everything that begins so; None if nothing is."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def invert(key: bytes) -> bytes:
    """Return ``key`` with every bit inverted, which reverses the order of prefix-free keys."""
    return key.translate(_INVERTED)
