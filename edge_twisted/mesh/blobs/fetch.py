# SPDX-License-Identifier: Apache-2.0
"""What is known of one blob on its way here."""

from __future__ import annotations

from attrs import define, field

from edge_twisted.mesh.blobs.effects import Peer


@define(eq=False, kw_only=True)
class Fetch:
    """One blob on its way here, or wanted."""

    attachment: str
    since: float
    #: Wanted here, not only by a neighbour whom we are between.
    wanted_here: bool = False
    #: Neighbours that can give it, with the length that they say it has.
    sources: dict[Peer, int] = field(factory=dict)
    #: Neighbours that gave it wrong.
    bad: set[Peer] = field(factory=set)
    #: Neighbours that wait for it, with offset and credit.
    waiting: dict[Peer, tuple[int, int]] = field(factory=dict)

    is_active: bool = False
    #: Pulled from, and whether it was told so (the first credit may be out elsewhere).
    source: Peer | None = None
    is_pulled: bool = False
    #: The download is being opened, or is open, or is being verified.
    is_opening: bool = False
    is_open: bool = False
    is_finishing: bool = False
    #: Bytes that came, and those of them that are written.
    received: int = 0
    #: Who gave them; None is what was here from earlier.
    givers: set[Peer | None] = field(factory=set)
    progressed: bool = False
    #: How often all bytes had come, and were wrong, since it was started.
    corruptions: int = 0
    alive_at: float = 0.0
    progress_at: float = 0.0

    rests: int = 0
    retry_at: float = 0.0

    @property
    def is_needed(self) -> bool:
        """Whether anybody still wants it."""
        return self.wanted_here or bool(self.waiting)
