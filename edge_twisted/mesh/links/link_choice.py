# SPDX-License-Identifier: Apache-2.0
"""
Which of several links between two peers stays; both ends come to the same answer.

- When both dialled, the link that the peer with the smaller key dialled stays.
- When one dialled twice, that one knows best: it ends the newer before its HELLO if the older
  lives, so whoever accepted takes a second HELLO as word that the older is dead.
- The same key with another replica is another server: two lives of one identity.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from edge_twisted.documents.versions import Replica
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.wire.end_reasons import EndReason


class LinkVerdict(Enum):
    """What becomes of a link that has just been established."""

    KEEP = "keep"
    #: Keep it and end the other, older link with the peer.
    REPLACE = "replace"
    #: End it: there is a link with the peer already.
    DUPLICATE_LINK = EndReason.DUPLICATE_LINK
    #: End it: two live servers have one identity.
    DUPLICATE_PEER = EndReason.DUPLICATE_PEER
    #: End it: it leads to ourselves.
    SELF_LINK = EndReason.SELF_LINK


@frozen(kw_only=True)
class LinkEnds:
    """An established link: whom it leads to, and whether we dialled it."""

    peer: PeerKey
    replica: Replica
    dialled_by_us: bool


def judge(new: LinkEnds, old: LinkEnds | None, us: PeerKey, our_replica: Replica) -> LinkVerdict:
    """Return what becomes of `new`, given the link with that peer that there is already, if any."""
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
