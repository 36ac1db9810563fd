# SPDX-License-Identifier: Apache-2.0
"""What the exchange of attachments wants done, and whom it knows."""

from __future__ import annotations

from attrs import frozen

from edge_twisted.mesh.blobs.messages import Message

#: A connected neighbour: the text of its peer key.
Peer = str


@frozen
class Say:
    """Send a message to a neighbour, if it is still there."""

    peer: Peer
    message: Message


@frozen
class Look:
    """
    May this peer have the blob, and is it here?  Answer: `BlobExchange.looked`.

    `search` is what it is asked for; None is a pull.
    """

    peer: Peer
    attachment: str
    search: bytes | None


@frozen
class Begin:
    """Open the download of a blob, where it was left; answer `begun` or `broken`."""

    attachment: str


@frozen
class Write:
    """Append to a download, in order; answer `written` in any case, `broken` if it failed."""

    attachment: str
    #: Who sent it.
    peer: Peer
    data: bytes


@frozen
class Finish:
    """Close and verify a download, after its writes; answer `finished`, `corrupt` or `broken`."""

    attachment: str


@frozen
class Pause:
    """Put a download away for later, after its writes."""

    attachment: str


@frozen
class Read:
    """Read a chunk of a blob for a peer; answer `BlobExchange.read` or `unreadable`."""

    peer: Peer
    attachment: str
    offset: int
    length: int


@frozen
class Shut:
    """Nothing more will be read of a blob for a peer."""

    peer: Peer
    attachment: str


@frozen
class Settled:
    """A blob is here, or for now nobody has it: tell whoever waits."""

    attachment: str
    is_here: bool


@frozen
class Blamed:
    """A peer sent wrong bytes: log it."""

    peer: Peer
    attachment: str


Effect = Say | Look | Begin | Write | Finish | Pause | Read | Shut | Settled | Blamed
