# SPDX-License-Identifier: Apache-2.0
"""The context of a request, for the functions that depend on it."""

from __future__ import annotations

from typing import Final, Protocol


class FunctionContext(Protocol):
    """The request of one execution of a statement; constant for all its rows."""

    @property
    def now_ms(self) -> int:
        """The current time, in milliseconds since 1970 in UTC."""

    @property
    def app_id(self) -> str:
        """The id of the database."""

    @property
    def request_id(self) -> str:
        """The id of the request, as in the logs."""

    @property
    def start_time(self) -> str:
        """The time at which the request arrived, as a text in ISO-8601."""


class _NoContext:
    """An empty context, where no function depends on the request."""

    now_ms = 0
    app_id = request_id = start_time = ""


#: For expressions in which no function depends on the request.
NO_CONTEXT: Final[FunctionContext] = _NoContext()
