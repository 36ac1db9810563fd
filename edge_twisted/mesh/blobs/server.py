# SPDX-License-Identifier: Apache-2.0
"""
Serving of blobs to neighbours, a chunk at a time.

The caller asks for a chunk (`give`) only while no document waits to be sent on that link.
"""

from __future__ import annotations

from typing import Final

from attrs import define

from edge_twisted.mesh.blobs.effects import Effect, Peer, Read, Say, Shut
from edge_twisted.mesh.blobs.messages import (
    CHUNK_BYTES,
    WINDOW_BYTES,
    Chunk,
    Coming,
    Credit,
    Gone,
    Pull,
)

#: Blobs that are served to one neighbour at a time; a further pull is answered `Gone`.
MOST_PER_PEER: Final = 64
#: A neighbour with credit that got nothing for so long, because its link is busy, gets `Coming`.
PATIENCE_SECONDS: Final = 5.0
#: A blob for which a neighbour gives no credit for so long is not served any more.
IDLE_SECONDS: Final = 120.0


@define(eq=False, kw_only=True)
class _Serve:
    """A blob that a neighbour pulls from here; numbers in bytes."""

    length: int
    #: The next byte to be sent.
    offset: int
    credit: int
    #: When it last got credit, sent a chunk, or said `Coming`.
    since: float
    #: Whether the caller has the blob open, and a `Shut` is due.
    is_open: bool = False


class BlobServer:
    """All blobs that neighbours pull from here; `effects` collects what the caller has to do."""

    def __init__(self) -> None:
        #: neighbour -> attachment -> serve; the first one with credit has the next turn.
        self._serves: dict[Peer, dict[str, _Serve]] = {}
        #: neighbour -> the attachment of which a chunk is being read.
        self._reading: dict[Peer, str] = {}
        self.effects: list[Effect] = []

    def begin(self, peer: Peer, pull: Pull, length: int, now: float) -> None:
        """Serve a blob that is here, `length` bytes long, from the offset of a pull on.

        An impossible offset, or one pull too many, is answered `Gone`.
        """
        serves = self._serves.setdefault(peer, {})
        if pull.offset > length or (pull.attachment not in serves and len(serves) >= MOST_PER_PEER):
            self.effects.append(Say(peer, Gone(pull.attachment)))
            return
        if pull.offset == length:
            return
        known = serves.get(pull.attachment)
        serves[pull.attachment] = _Serve(
            length=length,
            offset=pull.offset,
            credit=min(pull.credit, WINDOW_BYTES),
            since=now,
            is_open=known is not None and known.is_open,
        )

    def credited(self, peer: Peer, credit: Credit, now: float) -> None:
        """Add to the credit of a neighbour."""
        serve = self._serves.get(peer, {}).get(credit.attachment)
        if serve is not None:
            serve.credit = min(serve.credit + credit.more, WINDOW_BYTES)
            serve.since = now

    def stopped(self, peer: Peer, attachment: str) -> None:
        """Serve a blob to a neighbour no longer; harmless when repeated."""
        serve = self._serves.get(peer, {}).pop(attachment, None)
        if serve is not None and serve.is_open:
            self.effects.append(Shut(peer, attachment))

    def left(self, peer: Peer) -> None:
        """Stop serving a neighbour that has left."""
        for attachment in tuple(self._serves.get(peer, ())):
            self.stopped(peer, attachment)
        self._serves.pop(peer, None)
        self._reading.pop(peer, None)

    # -- chunks

    def is_waiting(self, peer: Peer) -> bool:
        """Return whether a chunk could be read for a neighbour now."""
        return peer not in self._reading and any(
            serve.credit for serve in self._serves.get(peer, {}).values()
        )

    def give(self, peer: Peer) -> None:
        """Have the next chunk for a neighbour read: its link has room for one."""
        if peer in self._reading:
            return
        serves = self._serves.get(peer, {})
        for attachment, serve in serves.items():
            if serve.credit:
                # To the end of the line: the next turn is another blob's.
                serves[attachment] = serves.pop(attachment)
                self._reading[peer] = attachment
                serve.is_open = True
                length = min(CHUNK_BYTES, serve.credit, serve.length - serve.offset)
                self.effects.append(Read(peer, attachment, serve.offset, length))
                return

    def read(self, peer: Peer, attachment: str, offset: int, data: bytes, now: float) -> None:
        """Send a chunk that was read; empty data mean that nothing could be read."""
        if self._reading.get(peer) == attachment:
            del self._reading[peer]
        serve = self._serves.get(peer, {}).get(attachment)
        if serve is None or serve.offset != offset:
            return
        if not data:
            self.unreadable(peer, attachment)
            return
        serve.offset += len(data)
        serve.credit -= min(len(data), serve.credit)
        serve.since = now
        self.effects.append(Say(peer, Chunk(attachment, offset, data)))
        if serve.offset >= serve.length:
            self.stopped(peer, attachment)

    def unreadable(self, peer: Peer, attachment: str) -> None:
        """Answer `Gone`: the blob is not here any more, or the disk refuses."""
        if self._reading.get(peer) == attachment:
            del self._reading[peer]
        if attachment in self._serves.get(peer, {}):
            self.effects.append(Say(peer, Gone(attachment)))
            self.stopped(peer, attachment)

    def tick(self, now: float) -> None:
        """Say `Coming` on busy links; drop blobs that have got no credit for long."""
        for peer, serves in self._serves.items():
            for attachment, serve in tuple(serves.items()):
                if not serve.credit:
                    if now - serve.since >= IDLE_SECONDS:
                        self.stopped(peer, attachment)
                elif now - serve.since >= PATIENCE_SECONDS:
                    serve.since = now
                    self.effects.append(Say(peer, Coming(attachment)))
