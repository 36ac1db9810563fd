# SPDX-License-Identifier: Apache-2.0
"""
Renewal of the epoch: how a server that runs on an old copy of its store finds out, and what then.

After a backup was restored, peers have writes of this server that it does not have itself.  It
would give their sequence numbers to new writes, so it takes a new epoch, that is, it goes on as
another replica.  Also here: the highest sequence that was heard of each replica.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final

from twisted.logger import Logger

from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.mesh.ports.requests import Observe
from edge_twisted.records.facts import HEARD, SITE
from edge_twisted.replication.errors import ImplausibleClaim
from edge_twisted.store.interface import Snapshot, UnitOfWork

log = Logger()

_REPLICA: Final = Struct(">16sQ")
_NUMBER: Final = Struct(">Q")
_RENEWALS: Final = b"renewals"

#: Epochs that peers' claims can make this server take in an hour.  A restored backup takes one, and
#: perhaps more while it meets the peers that knew it one after the other.  Each new epoch ends all
#: links for a moment and stays in version vectors for ever, so a peer that lies must not cause them
#: at will: beyond the limit the link of the claim ends.
MOST_RENEWALS: Final = 8
RENEWAL_WINDOW_MS: Final = 3_600_000


def load_heard(snapshot: Snapshot) -> dict[Replica, int]:
    """Return replica -> the highest sequence that was heard of it, from the store's facts."""
    found: dict[Replica, int] = {}
    after: bytes | None = None
    while facts := snapshot.facts(HEARD, after=after):
        for key, value in facts:
            site, epoch = _REPLICA.unpack(key)
            found[Replica(SiteId(site), epoch)] = _NUMBER.unpack(value)[0]
        after = facts[-1][0]
    return found


def note_heard(unit: UnitOfWork, heard: Mapping[Replica, int]) -> dict[Replica, int]:
    """
    Store the highest sequences of a batch where they are news; return those that are.

    :param heard: replica -> the highest sequence in the batch.
    """
    news: dict[Replica, int] = {}
    for replica, number in heard.items():
        key = _REPLICA.pack(replica.site, replica.epoch)
        before = unit.fact(HEARD, key)
        if before is None or _NUMBER.unpack(before)[0] < number:
            unit.put_fact(HEARD, key, _NUMBER.pack(number))
            news[replica] = number
    return news


def observe(unit: UnitOfWork, request: Observe, own: Replica, now_ms: int) -> Replica | None:
    """
    Perform `Observe`, what a HELLO says; return the new replica, None if the epoch stays.

    :param own: the replica of this server when the peer said so.
    :param now_ms: the time, in ms since 1970.
    :raises ClockSkew: one of the two clocks is wrong.
    :raises ImplausibleClaim: see `renew_if_copy`.
    """
    unit.see(request.clock)
    return renew_if_copy(unit, own, request.of_us, now_ms)


def renew_if_copy(unit: UnitOfWork, own: Replica, of_us: int, now_ms: int) -> Replica | None:
    """
    Take a new epoch if a peer knows later writes of this server than the store does.

    Returns the new replica; None if the epoch stays.

    :param own: the replica of this server when the peer said so.
    :param of_us: the highest sequence of that replica that the peer knows.
    :raises ImplausibleClaim: peers said so `MOST_RENEWALS` times within an hour; undo the unit.
    """
    written = unit.written
    # A claim about an epoch that was left meanwhile has had its effect.
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
    """Remember the time (ms) of a renewal; refuse one that is too many."""
    fact = unit.fact(SITE, _RENEWALS) or b""
    # A time in the future is from before the clock was set back: leave it out.
    recent = [at for (at,) in _NUMBER.iter_unpack(fact) if 0 <= now_ms - at < RENEWAL_WINDOW_MS]
    if len(recent) >= MOST_RENEWALS:
        raise ImplausibleClaim(of_us, len(recent))
    unit.put_fact(SITE, _RENEWALS, b"".join(map(_NUMBER.pack, [*recent, now_ms])))
