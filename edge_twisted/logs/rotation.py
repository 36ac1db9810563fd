# SPDX-License-Identifier: Apache-2.0
"""
Names and periods of rotated log files, and which files are surplus; pure.

A name is the prefix and the UTC time at which the file began, so names sort by time.  If the clock
went backwards, a new name is a millisecond after the newest one: the order of names is the order of
writing whatever the clock does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from attrs import field, frozen

from edge_twisted.logs.timestamps import FILE_STAMP_PATTERN, file_stamp, parse_file_stamp

Frequency = Literal["minutely", "hourly", "daily", "never"]

_SECONDS: Final[dict[Frequency, float]] = {
    "minutely": 60.0,
    "hourly": 3_600.0,
    "daily": 86_400.0,
    "never": float("inf"),
}
_MILLISECOND = 0.001


@frozen(kw_only=True)
class Rotation:
    """Settings of a series of log files; times are in seconds since the epoch."""

    prefix: str
    frequency: Frequency = "daily"
    max_size_bytes: int | None = None
    #: None keeps all files.
    max_files: int | None = None
    _name: re.Pattern[str] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        pattern = re.compile(rf"{re.escape(self.prefix)}\.({FILE_STAMP_PATTERN})")
        object.__setattr__(self, "_name", pattern)

    def period(self, time: float) -> float:
        """
        Return the number, since the epoch, of the period that `time` is in.

        A period is a minute, hour or day in UTC, by `frequency`.

        :param time: in seconds since the epoch.
        """
        return time // _SECONDS[self.frequency]

    def began(self, name: str) -> float | None:
        """
        Return when a file was begun, in seconds since the epoch, as its name says.

        Returns None for a file of another series.
        """
        match = self._name.fullmatch(name)
        if match is None:
            return None
        try:
            return parse_file_stamp(match[1])
        except ValueError:
            return None

    def ours(self, names: Iterable[str]) -> list[str]:
        """Return those of the file names that belong to this series, the oldest first."""
        return sorted(name for name in names if self.began(name) is not None)

    def next_name(self, now: float, newest: str | None) -> str:
        """
        Return the name of a file that begins now; it sorts after `newest`.

        :param now: in seconds since the epoch.
        :param newest: the last name of `ours`; None if there is no file yet.
        """
        name = f"{self.prefix}.{file_stamp(now)}"
        if newest is None or name > newest:
            return name
        # Half a millisecond more, because the parsed time may be rounded down.
        began = self.began(newest) or now
        return f"{self.prefix}.{file_stamp(began + 1.5 * _MILLISECOND)}"

    def surplus(self, names: Sequence[str]) -> Sequence[str]:
        """
        Return the oldest of `names` beyond `max_files`, which are to be deleted.

        :param names: what `ours` returned.
        """
        if self.max_files is None:
            return ()
        return names[: max(0, len(names) - self.max_files)]
