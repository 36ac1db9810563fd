# SPDX-License-Identifier: Apache-2.0
"""
Rows of some fields of documents, which a store makes as JSON text without decoding a body.

A field has a name and a path, of ASCII letters, digits and ``_`` alone; where the path leads
nowhere, the row lacks the field.  A body that is not literal (`edge_twisted.documents.json_text`)
stays as it is: the caller decodes it and makes the row.
"""

from __future__ import annotations

from edge_twisted.documents.json_text import from_text, is_literal, to_text
from edge_twisted.documents.values import MISSING
from edge_twisted.store.keys import at

#: (name, path) of each, in the order of the row.
Fields = tuple[tuple[str, tuple[str, ...]], ...]


def row_of(body: bytes, fields: Fields) -> bytes:
    """
    Return a row as JSON text: an object of the chosen fields of one stored document.

    Fields that the document lacks are left out.  A body that is no plain JSON is returned whole.
    This is the definition of what a store makes in SQL.

    :param fields: (name in the row, path in the document) of each, in the order of the row.
    """
    if not is_literal(body):
        return body
    document = from_text(body)
    found = ((name, at(document, path)) for name, path in fields)
    parts = (b'"%b":%b' % (n.encode(), to_text(v)) for n, v in found if v is not MISSING)
    return b"{%b}" % b",".join(parts)
