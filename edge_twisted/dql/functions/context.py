# SPDX-License-Identifier: Apache-2.0
"""What the functions that depend on the request may know of it."""

from __future__ import annotations

from typing import Protocol


class FunctionContext(Protocol):
    """One evaluation of a statement: everything here stays the same for all of its rows."""

    @property
    def now_ms(self) -> int:
        """The present, in milliseconds since 1970 in UTC."""

    @property
    def app_id(self) -> str:
        """The id of the database."""

    @property
    def request_id(self) -> str:
        """The id of the request, as in the logs."""

    @property
    def start_time(self) -> str:
        """When the request arrived, in ISO-8601."""
