# SPDX-License-Identifier: Apache-2.0
"""Errors of statements that compiled, one class for each kind."""

from __future__ import annotations

from typing import ClassVar

from edge_twisted.documents.json_text import to_text
from edge_twisted.documents.values import Value
from edge_twisted.errors import Culprit, EdgeError


class IdConflict(EdgeError):
    """INSERT found a document with the id; choose an ON ID CONFLICT policy."""

    code: ClassVar[str] = "id_conflict"
    culprit = Culprit.CALLER

    def __init__(self, id_: Value) -> None:
        super().__init__(id_)
        self.id = id_

    def __str__(self) -> str:
        shown = to_text(self.id).decode("utf-8")
        return f"Identifier conflict on document {shown}: using FAIL conflict policy"


class DuplicateIds(EdgeError):
    """One INSERT has two documents with the same id; remove one of them."""

    code: ClassVar[str] = "duplicate_ids"
    culprit = Culprit.CALLER

    def __str__(self) -> str:
        return "Expected unique document identifiers"


class NotADocument(EdgeError):
    """A value to be inserted is no object."""

    code: ClassVar[str] = "not_a_document"
    culprit = Culprit.CALLER

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind

    def __str__(self) -> str:
        return f"Expected a document (an object), found {self.kind}"


class DocumentTooLarge(EdgeError):
    """A document is larger than the hard limit; nothing was stored."""

    code: ClassVar[str] = "document_too_large"
    culprit = Culprit.CALLER

    def __init__(self, id_: Value, size: int, limit: int) -> None:
        super().__init__(id_, size, limit)
        self.id, self.size, self.limit = id_, size, limit

    def __str__(self) -> str:
        shown = to_text(self.id).decode("utf-8")
        return (
            f"Document `_id = {shown}` size is {self.size} bytes and exceeds limit of "
            f"{self.limit} bytes"
        )


class StatementForbidden(EdgeError):
    """The identity may not do this; an administrator can grant the permission."""

    code: ClassVar[str] = "forbidden"
    culprit = Culprit.CALLER

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"not permitted: {self.what}"


class AttachmentForbidden(EdgeError):
    """The identity may not name the attachment; upload it, or read a document that names it."""

    code: ClassVar[str] = "attachment_forbidden"
    culprit = Culprit.CALLER

    def __init__(self, attachment: str) -> None:
        super().__init__(attachment)
        self.attachment = attachment

    def __str__(self) -> str:
        return (
            f"not permitted: naming the attachment {self.attachment}, which you did not upload "
            "here, and which no document names that you may read; upload it first"
        )
