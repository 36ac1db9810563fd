# SPDX-License-Identifier: Apache-2.0
"""
Permissions of an identity: the union of its permission sets.

A set says which endpoints it opens, which statements may run there, and which documents of which
collections they may read and write.  The sets of an identity add up endpoint by endpoint: a set
that opens `presence` alone adds nothing to what `execute` shows.  Conditions are DQL texts, which
`database` compiles and applies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from attrs import field, frozen

from edge_twisted.config.model import CollectionRule, FineGrained, IdentityConfig, Permissions

#: All documents, none, or those that meet at least one of these conditions.
Rule = bool | tuple[str, ...]

READING: Final = frozenset({"select", "explain", "profile", "show"})
CHANGING: Final = frozenset({"insert", "update", "delete", "evict"})
#: Statements that `data` permits; all other kinds need `full`.
ORDINARY: Final = READING | CHANGING | {"advise"}

#: Endpoints that touch documents; a set without `endpoints` opens these.
DOCUMENT_ENDPOINTS: Final = frozenset({"execute", "attachments_upload", "attachments_download"})
ENDPOINTS: Final = DOCUMENT_ENDPOINTS | {"presence", "metrics", "logs"}

#: Virtual collections that tell nothing about the server or its callers.
OPEN_SYSTEM_COLLECTIONS: Final = frozenset(
    {
        "system:dual",
        "system:indexes",
        "system:collections",
        "system:data_sync_info",
        # The older spelling of system:collections.
        "__collections",
    }
)
_EVERY_COLLECTION: Final = "*"


@frozen(kw_only=True)
class _Grant:
    """One permission set in a form common to all kinds; None means no restriction."""

    endpoints: frozenset[str] | None
    verbs: frozenset[str] | None
    #: None: everything in every collection.
    collections: dict[str, CollectionRule] | None
    system: bool = False

    @classmethod
    def of(cls, permissions: Permissions) -> _Grant:
        """Return the grant of one permission set: a named one, or fine-grained rules."""
        match permissions:
            case "full":
                return cls(endpoints=None, verbs=None, collections=None, system=True)
            case "data":
                return cls(endpoints=ENDPOINTS - {"logs"}, verbs=ORDINARY, collections=None)
            case "read_only":
                return cls(
                    endpoints=frozenset({"execute", "attachments_download", "presence"}),
                    verbs=READING,
                    collections={_EVERY_COLLECTION: CollectionRule(read=True)},
                )
            case FineGrained(endpoints=named, collections=rules):
                return cls(
                    endpoints=DOCUMENT_ENDPOINTS if named is None else frozenset(named),
                    verbs=ORDINARY,
                    collections=None if rules is None else dict(rules),
                )

    def opens(self, endpoint: str) -> bool:
        """Return whether the grant admits to an endpoint."""
        return self.endpoints is None or endpoint in self.endpoints

    def rule(self, collection: str) -> CollectionRule:
        """Return the grant's rule for a collection, else the one for every collection."""
        if self.collections is None:
            return _EVERYTHING
        named = self.collections.get(collection)
        return named or self.collections.get(_EVERY_COLLECTION, _NOTHING)


_EVERYTHING: Final = CollectionRule(read=True, write=True)
_NOTHING: Final = CollectionRule()


@frozen
class Access:
    """
    Permissions of statements that arrive at one endpoint.

    `identity` is the value of ``:identity`` in conditions, None under ``auth: dev_mode``.
    Collections are named as in statements, without ``default:``.
    """

    identity: str | None
    _grants: tuple[_Grant, ...]
    #: Whether everything is permitted, so that callers can skip all rules.
    is_full: bool = field(init=False, eq=False, repr=False)
    #: Whether every document may be read, `system:` collections apart.
    reads_all: bool = field(init=False, eq=False, repr=False)

    @is_full.default
    def _is_full(self) -> bool:
        return any(grant.system for grant in self._grants)

    @reads_all.default
    def _reads_all(self) -> bool:
        named = {name for grant in self._grants for name in grant.collections or ()}
        return all(self.read(name) is True for name in (_EVERY_COLLECTION, *named))

    @property
    def is_nothing(self) -> bool:
        """Whether the identity may not use the endpoint at all."""
        return not self._grants

    def may_verb(self, verb: str) -> bool:
        """
        Tell whether statements of this kind (a `queryType`) may run.

        For PROFILE, callers also check the statement that it profiles; for ADVISE AND PROVISION,
        they check `create_index`.
        """
        return any(grant.verbs is None or verb in grant.verbs for grant in self._grants)

    def read(self, collection: str) -> Rule:
        """Return which documents of a collection may be read.

        True: all; False: none; else conditions in DQL, one of which a document must meet.
        Collections of the system have only True or False.
        """
        if _is_system(collection):
            return self.is_full or (bool(self._grants) and collection in OPEN_SYSTEM_COLLECTIONS)
        return _any(grant.rule(collection).read for grant in self._grants)

    def write(self, collection: str) -> Rule:
        """Return which documents of a collection may be written, before and after the change.

        True: all; False: none; else conditions in DQL, one of which a document must meet.
        """
        if _is_system(collection):
            return self.is_full
        return _any(grant.rule(collection).write for grant in self._grants)


@frozen
class Permits:
    """All permissions of one identity; `identity` is None under ``auth: dev_mode``."""

    identity: str | None
    _grants: tuple[_Grant, ...]
    #: Cache by endpoint, because every request asks.
    _accesses: dict[str, Access] = field(init=False, factory=dict, eq=False, repr=False)

    @classmethod
    def of(cls, identity: IdentityConfig) -> Permits:
        """Add up the permission sets of an identity: what one of them permits is permitted."""
        return cls(identity.id, _grants(identity.permissions))

    @classmethod
    def everything(cls) -> Permits:
        """Return the permissions of every caller under ``auth: dev_mode``."""
        return cls(None, _grants(["full"]))

    @property
    def is_full(self) -> bool:
        """Whether everything is permitted, audit logs included."""
        return any(grant.system for grant in self._grants)

    def may(self, endpoint: str) -> bool:
        """
        Tell whether the identity may use an endpoint: a key of `http_api`, or ``metrics``.

        For ``/transaction``, callers check ``execute``.
        """
        return not self.access(endpoint).is_nothing

    def access(self, endpoint: str) -> Access:
        """Return the permissions of statements at an endpoint; none if the endpoint is closed."""
        found = self._accesses.get(endpoint)
        if found is None:
            opening = tuple(g for g in self._grants if g.opens(endpoint))
            found = self._accesses[endpoint] = Access(self.identity, opening)
        return found


def _grants(permissions: Sequence[Permissions]) -> tuple[_Grant, ...]:
    return tuple(_Grant.of(each) for each in permissions)


def _is_system(collection: str) -> bool:
    return collection.startswith("system:") or collection in OPEN_SYSTEM_COLLECTIONS


def _any(rules: Iterable[bool | str]) -> Rule:
    """Return the union of several sets' rules for one collection."""
    conditions: dict[str, None] = {}
    for rule in rules:
        if rule is True:
            return True
        if rule is not False:
            conditions[rule] = None
    return tuple(conditions) or False
