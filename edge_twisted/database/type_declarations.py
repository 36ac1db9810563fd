# SPDX-License-Identifier: Apache-2.0
"""Types of a statement: from its declarations and the system parameters of strict mode."""

from __future__ import annotations

from functools import lru_cache

from edge_twisted.database.system_parameters import ParameterValues
from edge_twisted.documents.nodes import Variant
from edge_twisted.documents.operations import UNTYPED, Path, VariantRules
from edge_twisted.dql import syntax


def reads_of(collection: syntax.CollectionRef, parameters: ParameterValues) -> VariantRules:
    """
    Return the types with which a statement reads a collection; `UNTYPED` for virtual ones.

    In strict mode an undeclared field is a REGISTER.
    """
    if collection.namespace == "system":
        return UNTYPED
    return _types_of(collection.declarations, parameters.reads_strictly)


def writes_of(collection: syntax.CollectionRef, parameters: ParameterValues) -> VariantRules:
    """
    Return the types with which a statement writes a collection.

    In strict mode an undeclared field is a REGISTER.  With ``dql_object_default = MAP`` an object
    is a MAP, if reads infer types too (``dql_select_strict_mode`` is off).
    """
    return _types_of(collection.declarations, parameters.writes_strictly)


def _types_of(declarations: tuple[syntax.FieldDeclaration, ...], strict: bool) -> VariantRules:
    if not declarations:
        return _STRICT if strict else UNTYPED
    return _declare(declarations, strict)


_STRICT = VariantRules(strict=True)


@lru_cache(maxsize=256)
def _declare(declarations: tuple[syntax.FieldDeclaration, ...], strict: bool) -> VariantRules:
    declared: dict[Path, Variant] = {}
    waiting: list[tuple[Path, syntax.FieldDeclaration]] = [((), each) for each in declarations]
    while waiting:
        above, each = waiting.pop()
        path = (*above, *each.path.names)
        declared[path] = Variant[each.type.name]
        waiting.extend((path, inner) for inner in each.fields)
    if strict:
        # A declared field inside an object implies that the object is a MAP.
        for path in list(declared):
            for length in range(1, len(path)):
                declared.setdefault(path[:length], Variant.MAP)
    return VariantRules(declared=declared, strict=strict)
