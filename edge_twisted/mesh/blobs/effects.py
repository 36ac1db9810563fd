# SPDX-License-Identifier: Apache-2.0
"""Effects of the blob exchange: what its caller has to do, in order, and how it answers."""

from __future__ import annotations

from attrs import frozen

from edge_twisted.mesh.blobs.messages import Message

#: A connected neighbour: the text of its peer key.
Peer = str


@frozen
class Say:
    """Send a message to a neighbour, if it is still connected."""

    peer: Peer
    message: Message


@frozen
class Look:
    """
    Find out whether a peer may have a blob, and whether the blob is here; answer `looked`.

    `search` is the number of the search that the question is for; None: it is for a pull.
    """

    peer: Peer
    attachment: str
    search: bytes | None


@frozen
class Begin:
    """Open the download of a blob where an earlier one stopped; answer `begun` or `broken`."""

    attachment: str


@frozen
class Write:
    """Append to a download, in order; always answer `written`, and `broken` if it failed."""

    attachment: str
    #: Who sent the data.
    peer: Peer
    data: bytes


@frozen
class Finish:
    """Close and verify a download after its writes; answer `finished`, `corrupt` or `broken`."""

    attachment: str


@frozen
class Pause:
    """Close a download after its writes and keep its bytes; there is no answer."""

    attachment: str


@frozen
class Read:
    """Read a chunk of a blob for a peer; answer `read` or `unreadable`."""

    peer: Peer
    attachment: str
    offset: int
    length: int


@frozen
class Shut:
    """Close a blob for a peer that needs no more of it."""

    peer: Peer
    attachment: str


@frozen
class Settle:
    """Tell requests that wait for a blob that it is here, or that nobody can give it now."""

    attachment: str
    is_here: bool


@frozen
class Blame:
    """Log that a peer sent wrong bytes."""

    peer: Peer
    attachment: str


Effect = Say | Look | Begin | Write | Finish | Pause | Read | Shut | Settle | Blame
