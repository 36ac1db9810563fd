# SPDX-License-Identifier: Apache-2.0
"""The root of this project's errors."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import ClassVar


class Culprit(Enum):
    """Who has to change something, as this server sees it."""

    #: Links come and go, and work is called off; nothing is logged at `warning`.
    NOBODY = "nobody"
    #: Whoever called with the statement, value or request: correct it.
    CALLER = "caller"
    #: The configuration, a file, the disk's space or a clock has to be mended.
    OPERATOR = "operator"
    #: Another server of the mesh does what no correct server does.
    PEER = "peer"
    #: This server failed, or has too much to do; the same may succeed later.
    OURSELVES = "ourselves"


class EdgeError(Exception):
    """
    Something that the caller can act on.

    A subclass carries data in attributes, a stable ``code``, and who is at fault; text for people
    is composed from them in ``__str__``.  Whatever is raised and is not an `EdgeError` is a bug of
    ours.
    """

    #: snake_case, published in docs/, never changed once released.
    code: ClassVar[str] = "error"
    #: Who is at fault.  An error that wraps another one has that of its class, not of the cause.
    culprit: ClassVar[Culprit] = Culprit.OURSELVES
    #: Where it ended a statement that had been parsed: the kind of that, and the collections that
    #: it names.  Whoever accounts for it need not parse a long text again.
    about: tuple[str, tuple[str, ...]] | None = None

    def concern(self, kind: str, collections: Iterable[str]) -> None:
        """Say which statement it ended; of a transaction, one after another."""
        before = self.about[1] if self.about is not None else ()
        # Some errors are frozen, and this is none of what they carry.
        object.__setattr__(self, "about", (kind, tuple(dict.fromkeys((*before, *collections)))))
