# SPDX-License-Identifier: Apache-2.0
"""The root of this project's errors."""

from __future__ import annotations

from typing import ClassVar


class EdgeError(Exception):
    """
    Something that the caller can act on.

    A subclass carries data in attributes and a stable ``code``; text for people is composed from
    them in ``__str__``.  Whatever is raised and is not an `EdgeError` is a bug of ours.
    """

    #: snake_case, published in docs/, never changed once released.
    code: ClassVar[str] = "error"
