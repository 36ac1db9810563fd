# SPDX-License-Identifier: Apache-2.0
"""
Fields of a document as a statement with declared types, or with strict typing, sees them.

A declared path shows only the declared variant, even if another was written later.  Under strict
typing an undeclared path shows only its register.
"""

from __future__ import annotations

from edge_twisted.documents.nodes import (
    PathNode,
    ShownValue,
    Variant,
    is_map,
    nodes_of,
    show_map,
    show_variant,
)
from edge_twisted.documents.operations import Path, VariantRules
from edge_twisted.documents.values import Value


def fields_as(root: PathNode, rules: VariantRules) -> dict[str, Value]:
    """
    Return the fields that a statement sees of a live document, name -> value, without the id.

    :param rules: the types that the statement declares, or its strict mode.
    """
    return _fields(root, (), rules)


def _fields(node: PathNode, path: Path, rules: VariantRules) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    for name, child in node.children.items():
        found = _shown(child, (*path, name), rules)
        if found is not None:
            fields[name] = found.value
    return fields


def _shown(node: PathNode, path: Path, rules: VariantRules) -> ShownValue | None:
    variant = rules.read_as(path)
    if variant is Variant.MAP:
        return _map(node, path, rules)
    if variant is not None:
        return show_variant(node, variant)
    best = _map(node, path, rules)
    for each in node.slots:
        found = None if each is Variant.MAP else show_variant(node, each)
        if found is not None and (best is None or found.rank > best.rank):
            best = found
    return best


def _map(node: PathNode, path: Path, rules: VariantRules) -> ShownValue | None:
    """Return a map with its visible fields and the rank of the whole map."""
    whole = show_map(node)
    if whole is None:
        return None
    return ShownValue(_fields(node, path, rules), Variant.MAP, whole.rank)


def has_hidden_variants(root: PathNode) -> bool:
    """
    Return whether some path has values in two variants, of which the document shows only one.

    If no path has, a statement with types sees at each path what the document shows, or nothing.
    """
    for node in nodes_of(root):
        if not node.children and len(node.slots) == 1:
            continue
        values = [each for each in node.slots if each is not Variant.MAP]
        if len(values) + bool(node.children or Variant.MAP in node.slots) < 2:
            continue
        if sum(map(node.has_value, values)) + is_map(node) > 1:
            return True
    return False
