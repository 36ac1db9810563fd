# SPDX-License-Identifier: Apache-2.0
"""
What a document shows to a statement that declares types, or reads strictly.

A declared path shows that variant alone, however late another was written; under strict reading a
path that is not declared shows its register alone.
"""

from __future__ import annotations

from edge_twisted.documents.nodes import (
    PathNode,
    Shown,
    Variant,
    is_map,
    nodes_of,
    shown_as,
    shown_map,
)
from edge_twisted.documents.operations import Path, VariantRules
from edge_twisted.documents.values import Value


def fields_as(root: PathNode, typing: VariantRules) -> dict[str, Value]:
    """Return the fields of a live document, without its id, as `typing` shows them."""
    return _fields(root, (), typing)


def _fields(node: PathNode, path: Path, typing: VariantRules) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    for name, child in node.children.items():
        found = _shown(child, (*path, name), typing)
        if found is not None:
            fields[name] = found.value
    return fields


def _shown(node: PathNode, path: Path, typing: VariantRules) -> Shown | None:
    variant = typing.read_as(path)
    if variant is Variant.MAP:
        return _map(node, path, typing)
    if variant is not None:
        return shown_as(node, variant)
    best = _map(node, path, typing)
    for each in node.slots:
        found = None if each is Variant.MAP else shown_as(node, each)
        if found is not None and (best is None or found.rank > best.rank):
            best = found
    return best


def _map(node: PathNode, path: Path, typing: VariantRules) -> Shown | None:
    """Return the map with what may be seen of it; it is as late as the whole of it."""
    whole = shown_map(node)
    if whole is None:
        return None
    return Shown(_fields(node, path, typing), Variant.MAP, whole.rank)


def has_hidden_variants(root: PathNode) -> bool:
    """
    Return whether some path holds two variants at once, of which the document shows one.

    Where none does, a typed reading sees at each path what the document shows, or nothing.
    """
    for node in nodes_of(root):
        if not node.children and len(node.slots) == 1:
            continue
        values = [each for each in node.slots if each is not Variant.MAP]
        if len(values) + bool(node.children or Variant.MAP in node.slots) < 2:
            continue
        if sum(map(node.is_there, values)) + is_map(node) > 1:
            return True
    return False
