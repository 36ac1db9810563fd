# SPDX-License-Identifier: Apache-2.0
"""
Hidden collections: documents that a server keeps for others, beside the collections that it shows.

The hidden collection of ``c`` has a name that no statement and no subscription may use.  A store
treats it like any other where it is asked for by name, and leaves it out wherever collections are
listed or counted, attachments are looked up, or backups are made.  Keys of facts that begin with
the name of a collection begin with `PREFIX_BYTES` if they are about a hidden one, so these facts
go wherever the documents go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

PREFIX: Final = "\x01transit\x01"
PREFIX_BYTES: Final = PREFIX.encode()
#: The first name after all that begin with `PREFIX`, in the order of code points and of UTF-8.
PREFIX_END: Final = "\x01transit\x02"
#: What whoever names a hidden collection is told.
RESERVED: Final = "names of collections that begin with U+0001 'transit' U+0001 are reserved"


def hidden_name(collection: str) -> str:
    """Return the name of the hidden collection that stands beside a shown collection."""
    return PREFIX + collection


def is_hidden(name: str) -> bool:
    """Return whether this is the name of a hidden collection."""
    return name.startswith(PREFIX)


def shown_name(name: str) -> str:
    """Return the shown collection beside a hidden one; any other name as it is."""
    return name.removeprefix(PREFIX)


def shown_count(names: Iterable[str]) -> int:
    """Return how many of these names of collections are not of hidden ones."""
    return sum(not is_hidden(name) for name in names)
