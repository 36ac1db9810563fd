# SPDX-License-Identifier: Apache-2.0
"""The root of this project's errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class EdgeError(Exception):
    """
    Something that the caller can act on.

    A subclass carries data in attributes and a stable ``code``; text for people is composed from
    them in ``__str__``.  Whatever is raised and is not an `EdgeError` is a bug of ours.
    """

    #: snake_case, published in docs/, never changed once released.
    code: ClassVar[str] = "error"
    #: Where it ended a statement that had been parsed: the kind of that, and the collections that
    #: it names.  Whoever accounts for it need not parse a long text again.
    about: tuple[str, tuple[str, ...]] | None = None

    def concern(self, kind: str, collections: Iterable[str]) -> None:
        """Say which statement it ended; of a transaction, one after another."""
        before = self.about[1] if self.about is not None else ()
        # Some errors are frozen, and this is none of what they carry.
        object.__setattr__(self, "about", (kind, tuple(dict.fromkeys((*before, *collections)))))
