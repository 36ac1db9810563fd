# SPDX-License-Identifier: Apache-2.0
"""
A tiny database behind a mesh session, in dicts.

It answers what `edge_twisted.mesh.ports.requests` asks.

A document is a body under an id key with a version vector; of concurrent bodies the greater one
wins.  A subscription is ``COLLECTION`` or ``COLLECTION WORD``: bodies that contain the word.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from functools import reduce
from typing import Any

import msgspec
from attrs import define, field, frozen

from edge_twisted.documents.clock import BEGINNING, Timestamp
from edge_twisted.documents.digest import digest
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import NO_VERSION, Dot, Replica, SiteId, VersionVector
from edge_twisted.errors import EdgeError
from edge_twisted.mesh.ports.requests import (
    Answer,
    Applied,
    ApplyBatch,
    Changes,
    CursorUnknown,
    DeleteGone,
    Digests,
    DocumentRequest,
    Fates,
    FindGone,
    FindPosition,
    FindSeen,
    Lacking,
    Observe,
    ReadChanges,
    ReadDigests,
    ReadDocuments,
    Scope,
    ScopeClosed,
    StreamPosition,
)
from edge_twisted.mesh.wire.items import Announced, Item, Left, Partial, ScopeKey, Seen, Whole
from edge_twisted.mesh.wire.values import read_vector, write_vector


class NoSubscription(EdgeError):
    """The query is none."""

    code = "no_subscription"


class CorruptFake(EdgeError):
    """What came is no document."""

    code = "corrupt_item"


@frozen
class Doc:
    """A document, or with body None its tombstone."""

    version: VersionVector
    body: bytes | None
    lsn: int


def fake_replica(number: int, epoch: int = 1) -> Replica:
    """Return a replica whose site id is that byte."""
    return Replica(SiteId(bytes([number]) * 16), epoch)


def fake_scope(query: str) -> Scope:
    """Return the scope of ``COLLECTION`` or ``COLLECTION WORD``."""
    words = query.split()
    if not 1 <= len(words) <= 2:
        raise NoSubscription(query)
    return Scope(
        key=ScopeKey(query.encode("utf-8", "surrogatepass")),
        query=query,
        arguments={},
        collection=words[0],
        is_whole=len(words) == 1,
    )


@define(eq=False)
class FakeDocuments:
    """See the head of this module; `answer` performs a request at once."""

    replica: Replica
    lsn: int = 0
    hybrid_time: Timestamp = BEGINNING
    docs: dict[str, dict[bytes, Doc]] = field(factory=dict)
    knowledge: dict[str, VersionVector] = field(factory=dict)
    cursors: dict[tuple[Replica, bytes], int] = field(factory=dict)
    bases: dict[tuple[Replica, bytes], VersionVector] = field(factory=dict)
    reaped: dict[str, int] = field(factory=dict)
    evictions: dict[str, int] = field(factory=dict)
    closed: set[str] = field(factory=set)
    sequence: int = 0
    observed: list[Observe] = field(factory=list)
    #: Collections that changed since `take_changed`.
    _changed: set[str] = field(factory=set)

    # -- a client

    def write(self, collection: str, bodies: Mapping[str, str | None]) -> None:
        """Write several documents in one commit; None deletes."""
        self.lsn += 1
        for key, body in bodies.items():
            id_key = key.encode()
            old = self.docs.get(collection, {}).get(id_key)
            self.sequence += 1
            dot = Dot(self.replica, self.sequence)
            version = (old.version if old else NO_VERSION).with_dot(dot)
            data = None if body is None else body.encode()
            self._put(collection, id_key, Doc(version, data, self.lsn))
        known = self._known(collection).with_dot(Dot(self.replica, self.sequence))
        self.knowledge[collection] = known

    def evict(self, collection: str) -> None:
        """Forget all documents, and the cursors that led to them."""
        self.docs[collection] = {}
        self.evictions[collection] = self.evictions.get(collection, 0) + 1
        self.cursors = {k: v for k, v in self.cursors.items() if not _is_for(k[1], collection)}
        self.bases = {k: v for k, v in self.bases.items() if k in self.cursors}

    def reap(self, collection: str) -> None:
        """Forget all tombstones."""
        docs = self.docs[collection]
        dead = [key for key, doc in docs.items() if doc.body is None]
        self.reaped[collection] = max((docs.pop(key).lsn for key in dead), default=0)

    def shown(self, collection: str) -> dict[str, str]:
        """Return the live documents."""
        docs = self.docs.get(collection, {})
        return {k.decode(): d.body.decode() for k, d in docs.items() if d.body is not None}

    def take_changed(self) -> frozenset[str]:
        """Return the collections with commits since the last call."""
        changed, self._changed = frozenset(self._changed), set()
        return changed

    # -- Home

    def scope(self, query: str, arguments: Mapping[str, Value]) -> Scope:
        """Return the scope of a query."""
        return fake_scope(query)

    def heard_of(self, replica: Replica) -> int:
        """Return the highest sequence that is known of a replica."""
        return max((known.seen(replica) for known in self.knowledge.values()), default=0)

    # -- Documents

    def answer(self, request: DocumentRequest) -> Answer:
        """Perform a request."""
        match request:
            case FindPosition(scope=scope, sender=sender):
                held = len(self.docs.get(scope.collection, {}))
                lsn = self.cursors.get((sender, scope.key))
                return StreamPosition(
                    lsn=lsn,
                    held=held,
                    base=None if lsn is None else self.bases.get((sender, scope.key)),
                    evictions=self.evictions.get(scope.collection, 0),
                )
            case ApplyBatch():
                return self._apply(request)
            case DeleteGone(collection=collection, seen=seen):
                self._delete(collection, seen)
                return None
            case ReadChanges():
                return self._read_changes(request)
            case Observe():
                self.observed.append(request)
                return None
            case _:
                return self._answer_reads(request)

    def _answer_reads(self, request: DocumentRequest) -> Answer:
        assert isinstance(request, ReadDocuments | FindGone | ReadDigests | FindSeen)
        scope = request.scope
        docs = self.docs.get(scope.collection, {})
        is_ours = isinstance(request, FindSeen) or getattr(request, "for_peer", True) is False
        if scope.collection in self.closed and not is_ours:
            return ScopeClosed()
        match request:
            case ReadDocuments(id_keys=id_keys, digests=digests):
                found = [key for key in id_keys if key in docs]
                found += [key for key, doc in docs.items() if _digest(key, doc) in set(digests)]
                return tuple(_whole(key, docs[key]) for key in found)
            case FindGone(seen=all_seen):
                known = self._known(scope.collection)
                gone = tuple(
                    seen
                    for seen in all_seen
                    if known.includes(seen.version) and _is_dead(docs.get(seen.id_key))
                )
                return Fates(gone=gone)
            case ReadDigests():
                values = [_digest(k, d) for k, d in docs.items() if _matches(scope, d)]
                knowledge = self._known(scope.collection) if scope.is_whole else None
                return Digests(lsn=self.lsn, values=array("q", values), knowledge=knowledge)
            case FindSeen(digests=digests):
                wanted = set(digests)
                pairs = [(k, d) for k, d in docs.items() if _digest(k, d) in wanted]
                return tuple(Seen(key, doc.version) for key, doc in pairs)

    # -- inner

    def _known(self, collection: str) -> VersionVector:
        return self.knowledge.get(collection, NO_VERSION)

    def _put(self, collection: str, id_key: bytes, doc: Doc) -> None:
        self.docs.setdefault(collection, {})[id_key] = doc
        self._changed.add(collection)

    def _apply(self, request: ApplyBatch) -> Answer:
        scope, docs = request.scope, self.docs.get(request.scope.collection, {})
        lacking = tuple(i.id_key for i in request.items if self._lacks(request, docs, i))
        if lacking:
            return Lacking(id_keys=lacking)
        merged = [self._merge(scope.collection, item) for item in request.items]
        if any(is_new for *_, is_new in merged):
            self.lsn += 1
        echoes, gone, older = [], [], []
        for id_key, theirs, doc, is_new in merged:
            if doc is None:
                gone.append(Seen(id_key, theirs))
                continue
            if is_new:
                self._put(scope.collection, id_key, Doc(doc.version, doc.body, self.lsn))
            if doc.version == theirs:
                echoes.append((id_key, digest(id_key, theirs)))
            elif not is_new:
                older.append(id_key)
        unmoved = self._move(request)
        if request.knowledge is not None:
            known = self._known(scope.collection).join(request.knowledge)
            self.knowledge[scope.collection] = known
        return Applied(
            documents=len(merged),
            unmoved=unmoved,
            echoes=tuple(echoes),
            gone=tuple(gone),
            older=tuple(older),
        )

    def _lacks(self, request: ApplyBatch, docs: dict[bytes, Doc], item: Item) -> bool:
        mine = docs.get(item.id_key)
        if isinstance(item, Partial):
            since = read_vector(_decoded(item.delta)[0])
            return mine is None or not mine.version.includes(since)
        if isinstance(item, Announced):
            return mine is None or _digest(item.id_key, mine) != item.digest
        if isinstance(item, Left):
            differs = mine is not None and _digest(item.id_key, mine) != item.digest
            if mine is None or not differs:
                return False
            return any(_matches(each.scope, mine) for each in request.cursors)
        return False

    def _merge(self, collection: str, item: Item) -> tuple[bytes, VersionVector, Doc | None, bool]:
        """Return (id key, the sender's version, the result; None: refused, whether it is new)."""
        mine = self.docs.get(collection, {}).get(item.id_key)
        if isinstance(item, Announced | Left):
            version = mine.version if mine else NO_VERSION
            return item.id_key, version, mine or Doc(NO_VERSION, None, 0), False
        if isinstance(item, Whole):
            version, body = read_vector(_decoded(item.state)), item.body
        else:
            _, vector, body = _decoded(item.delta)
            version = read_vector(vector)
        if mine is None:
            is_gone = self._known(collection).includes(version) and body is not None
            return item.id_key, version, None if is_gone else Doc(version, body, 0), not is_gone
        if mine.version.includes(version):
            return item.id_key, version, mine, False
        if version.includes(mine.version):
            return item.id_key, version, Doc(version, body, 0), True
        both = max((b for b in (mine.body, body) if b is not None), default=None)
        return item.id_key, version, Doc(mine.version.join(version), both, 0), True

    def _move(self, request: ApplyBatch) -> tuple[ScopeKey, ...]:
        if request.lsn is None:
            return ()
        unmoved = []
        for scope, after, evictions in request.cursors:
            key = (request.sender, scope.key)
            is_same = evictions == self.evictions.get(scope.collection, 0)
            if self.cursors.get(key) != after or (after is None and not is_same):
                unmoved.append(scope.key)
            else:
                self.cursors[key] = request.lsn
                if request.base is not None:
                    self.bases[key] = self.bases.get(key, NO_VERSION).join(request.base)
        return tuple(unmoved)

    def _delete(self, collection: str, all_seen: tuple[Seen, ...]) -> None:
        docs = self.docs.get(collection, {})
        dead = [s for s in all_seen if s.id_key in docs and docs[s.id_key].version == s.version]
        if dead:
            self.write(collection, {seen.id_key.decode(): None for seen in dead})

    def _read_changes(self, request: ReadChanges) -> Answer:
        scope = request.scope
        if scope.collection in self.closed:
            return ScopeClosed()
        afters = [each.after for each in request.readings]
        if max(afters) > self.lsn:
            return CursorUnknown(reason="beyond our log")
        reaped = self.reaped.get(scope.collection, 0)
        if any(0 < each.after < reaped and each.horizon < reaped for each in request.readings):
            return CursorUnknown(reason="before the horizon")
        docs = self.docs.get(scope.collection, {})
        news = sorted((d.lsn, k) for k, d in docs.items() if d.lsn > min(afters))
        items: list[Item] = []
        size, end = 0, self.lsn
        for at, (lsn, id_key) in enumerate(news):
            if size >= request.limit_bytes and news[at - 1][0] != lsn:
                end = news[at - 1][0]
                break
            item = self._item(request, id_key, docs[id_key])
            if item is not None:
                items.append(item)
                size += sum(len(part) for part in item if isinstance(part, bytes))
        more = bool(news) and end < news[-1][0]
        tells = not more and any(each.scope.is_whole for each in request.readings)
        return Changes(
            items=tuple(items),
            lsn=end,
            more=more,
            knowledge=None if more else self._known(scope.collection),
            fingerprint=self.fingerprint(scope.collection) if tells else None,
            reaped_lsn=reaped,
        )

    def _item(self, request: ReadChanges, id_key: bytes, doc: Doc) -> Item | None:
        mark = _digest(id_key, doc)
        if request.skip.get(id_key) == mark:
            return None
        had = [*request.delivered, *((r.scope, r.after) for r in request.readings)]
        if any(doc.lsn <= upto and _is_in(scope, doc) for scope, upto in had):
            return None
        readings = [r for r in request.readings if doc.lsn > r.after and _is_in(r.scope, doc)]
        if not readings:
            return Left(id_key, mark)
        base = next((each.base for each in readings if each.base is not None), None)
        above = request.announce_above
        if above is not None and doc.body is not None and len(doc.body) > above:
            return Announced(id_key, mark, len(doc.body))
        if base is None:
            return _whole(id_key, doc)
        known = {r: min(n, base.seen(r)) for r, n in doc.version.items()}
        since = VersionVector({r: n for r, n in known.items() if n})
        if not since:
            return _whole(id_key, doc)
        delta = [write_vector(since), write_vector(doc.version), doc.body]
        return Partial(id_key, msgspec.msgpack.encode(delta))

    def fingerprint(self, collection: str) -> bytes:
        """Return 16 bytes over the live documents."""
        docs = self.docs.get(collection, {})
        marks = [_digest(k, d) for k, d in docs.items() if d.body is not None]
        total = sum(marks) % 2**64
        mixed = reduce(lambda a, b: a ^ b, marks, 0) % 2**64
        return total.to_bytes(8, "big") + mixed.to_bytes(8, "big")


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise CorruptFake(data) from None


def _digest(id_key: bytes, doc: Doc) -> int:
    return digest(id_key, doc.version)


def _whole(id_key: bytes, doc: Doc) -> Whole:
    return Whole(id_key, doc.body, msgspec.msgpack.encode(write_vector(doc.version)))


def _is_dead(doc: Doc | None) -> bool:
    return doc is None or doc.body is None


def _matches(scope: Scope, doc: Doc) -> bool:
    if scope.is_whole or doc.body is None:
        return True
    return scope.query.split()[1].encode() in doc.body


def _is_in(scope: Scope, doc: Doc) -> bool:
    """As `_matches`, but a tombstone is in no scope with a condition."""
    return scope.is_whole or (doc.body is not None and _matches(scope, doc))


def _is_for(key: bytes, collection: str) -> bool:
    return key.split()[0] == collection.encode()
