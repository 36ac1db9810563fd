# SPDX-License-Identifier: Apache-2.0
"""
Who may name a blob in a document.

Whoever may read a document may download the blobs that it names, so a token in a document of
one's own is as good as the blob.  Writing one therefore needs a right to the blob already: to have
uploaded it, or to read a document that names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from attrs import define, field

from edge_twisted.database.errors import AttachmentForbidden, StatementForbidden
from edge_twisted.database.permissions import Access, compile_rule, read_rule
from edge_twisted.documents.attachments import tokens_in
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment
from edge_twisted.records.documents import document_of
from edge_twisted.store.blobs.ledger import uploaders
from edge_twisted.store.interface import Snapshot

#: Documents that name a blob, looked at in the first go; nearly always the first one will do.
_REFERRERS: Final = 100


def may_read(
    snapshot: Snapshot, collection: str, id_key: bytes, access: Access, env: Environment
) -> bool:
    """Return whether a caller may see a document."""
    text = snapshot.body(collection, id_key)
    if text is None:
        return False
    try:
        rule = read_rule(access, syntax.CollectionRef(None, collection))
    except StatementForbidden:
        return False
    test = compile_rule(rule, access.identity, env)
    return test is None or test(document_of(text))


def may_read_name(snapshot: Snapshot, attachment: str, access: Access, env: Environment) -> bool:
    """Return whether a caller may see a document that names a blob."""
    return any(
        may_read(snapshot, collection, id_key, access, env)
        for collection, id_key in _referrers(snapshot, attachment, env)
    )


def _referrers(
    snapshot: Snapshot, attachment: str, env: Environment
) -> Iterator[tuple[str, bytes]]:
    """Yield all documents that name a blob, which may be many."""
    done, limit = 0, _REFERRERS
    while True:
        found = snapshot.referrers(attachment, limit=limit)
        for each in found[done:]:
            env.spend(1)
            yield each
        if len(found) < limit:
            return
        done, limit = limit, 10 * limit


@define
class AttachmentRights:
    """Which blobs the caller of one statement, who may not read everything, may name."""

    _access: Access
    _env: Environment
    _allowed: set[str] = field(factory=set)

    def check(
        self, unit: Snapshot, collection: str, id_key: bytes, document: Mapping[str, Value]
    ) -> None:
        """
        Return if a document may be stored with the tokens that it holds.

        What the document names as it is stored now, it may go on naming: whoever changes it may
        read it.

        :raises AttachmentForbidden: it names a blob that its writer has no right to.
        """
        named = [each for each in tokens_in(dict(document)) if each not in self._allowed]
        if not named:
            return
        before = unit.body(collection, id_key)
        kept = set() if before is None else set(tokens_in(document_of(before)))
        for each in named:
            if each not in kept and not self._may_name(unit, each):
                raise AttachmentForbidden(each)
        self._allowed.update(named)

    def _may_name(self, unit: Snapshot, attachment: str) -> bool:
        if self._access.identity in uploaders(unit, attachment):
            return True
        return may_read_name(unit, attachment, self._access, self._env)
