# SPDX-License-Identifier: Apache-2.0
"""
Finds the caller of a bearer key: a slow hash the first time, microseconds afterwards.

A first check needs a slow hash, which runs on a thread.  A key that passed is remembered by a
digest under a key that only this process knows, so that later checks cost one fast digest and one
look-up, and a memory dump shows no keys but those of connections that are open.

What a flood of wrong keys costs:

- a key with an unknown public id or a wrong checksum costs one look-up, no slow hash, no wait;
- where the configuration has hashes without a public id, made by another tool, a key costs one
  slow hash for each of them, `parallel` at a time with the callers' networks taking turns, and
  nothing more while it is among the last `MAX_REFUSED` wrong keys.  A key with a known public id
  and the right checksum does not wait for these: nobody can forge one.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from edge_twisted.config.model import IdentityConfig
from edge_twisted.security.api_keys import claimed_id_of, public_id_of
from edge_twisted.security.callers import Caller
from edge_twisted.security.fair_queue import FairSlots
from edge_twisted.security.key_hash import KeyHash

#: Wrong keys that are remembered, so that none is hashed again soon: about 1 MiB.
MAX_REFUSED = 4096
#: Longer keys are wrong without a look-up: generated keys have 60 characters.
MAX_KEY_BYTES = 512

#: Runs a function on a thread of a pool and answers on the reactor thread.
DeferToPool = Callable[[Callable[[], bool]], Deferred[bool]]


@frozen
class _Entry:
    """A caller with the hash of its key."""

    hash: KeyHash
    caller: Caller


@frozen
class _Entries:
    """All identities of one configuration, by public id, and those without one."""

    by_public_id: Mapping[str, _Entry]
    foreign: tuple[_Entry, ...]

    @classmethod
    def of(cls, identities: Iterable[IdentityConfig]) -> _Entries:
        """Parse the hashes of identities; raise `BadKeyHash` if one is malformed."""
        entries = [_Entry(KeyHash.parse(each.api_key_hash), Caller.of(each)) for each in identities]
        return cls(
            {e.hash.public_id: e for e in entries if e.hash.public_id is not None},
            tuple(e for e in entries if e.hash.public_id is None),
        )

    def candidates(self, key: bytes) -> tuple[_Entry, ...]:
        """Return the entries whose hash may be that of `key`; at most one if it has a public id."""
        claimed = claimed_id_of(key)
        known = self.by_public_id.get(claimed) if claimed else None
        # The checksum comes last, because computing it is the most expensive step here.
        return (known,) if known and claimed == public_id_of(key) else self.foreign

    def holding(self, hashed: KeyHash) -> _Entry | None:
        """Return the entry with exactly this hash, None if there is none."""
        if hashed.public_id is not None:
            known = self.by_public_id.get(hashed.public_id)
            return known if known and known.hash == hashed else None
        return next((e for e in self.foreign if e.hash == hashed), None)


class _Check:
    """The running first check of a key, shared by all requests that wait for it."""

    def __init__(self) -> None:
        self._result: Caller | Failure | None = None
        self._done = False
        self._waiting: list[Deferred[Caller | None]] = []

    def join(self) -> Deferred[Caller | None]:
        """Return a Deferred of the check's result: the caller, or None for a wrong key.

        Cancelling the Deferred leaves the check itself running.
        """
        waiter: Deferred[Caller | None] = Deferred()
        if self._done:
            waiter.callback(self._result)
        else:
            self._waiting.append(waiter)
        return waiter

    def finish(self, result: Caller | Failure | None) -> None:
        """Give all waiting requests the result, which may be a failure."""
        self._result, self._done = result, True
        for waiter in self._waiting:
            # A cancelled Deferred ignores its first result.
            waiter.callback(result)


class KeyRing:
    """
    Finds the caller of a key.  All methods are for the reactor thread.

    `defer_to_pool` runs the slow hashes; the pool bounds nothing, the ring does.
    """

    def __init__(
        self,
        identities: Iterable[IdentityConfig],
        defer_to_pool: DeferToPool,
        *,
        parallel: int = 1,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._entries = _Entries.of(identities)
        self._defer_to_pool = defer_to_pool
        self._keyed = hashlib.blake2b(digest_size=16, key=entropy(32))
        self._seen: dict[bytes, _Entry] = {}
        self._refused: OrderedDict[bytes, None] = OrderedDict()
        self._checks: dict[bytes, _Check] = {}
        self._slots = FairSlots(parallel)

    def known(self, key: bytes) -> Caller | None:
        """Return the caller whose key passed a check before; None: ask `identify`."""
        entry = self._seen.get(self._digest(key))
        return entry.caller if entry is not None else None

    def refuses(self, key: bytes) -> bool:
        """Return whether a key that is not `known` is certainly wrong; computes no slow hash.

        False: only `identify` can tell.
        """
        if len(key) > MAX_KEY_BYTES:
            return True
        if not self._entries.candidates(key):
            return True
        return bool(self._refused) and self._digest(key) in self._refused

    def identify(self, key: bytes, source: str) -> Deferred[Caller | None]:
        """
        Check a key; fire with its caller, or with None for a wrong key.

        `source` is the caller's network, by which callers take turns.  Cancelling the Deferred
        leaves the check running, because other requests may wait for the same key.

        Fails with `KeyCheckOverloaded` when too many checks wait; the key may be right or wrong.
        """
        if len(key) > MAX_KEY_BYTES:
            return succeed(None)
        digest = self._digest(key)
        entry = self._seen.get(digest)
        if entry is not None:
            return succeed(entry.caller)
        candidates = self._entries.candidates(key)
        if not candidates or digest in self._refused:
            return succeed(None)
        check = self._checks.get(digest)
        if check is None:
            check = self._checks[digest] = _Check()
            work = Deferred.fromCoroutine(self._check(key, candidates, source))
            work.addBoth(self._checked, digest, self._entries)
        return check.join()

    def replace(self, identities: Iterable[IdentityConfig]) -> None:
        """Take over the identities of a new configuration, at once and as a whole.

        A key that passed stays known if its very hash is still there; a check under way answers by
        the new identities.

        :raises BadKeyHash: one of the hashes is malformed; nothing has changed.
        """
        self._entries = entries = _Entries.of(identities)
        kept = ((digest, entries.holding(old.hash)) for digest, old in self._seen.items())
        self._seen = {digest: entry for digest, entry in kept if entry is not None}
        # A key that was wrong may be right now.
        self._refused.clear()

    # -- inner

    def _digest(self, key: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(key)
        return keyed.digest()

    async def _check(
        self, key: bytes, candidates: tuple[_Entry, ...], source: str
    ) -> _Entry | None:
        for entry in candidates:
            if entry.hash.public_id is not None:
                # A key with its checksum: no flood can be made of them, so none holds it up.
                matches = await self._defer_to_pool(partial(entry.hash.matches, key))
                return entry if matches else None
            await self._slots.take(source)
            try:
                if await self._defer_to_pool(partial(entry.hash.matches, key)):
                    return entry
            finally:
                self._slots.give_back()
        return None

    def _checked(self, found: _Entry | Failure | None, digest: bytes, asked: _Entries) -> None:
        check = self._checks.pop(digest)
        if isinstance(found, Failure):
            check.finish(found)
            return
        # The identities may have been replaced meanwhile: those of now decide.
        entry = self._entries.holding(found.hash) if found else None
        if entry is not None:
            self._seen[digest] = entry
        elif asked is self._entries:
            self._refuse(digest)
        check.finish(entry.caller if entry else None)

    def _refuse(self, digest: bytes) -> None:
        self._refused[digest] = None
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)
