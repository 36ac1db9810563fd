# SPDX-License-Identifier: Apache-2.0
"""Callers of a database for tests and benches."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from edge_twisted.database.permissions import Rule


@frozen
class Everything:
    """A caller who may do all."""

    identity: str | None = None
    is_full: bool = True
    reads_all: bool = True

    def may_verb(self, verb: str) -> bool:
        """Yes."""
        return True

    def read(self, collection: str) -> Rule:
        """Everything."""
        return True

    def write(self, collection: str) -> Rule:
        """Everything."""
        return True


EVERYTHING: Final = Everything()
