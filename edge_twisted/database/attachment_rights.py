# SPDX-License-Identifier: Apache-2.0
"""
Rights to name an attachment in a document.

A caller who may read a document may download the attachments that it names.  So a caller could
get any attachment by writing its token into an own document.  Writing a token therefore needs a
right to the attachment: the caller uploaded it, or may read a document that names it.
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

#: Documents naming a blob that the first query asks for; nearly always the first one suffices.
_REFERRERS: Final = 100


def may_read(
    snapshot: Snapshot, collection: str, id_key: bytes, access: Access, env: Environment
) -> bool:
    """Return whether a caller may see the document of this id key; False if there is none."""
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
    """Return whether a caller may see some document that names the blob `attachment`."""
    return any(
        may_read(snapshot, collection, id_key, access, env)
        for collection, id_key in _referrers(snapshot, attachment, env)
    )


def _referrers(
    snapshot: Snapshot, attachment: str, env: Environment
) -> Iterator[tuple[str, bytes]]:
    """Yield the documents that name a blob, all of them, in growing batches."""
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
    """The attachments that a caller without access to all documents may name in one statement."""

    _access: Access
    _env: Environment
    _allowed: set[str] = field(factory=set)

    def check(
        self, unit: Snapshot, collection: str, id_key: bytes, document: Mapping[str, Value]
    ) -> None:
        """
        Check that a caller may name the attachments that a document to be stored names.

        The attachments of the present document are allowed, because a caller who changes it may
        read it.

        :raises AttachmentForbidden: the caller has no right to one: upload it, or gain a right to
            read a document that names it.
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
