# SPDX-License-Identifier: Apache-2.0
"""What was heard of replicas, ours among them: how an old copy finds out that it is one."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final

from twisted.logger import Logger

from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.store.interface import Snapshot, WriteTransaction

log = Logger()

_HEARD: Final = "heard"
_REPLICA: Final = Struct(">16sQ")
_NUMBER: Final = Struct(">Q")


def load_heard(snapshot: Snapshot) -> dict[Replica, int]:
    """Return the highest sequence that was heard of each replica."""
    found: dict[Replica, int] = {}
    after: bytes | None = None
    while facts := snapshot.facts(_HEARD, after=after):
        for key, value in facts:
            site, epoch = _REPLICA.unpack(key)
            found[Replica(SiteId(site), epoch)] = _NUMBER.unpack(value)[0]
        after = facts[-1][0]
    return found


def note_heard(unit: WriteTransaction, heard: Mapping[Replica, int]) -> dict[Replica, int]:
    """Remember what is news among the highest sequences of a batch; return the news."""
    news: dict[Replica, int] = {}
    for replica, number in heard.items():
        key = _REPLICA.pack(replica.site, replica.epoch)
        before = unit.fact(_HEARD, key)
        if before is None or _NUMBER.unpack(before)[0] < number:
            unit.put_fact(_HEARD, key, _NUMBER.pack(number))
            news[replica] = number
    return news


def renew_if_copy(unit: WriteTransaction, own: Replica, of_us: int) -> Replica | None:
    """
    Take a new epoch if somebody knows later writes of ours than we do.

    :param own: who we are now.
    :param of_us: the highest sequence under that name that somebody knows.
    """
    written = unit.written.seen(own)
    if of_us <= written:
        return None
    new = unit.renew_epoch()
    log.warn(
        "A peer knows {known} writes of this server, which made {written}: it is an old copy, and"
        " takes epoch {epoch}.",
        known=of_us,
        written=written,
        epoch=new.epoch,
    )
    return new
