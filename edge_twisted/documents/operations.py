# SPDX-License-Identifier: Apache-2.0
"""What can be done to the fields of a document, and what types its statement declares."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from attrs import frozen

from edge_twisted.documents.attachments import is_token
from edge_twisted.documents.nodes import Variant
from edge_twisted.documents.values import Value
from edge_twisted.errors import EdgeError

Path = tuple[str, ...]


class InvalidWrite(EdgeError):
    """The operation cannot be done to a document; nothing was changed."""

    code: ClassVar[str] = "invalid_write"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@frozen
class Set:
    """Give a field a value.  An object that becomes a MAP is merged, key by key."""

    path: Path
    value: Value


@frozen
class Unset:
    """Remove a field in all its variants, and what is below it."""

    path: Path


@frozen
class Increment:
    """Add to a COUNTER (or, as `pn`, to a PN_COUNTER), which begins at 0 if it is not there."""

    path: Path
    amount: Value
    pn: bool = False


@frozen
class Restart:
    """Begin a COUNTER anew."""

    path: Path
    start: Value = 0


Operation = Set | Unset | Increment | Restart


@frozen(kw_only=True)
class VariantRules:
    """
    Which variant a statement means, path by path.

    Undeclared, an object is a MAP, a token an ATTACHMENT, all else a REGISTER; under `strict` all
    that is undeclared is a REGISTER.
    """

    declared: Mapping[Path, Variant] = MappingProxyType({})
    strict: bool = False

    def variant(self, path: Path, value: Value) -> Variant:
        """Return the variant that writing a value to a path writes."""
        found = self.declared.get(path)
        if found is not None:
            return found
        if self.strict or not isinstance(value, dict):
            return Variant.REGISTER
        return Variant.ATTACHMENT if is_token(value) else Variant.MAP

    def read_as(self, path: Path) -> Variant | None:
        """Return the only variant that reading a path shows; None: the one written last."""
        found = self.declared.get(path)
        return Variant.REGISTER if found is None and self.strict else found

    def check_above(self, path: Path) -> None:
        """:raises InvalidWrite: the path leads through a field that is no MAP to the statement."""
        for length in range(1, len(path)):
            variant = self.declared.get(path[:length])
            if variant is None and not self.strict:
                continue
            if variant is not Variant.MAP:
                name = (variant or Variant.REGISTER).name
                field = ".".join(path[:length])
                raise InvalidWrite(f'Unsupported DML operation on {name} field "{field}"')

    def check_counter(self, path: Path, variant: Variant) -> None:
        """:raises InvalidWrite: the path is declared as something other than this counter."""
        declared = self.declared.get(path)
        if declared is None and self.strict:
            declared = Variant.REGISTER
        if declared not in (None, variant):
            assert declared is not None
            field = ".".join(path)
            raise InvalidWrite(f'Unsupported DML operation on {declared.name} field "{field}"')


UNTYPED: Final = VariantRules()
