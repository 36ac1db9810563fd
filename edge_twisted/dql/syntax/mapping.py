# SPDX-License-Identifier: Apache-2.0
"""Transformation of syntax trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, fields

from edge_twisted.dql.syntax.node import Node


def map_tree(node: Node, change: Callable[[Node], Node]) -> Node:
    """
    Return the tree with `change` applied to every node, children before parents.

    A node without changes below it stays the same object; spans are kept.  A chain of operators may
    be as deep as the statement is long, so the function does not recurse.
    """
    results: list[Node] = []
    #: Nodes to visit, with None; and visited nodes, with the number of their children's results.
    stack: list[tuple[Node, int | None]] = [(node, None)]
    while stack:
        each, count = stack.pop()
        if count is None:
            children = each.children()
            stack.append((each, len(children)))
            stack.extend((child, None) for child in reversed(children))
            continue
        first = len(results) - count
        made = results[first:]
        del results[first:]
        results.append(change(_with_children(each, made) if made else each))
    return results[0]


def _with_children(node: Node, made: list[Node]) -> Node:
    """Return a node with other children, given in the order of `Node.children`."""
    if all(a is b for a, b in zip(made, node.children(), strict=True)):
        return node
    following = iter(made)
    changed: dict[str, Any] = {}
    for each in fields(type(node)):
        old = getattr(node, each.name)
        if isinstance(old, Node):
            changed[each.name] = next(following)
        elif isinstance(old, tuple) and each.name != "span":
            changed[each.name] = tuple(
                next(following) if isinstance(item, Node) else item for item in old
            )
    return evolve(node, **changed)
