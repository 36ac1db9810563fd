# SPDX-License-Identifier: Apache-2.0
"""
Bases: what the receiver of a stream has of the collection, so that changes travel as deltas.

A *base* is a version vector.  Whoever has a base has all of its writes, of every document that was
in the scope at the sender when the sender told it.  The receiver stores its base with its cursor,
and is the one place of truth.  SUBSCRIBE names the base by an 8-byte digest.  The sender finds the
vector

1. in `BaseMemory`, where it keeps what it has told: after a link was cut, and over another link;
2. in its own knowledge, if nothing has happened since;
3. or it asks with BASE_WANTED, and BASE answers: after its own restart, once it has something that
   may travel as a delta.

A base that is wrong, because the receiver claims what it never had, or because two digests are
equal by accident, costs a WANT for each document: deltas carry checksums.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from struct import Struct
from typing import Final, Protocol

from attrs import define, field
from msgspec import structs

from edge_twisted.documents.versions import NO_VERSION, SiteId, VersionVector
from edge_twisted.mesh.ports.requests import Scope
from edge_twisted.mesh.wire.features import Features
from edge_twisted.mesh.wire.items import Announced, Item, ScopeKey, Whole
from edge_twisted.mesh.wire.messages import MAX_BASE, Batch
from edge_twisted.mesh.wire.values import news_of, write_items, write_vector
from edge_twisted.mesh.wire.violations import PeerViolation

#: Entries of all vectors in one memory, some 10 MB.
MAX_REMEMBERED: Final = 1 << 16
#: Entries of all answers to BASE_WANTED that one link takes, some 10 MB.  Servers of a mesh of 60
#: replicas come to less with as many subscriptions as a link may have.
MAX_ANSWERED: Final = 1 << 16
#: Vectors of one stream: one that the receiver has, and one that is on its way.
_MOST_OF_STREAM: Final = 2
_NUMBERS: Final = Struct(">QQ")
_NO_ITEMS: Final = write_items(())


def base_digest(base: VersionVector) -> bytes:
    """Return the 8 bytes that name a base in SUBSCRIBE: BLAKE2b over its sorted entries."""
    hashed = hashlib.blake2b(digest_size=8, person=b"edge-base")
    for replica in sorted(base):
        hashed.update(replica.site + _NUMBERS.pack(replica.epoch, base[replica]))
    return hashed.digest()


class BaseMemory:
    """
    Bases that this server has told, by receiver and scope; one memory for all links of a server.

    It is bounded: what was not used for longest is forgotten, and asked for when it is needed.
    """

    def __init__(self, most_entries: int = MAX_REMEMBERED) -> None:
        self._most_entries = most_entries
        self._bases: OrderedDict[tuple[SiteId, ScopeKey], tuple[VersionVector, ...]] = OrderedDict()
        self._entries = 0

    def find(self, receiver: SiteId, key: ScopeKey, digest: bytes) -> VersionVector | None:
        """Return the base of this 8-byte digest that the receiver was told; None: unknown."""
        for base in self._bases.get((receiver, key), ()):
            if base_digest(base) == digest:
                return base
        return None

    def confirm(self, receiver: SiteId, key: ScopeKey, base: VersionVector) -> None:
        """Note that the receiver has this base, and no other."""
        self._put((receiver, key), (base,))

    def add(self, receiver: SiteId, key: ScopeKey, base: VersionVector) -> None:
        """Note that the receiver will have this base, unless the link ends before."""
        before = self._bases.get((receiver, key), ())
        if base not in before:
            self._put((receiver, key), (*before, base)[-_MOST_OF_STREAM:])

    def clear(self) -> None:
        """Forget all bases, as a restart does."""
        self._bases.clear()
        self._entries = 0

    def _put(self, place: tuple[SiteId, ScopeKey], bases: tuple[VersionVector, ...]) -> None:
        self._entries += _size(bases) - _size(self._bases.pop(place, ()))
        self._bases[place] = bases
        while self._entries > self._most_entries:
            _, forgotten = self._bases.popitem(last=False)
            self._entries -= _size(forgotten)


def _size(bases: Iterable[VersionVector]) -> int:
    return sum(len(base) + 1 for base in bases)


@define(eq=False)
class AnswerBudget:
    """Entries of answers to BASE_WANTED that a link still takes: a peer may invent them."""

    left: int = MAX_ANSWERED

    def spend(self, base: VersionVector) -> bool:
        """Count an answer; return False, and count nothing, if it has more than is left."""
        size = _size((base,))
        if size > self.left:
            return False
        self.left -= size
        return True


@define(eq=False)
class ReceiverBase:
    """
    What the sender of one stream knows of the receiver's base.

    :ivar receiver: the site of the receiver.
    :ivar budget: shared by all streams of the link.
    :ivar current: what the next read builds deltas on; None: the receiver is not known to have
        anything.
    :ivar is_awaited: whether the receiver was asked, and has not answered.
    """

    memory: BaseMemory
    receiver: SiteId
    scope: Scope
    features: Features
    budget: AnswerBudget
    current: VersionVector | None = field(default=None, init=False)
    is_awaited: bool = field(default=False, init=False)
    #: The base that the receiver stores once it has applied all that is on its way; None: unknown.
    _told: VersionVector | None = field(default=NO_VERSION, init=False)
    #: The digest that SUBSCRIBE named, until its vector is found.
    _claimed: bytes | None = field(default=None, init=False)

    def begin(self, *, resumes: bool, digest: bytes | None) -> None:
        """
        Take what SUBSCRIBE says.

        :param resumes: whether the receiver has a cursor, and so may have a base.
        :param digest: of the base; None: the receiver has none.
        """
        self.current, self.is_awaited = None, False
        self._told = None if resumes else NO_VERSION
        self._claimed = digest if resumes and self.features.has_bases else None
        if self._claimed is not None:
            found = self.memory.find(self.receiver, self.scope.key, self._claimed)
            if found is not None:
                self._settle(found)

    def is_needed_for(self, items: Iterable[Item]) -> bool:
        """Return whether to ask for the base, because some of these might travel as deltas."""
        return self._claimed is not None and any(isinstance(i, Whole | Announced) for i in items)

    def take(self, base: VersionVector) -> None:
        """
        Take the receiver's answer to BASE_WANTED; beyond the budget, documents are sent whole.

        :raises PeerViolation: SUBSCRIBE named another base; end the link.
        """
        if not self.is_awaited:
            # The stream began anew meanwhile, after a repair.
            return
        if base_digest(base) != self._claimed:
            raise PeerViolation("a base that is not the one that SUBSCRIBE named")
        self.is_awaited = False
        if self.budget.spend(base):
            self._settle(base)
        else:
            self._claimed = None

    def _settle(self, base: VersionVector) -> None:
        self.current = self._told = base
        self._claimed = None
        self.memory.confirm(self.receiver, self.scope.key, base)

    def news(self, knowledge: VersionVector, *, is_repeated: bool) -> VersionVector:
        """Return the part of our knowledge to tell in a batch that makes the receiver catch up.

        :param is_repeated: nothing was committed since the receiver's cursor, so that the receiver
            was told the same when it got there, unless it had to forget it.
        """
        if not self.scope.is_whole and not self._is_kept(knowledge):
            return NO_VERSION
        told = self._told
        if told is None:
            if self._claimed == base_digest(knowledge):
                self._settle(knowledge)
                return NO_VERSION
            is_known = is_repeated and not self._is_kept(knowledge)
            told = knowledge if is_known else NO_VERSION
            self._claimed = None
        self._told = told.join(knowledge)
        if self._is_kept(self._told):
            self.memory.add(self.receiver, self.scope.key, self._told)
        return news_of(knowledge, told)

    def reached(self, knowledge: VersionVector) -> None:
        """Note that the receiver has caught up with this knowledge of ours."""
        if self.scope.is_whole or self.features.has_bases:
            self.current = (self.current or NO_VERSION).join(knowledge)

    def _is_kept(self, base: VersionVector) -> bool:
        """Return whether the receiver stores a base."""
        return self.features.has_bases and 0 < len(base) <= MAX_BASE


class BatchMember(Protocol):
    """A subscription of the peer that a batch is for."""

    base: ReceiverBase
    #: The lsn up to which batches were sent before.
    sent_lsn: int


def with_news(batch: Batch, knowledge: VersionVector, members: Iterable[BatchMember]) -> Batch:
    """Return the batch, with what is new in our knowledge for members that catch up with it."""
    known = base = NO_VERSION
    is_empty = batch.items == _NO_ITEMS
    for each in members:
        is_repeated = is_empty and batch.lsn == each.sent_lsn
        news = each.base.news(knowledge, is_repeated=is_repeated)
        if each.base.scope.is_whole:
            known = known.join(news)
        else:
            base = base.join(news)
    # The bases of all get what is told as knowledge, too.
    return structs.replace(
        batch,
        knowledge=write_vector(known) or None,
        base=write_vector(news_of(base, known)) or None,
    )
