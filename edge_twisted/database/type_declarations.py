# SPDX-License-Identifier: Apache-2.0
"""What a statement's type declarations and the strict mode parameters mean for it."""

from __future__ import annotations

from functools import lru_cache

from edge_twisted.database.system_parameters import ParameterValues
from edge_twisted.documents.nodes import Variant
from edge_twisted.documents.operations import UNTYPED, Path, VariantRules
from edge_twisted.dql import syntax


def reads_of(collection: syntax.CollectionRef, parameters: ParameterValues) -> VariantRules:
    """Return how a statement reads a collection: strictly unless a switch says otherwise."""
    if collection.namespace == "system":
        return UNTYPED
    return _typing(collection.declarations, parameters.reads_strictly)


def writes_of(collection: syntax.CollectionRef, parameters: ParameterValues) -> VariantRules:
    """
    Return how a statement writes: under strict mode what is undeclared is a REGISTER.

    ``dql_object_default`` makes it a MAP again, where reading infers types too.
    """
    return _typing(collection.declarations, parameters.writes_strictly)


def _typing(declarations: tuple[syntax.FieldDeclaration, ...], strict: bool) -> VariantRules:
    if not declarations:
        return _STRICT if strict else UNTYPED
    return _declared(declarations, strict)


_STRICT = VariantRules(strict=True)


@lru_cache(maxsize=256)
def _declared(declarations: tuple[syntax.FieldDeclaration, ...], strict: bool) -> VariantRules:
    declared: dict[Path, Variant] = {}
    waiting: list[tuple[Path, syntax.FieldDeclaration]] = [((), each) for each in declarations]
    while waiting:
        above, each = waiting.pop()
        path = (*above, *each.path.names)
        declared[path] = Variant[each.type.name]
        waiting.extend((path, inner) for inner in each.fields)
    if strict:
        # Who declares a field inside an object says that the object is a MAP.
        for path in list(declared):
            for length in range(1, len(path)):
                declared.setdefault(path[:length], Variant.MAP)
    return VariantRules(declared=declared, strict=strict)
