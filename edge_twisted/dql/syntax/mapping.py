# SPDX-License-Identifier: Apache-2.0
"""Trees made from trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, fields

from edge_twisted.dql.syntax.node import Node


def mapped(node: Node, change: Callable[[Node], Node]) -> Node:
    """
    Return the tree with `change` applied to every node, children first.

    A node whose children stay the same stays the same object; spans are kept.
    """
    changed: dict[str, Any] = {}
    for each in fields(type(node)):
        old = getattr(node, each.name)
        if isinstance(old, Node):
            new: Any = mapped(old, change)
        elif isinstance(old, tuple) and each.name != "span":
            new = tuple(mapped(item, change) if isinstance(item, Node) else item for item in old)
            if all(a is b for a, b in zip(new, old, strict=True)):
                new = old
        else:
            continue
        if new is not old:
            changed[each.name] = new
    return change(evolve(node, **changed) if changed else node)
