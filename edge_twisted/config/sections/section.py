# SPDX-License-Identifier: Apache-2.0
"""
Typed access to one object of a valid file, completed with the defaults of the schema.

A null where the schema allows one means the default, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import field, frozen

from edge_twisted.config.schema import Schema, as_object, default_of, property_of, schema
from edge_twisted.config.yaml.nodes import Plain

MEBIBYTE: Final = 2**20
_NOTHING: Final[Mapping[str, Plain]] = {}


@frozen
class Section:
    """The object `data` of the file, which `part` of the schema is about."""

    data: Mapping[str, Plain] = field(repr=False)  # it may hold secrets
    part: Schema

    @classmethod
    def whole(cls, data: Plain) -> Section:
        """Return the whole file."""
        return cls(data if isinstance(data, dict) else _NOTHING, schema())

    def __contains__(self, key: str) -> bool:
        return self.data.get(key) is not None

    def value(self, key: str) -> Plain:
        """Return what is at `key`, else its default, else None."""
        found = self.data.get(key)
        return default_of(property_of(self.part, key)) if found is None else found

    def text(self, key: str) -> str:
        """Return the text at `key`, which is required or has a default."""
        value = self.value(key)
        assert isinstance(value, str), key
        return value

    def flag(self, key: str) -> bool:
        """Return the truth value at `key`, which is required or has a default."""
        value = self.value(key)
        assert isinstance(value, bool), key
        return value

    def optional_flag(self, key: str) -> bool | None:
        """Return the truth value at `key`, None if there is none."""
        return self.flag(key) if key in self else None

    def number(self, key: str) -> float:
        """Return the number at `key`, which is required or has a default."""
        value = self.value(key)
        assert isinstance(value, int | float), key
        return value

    def integer(self, key: str) -> int:
        """Return the whole number at `key`, which may be written as 2.0."""
        return int(self.number(key))

    def optional_integer(self, key: str) -> int | None:
        """Return the whole number at `key`, None if there is none."""
        return self.integer(key) if key in self else None

    def mebibytes(self, key: str) -> int:
        """Return the bytes of the size at `key`, which is in units of 2^20 bytes; at least one."""
        return max(1, int(self.number(key) * MEBIBYTE))

    def items(self, key: str) -> Sequence[Plain]:
        """Return the list at `key`, which is required or has a default."""
        value = self.value(key)
        assert isinstance(value, list), key
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the list of texts at `key`."""
        return tuple(str(each) for each in self.items(key))

    def section(self, key: str) -> Section:
        """Return the object at `key`; without it, one that has all the defaults."""
        value = self.data.get(key)
        found = value if isinstance(value, dict) else _NOTHING
        return Section(found, as_object(property_of(self.part, key)))

    def objects(self, key: str) -> tuple[Section, ...]:
        """Return the objects of the list at `key`."""
        part = as_object(property_of(self.part, key)["items"])
        return tuple(Section(each, part) for each in self.items(key) if isinstance(each, dict))

    def sections(self, key: str) -> Mapping[str, Section]:
        """Return the objects of the object at `key`, whose keys are the author's names."""
        below = self.section(key)
        part = as_object(below.part["additionalProperties"])
        return {
            name: Section(value, part)
            for name, value in below.data.items()
            if isinstance(value, dict)
        }
