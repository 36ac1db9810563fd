# SPDX-License-Identifier: Apache-2.0
"""
Choice between two links with the same peer; both ends come to the same answer.

- When both ends dialled, the link stays that the peer with the smaller key dialled.
- When one end dialled twice, that end knows which link is dead.  It ends the newer link before its
  HELLO if the older one lives.  So the other end takes a second HELLO as proof that the older link
  is dead, and replaces it.
- The same key with another replica is another server: one identity was copied to two machines.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from edge_twisted.documents.versions import Replica
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.wire.end_reasons import EndReason


class LinkVerdict(Enum):
    """The decision about a link on which both HELLOs are in."""

    KEEP = "keep"
    #: Keep it and end the other, older link with the peer.
    REPLACE = "replace"
    #: End it: there is a link with the peer already.
    DUPLICATE_LINK = EndReason.DUPLICATE_LINK
    #: End it: two live servers have one identity.
    DUPLICATE_PEER = EndReason.DUPLICATE_PEER
    #: End it: it leads to this server itself.
    SELF_LINK = EndReason.SELF_LINK


@frozen(kw_only=True)
class LinkEnds:
    """The two ends of an established link: the peer, and which end dialled."""

    peer: PeerKey
    replica: Replica
    dialled_by_us: bool


def judge(new: LinkEnds, old: LinkEnds | None, us: PeerKey, our_replica: Replica) -> LinkVerdict:
    """Decide which link stays: `new`, or `old`, the one with the same peer so far (None: none).

    Both ends decide alike from the same facts, so that they keep the same link.
    """
    if new.peer == us:
        same = new.replica == our_replica
        return LinkVerdict.SELF_LINK if same else LinkVerdict.DUPLICATE_PEER
    if old is None:
        return LinkVerdict.KEEP
    if new.replica != old.replica:
        return LinkVerdict.DUPLICATE_PEER
    if new.dialled_by_us == old.dialled_by_us:
        return LinkVerdict.DUPLICATE_LINK if new.dialled_by_us else LinkVerdict.REPLACE
    stays = new.dialled_by_us == (us < new.peer)
    return LinkVerdict.REPLACE if stays else LinkVerdict.DUPLICATE_LINK
