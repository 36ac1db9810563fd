# SPDX-License-Identifier: Apache-2.0
"""Operations on the fields of a document, and the variants that a statement declares."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from attrs import frozen

from edge_twisted.documents.attachments import is_token
from edge_twisted.documents.nodes import Variant
from edge_twisted.documents.values import Value
from edge_twisted.errors import Culprit, EdgeError

Path = tuple[str, ...]


class InvalidWrite(EdgeError):
    """The operation does not fit the document or its declared types; nothing was changed."""

    code: ClassVar[str] = "invalid_write"
    culprit = Culprit.CALLER

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@frozen
class Set:
    """Set a field to a value; an object that is written as a MAP is merged key by key."""

    path: Path
    value: Value


@frozen
class Unset:
    """Remove a field in all its variants, with everything below it."""

    path: Path


@frozen
class Increment:
    """Add to a COUNTER, or to a PN_COUNTER if `pn`; an absent counter begins at 0."""

    path: Path
    amount: Value
    pn: bool = False


@frozen
class Restart:
    """Restart a COUNTER at a number, dropping all increments so far."""

    path: Path
    start: Value = 0


Operation = Set | Unset | Increment | Restart


@frozen(kw_only=True)
class VariantRules:
    """
    The rules by which a statement chooses the variant of each path.

    A declared path has the declared variant.  At an undeclared path, an object is a MAP, a token
    an ATTACHMENT and anything else a REGISTER; under `strict` everything is a REGISTER.
    """

    declared: Mapping[Path, Variant] = MappingProxyType({})
    strict: bool = False

    def variant(self, path: Path, value: Value) -> Variant:
        """Return the variant (register, map ...) as which a value is written to a path."""
        found = self.declared.get(path)
        if found is not None:
            return found
        if self.strict or not isinstance(value, dict):
            return Variant.REGISTER
        return Variant.ATTACHMENT if is_token(value) else Variant.MAP

    def read_as(self, path: Path) -> Variant | None:
        """Return the only variant that a path shows; None for the one with the latest write."""
        found = self.declared.get(path)
        return Variant.REGISTER if found is None and self.strict else found

    def check_above(self, path: Path) -> None:
        """
        Check that every field above a path may be a MAP.

        :raises InvalidWrite: a field above the path is declared, or read strictly, as another type.
        """
        for length in range(1, len(path)):
            variant = self.declared.get(path[:length])
            if variant is None and not self.strict:
                continue
            if variant is not Variant.MAP:
                name = (variant or Variant.REGISTER).name
                field = ".".join(path[:length])
                raise InvalidWrite(f'Unsupported DML operation on {name} field "{field}"')

    def check_counter(self, path: Path, variant: Variant) -> None:
        """
        Check that a path may be a counter of this variant.

        :raises InvalidWrite: the path is declared, or read strictly, as another type.
        """
        declared = self.declared.get(path)
        if declared is None and self.strict:
            declared = Variant.REGISTER
        if declared not in (None, variant):
            assert declared is not None
            field = ".".join(path)
            raise InvalidWrite(f'Unsupported DML operation on {declared.name} field "{field}"')


UNTYPED: Final = VariantRules()
