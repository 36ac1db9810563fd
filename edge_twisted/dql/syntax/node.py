# SPDX-License-Identifier: Apache-2.0
"""
The base of all nodes of a syntax tree: a span, children, and equality that ignores spans.

A chain of operators may be as deep as the statement is long, so no function here recurses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import field, fields, frozen

from edge_twisted.dql.source import NOWHERE, Span

#: The scalar values in fields of a node, beside nodes, tuples of nodes and enumerations.
Scalar = None | bool | int | float | str


@frozen(eq=False, slots=True)
class Node:
    """
    A node of a syntax tree.

    Two nodes are equal if they have the same type and content, regardless of ``span``.  ``1``,
    ``1.0`` and ``TRUE`` are three different nodes.
    """

    span: Span = field(default=NOWHERE, kw_only=True, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        return type(self) is type(other) and _signature(self) == _signature(other)

    def __hash__(self) -> int:
        return hash(_signature(self))

    def children(self) -> list[Node]:
        """Return the nodes right below this one, in the order of the text."""
        found: list[Node] = []
        for name in _field_names(type(self)):
            value = getattr(self, name)
            if isinstance(value, Node):
                found.append(value)
            elif isinstance(value, tuple):
                found.extend(item for item in value if isinstance(item, Node))
        return found

    def walk(self) -> Iterator[Node]:
        """Yield this node and all nodes below it, parents first, in the order of the text."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children()))


#: A cache by class: a look-up through attrs takes microseconds.
_FIELD_NAMES: Final[dict[type[Node], tuple[str, ...]]] = {}


def _field_names(kind: type[Node]) -> tuple[str, ...]:
    """Return the names of a node's fields, except ``span``."""
    names = _FIELD_NAMES.get(kind)
    if names is None:
        names = tuple(each.name for each in fields(kind) if each.name != "span")
        _FIELD_NAMES[kind] = names
    return names


def _signature(node: Node) -> tuple[object, ...]:
    """Return a flat tuple that is equal if and only if the trees are."""
    parts: list[object] = []
    stack: list[object] = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, Node):
            kind = type(item)
            parts.append(kind)
            stack.extend(getattr(item, name) for name in _field_names(kind))
        elif isinstance(item, tuple):
            parts.append((tuple, len(item)))
            stack.extend(item)
        else:
            # The type tells 1 from TRUE, the text tells 0.0 from -0.0.
            parts.append((type(item), repr(item) if type(item) is float else item))
    return tuple(parts)
