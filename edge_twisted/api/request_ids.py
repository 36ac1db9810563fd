# SPDX-License-Identifier: Apache-2.0
"""Ids of requests: short, cheap, and never the same twice for as long as logs are kept."""

from __future__ import annotations

from itertools import count


class RequestIds:
    """
    Makes ids of a prefix and a number.

    The prefix must be another one at every start of the server; the id is no secret.
    """

    __slots__ = ("_numbers", "_prefix")

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._numbers = count(1)

    def __call__(self) -> str:
        """Return the next id."""
        return f"{self._prefix}{next(self._numbers):08x}"
