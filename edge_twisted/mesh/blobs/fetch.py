# SPDX-License-Identifier: Apache-2.0
"""One blob that is wanted here: its state, its sources, and the neighbours that wait for it."""

from __future__ import annotations

from attrs import define, field

from edge_twisted.mesh.blobs.effects import Peer
from edge_twisted.mesh.blobs.states import NEXT_STATE, FetchEvent, FetchState


@define(eq=False, kw_only=True)
class Fetch:
    """A blob that is wanted, whether or not anybody can give it; times are monotonic seconds."""

    attachment: str
    state: FetchState = FetchState.RESTING
    #: When it was last wanted.
    wanted_at: float
    #: Whether this server wants it, not only a neighbour that pulls it through this server.
    is_wanted_here: bool = False

    #: Neighbours that can give it, each with the length in bytes that it claims.
    sources: dict[Peer, int] = field(factory=dict)
    #: Neighbours that gave wrong bytes since the last search; they are not asked again.
    liars: set[Peer] = field(factory=set)
    #: Neighbours that pull it from here, each with its offset and its credit in bytes.
    pullers: dict[Peer, tuple[int, int]] = field(factory=dict)

    #: The source that is pulled from; set in QUEUED and PULLING alone.
    source: Peer | None = None
    #: Bytes that have come, written to the disk or not.
    received: int = 0
    #: The neighbours that those bytes came from; None is the part that an earlier try left here.
    givers: set[Peer | None] = field(factory=set)
    #: Whether any bytes have come since the last search began.
    has_progressed: bool = False
    #: How often all bytes had come and were wrong, since START.
    corruptions: int = 0
    #: The last sign of life of the source, and the last bytes from it.
    alive_at: float = 0.0
    progress_at: float = 0.0

    #: How often it was given up; each makes the wait for the next try longer.
    failures: int = 0
    retry_at: float = 0.0

    def advance(self, event: FetchEvent) -> None:
        """Go to the next state.

        :raises KeyError: the event cannot happen in this state: a bug.
        """
        self.state = NEXT_STATE[self.state][event]

    @property
    def is_active(self) -> bool:
        """Whether the fetch takes one of the places of fetches that are under way."""
        return self.state is not FetchState.RESTING

    @property
    def is_needed(self) -> bool:
        """Whether this server or a neighbour still wants the blob."""
        return self.is_wanted_here or bool(self.pullers)
