# SPDX-License-Identifier: Apache-2.0
"""What was heard of replicas, ours among them: how an old copy finds out that it is one."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final

from twisted.logger import Logger

from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.mesh.ports.requests import Observe
from edge_twisted.replication.errors import ImplausibleClaim
from edge_twisted.store.interface import Snapshot, UnitOfWork

log = Logger()

_HEARD: Final = "heard"
_REPLICA: Final = Struct(">16sQ")
_NUMBER: Final = Struct(">Q")
_SITE: Final = "site"
_RENEWALS: Final = b"renewals"

#: Epochs that are taken in an hour because a peer says that we are an old copy.  A backup that is
#: restored takes one, and one more while peers that knew it are met one after the other.  Each ends
#: all links for a moment and stays in version vectors for ever, so a peer that lies must not have
#: them at will; while there is none left, the link ends over which the claim came.
MOST_RENEWALS: Final = 8
RENEWAL_WINDOW_MS: Final = 3_600_000


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


def note_heard(unit: UnitOfWork, heard: Mapping[Replica, int]) -> dict[Replica, int]:
    """Remember what is news among the highest sequences of a batch; return the news."""
    news: dict[Replica, int] = {}
    for replica, number in heard.items():
        key = _REPLICA.pack(replica.site, replica.epoch)
        before = unit.fact(_HEARD, key)
        if before is None or _NUMBER.unpack(before)[0] < number:
            unit.put_fact(_HEARD, key, _NUMBER.pack(number))
            news[replica] = number
    return news


def observe(unit: UnitOfWork, request: Observe, own: Replica, now_ms: int) -> Replica | None:
    """
    Perform `Observe`; return who we are if that changed.

    :raises ClockSkew: one of the two clocks is wrong.
    :raises ImplausibleClaim: see `renew_if_copy`.
    """
    unit.see(request.clock)
    return renew_if_copy(unit, own, request.of_us, now_ms)


def renew_if_copy(unit: UnitOfWork, own: Replica, of_us: int, now_ms: int) -> Replica | None:
    """
    Take a new epoch if somebody knows later writes of ours than we do.

    :param own: who we were when it was said.
    :param of_us: the highest sequence under that name that somebody knows.
    :raises ImplausibleClaim: it was said too often lately to be true; the unit must be undone.
    """
    written = unit.written
    # Whoever said it of an epoch that was left meanwhile has been heard already.
    if of_us <= written.seen(own) or unit.replica != own:
        return None
    _count_renewal(unit, now_ms, of_us)
    new = unit.renew_epoch()
    log.warn(
        "A peer knows {known} writes of this server, which made {written}: it is an old copy, and"
        " takes epoch {epoch}.",
        known=of_us,
        written=written.seen(own),
        epoch=new.epoch,
    )
    return new


def _count_renewal(unit: UnitOfWork, now_ms: int, of_us: int) -> None:
    """Keep when epochs were taken for what peers said; refuse one that is too many."""
    fact = unit.fact(_SITE, _RENEWALS) or b""
    # A time that is ahead is of a clock that was set back since: it says nothing.
    recent = [at for (at,) in _NUMBER.iter_unpack(fact) if 0 <= now_ms - at < RENEWAL_WINDOW_MS]
    if len(recent) >= MOST_RENEWALS:
        raise ImplausibleClaim(of_us, len(recent))
    unit.put_fact(_SITE, _RENEWALS, b"".join(map(_NUMBER.pack, [*recent, now_ms])))
