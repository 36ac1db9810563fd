# SPDX-License-Identifier: Apache-2.0
"""The last lines, in memory, for ``GET /logs``."""

from __future__ import annotations

from collections import deque


class LineBuffer:
    """Keeps the newest lines, at most `max_bytes` of them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lines: deque[bytes] = deque()
        self._size = 0

    def write(self, line: bytes) -> None:
        """Take a line, and forget the oldest ones that have no room beside it."""
        self._lines.append(line)
        self._size += len(line)
        while self._size > self._max_bytes:
            self._size -= len(self._lines.popleft())

    def content(self) -> bytes:
        """Return the lines, the oldest first."""
        return b"".join(self._lines)
