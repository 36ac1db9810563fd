# SPDX-License-Identifier: Apache-2.0
"""
What every node of a syntax tree has: fields, a span, and equality that ignores spans.

A tree is as deep as the statement is nested, and a list in it may be as long as the statement, so
nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import field, fields, frozen

from edge_twisted.dql.source import NOWHERE, Span

#: What the fields of a node hold beside nodes, tuples of nodes, and enumerations.
Scalar = None | bool | int | float | str


@frozen(eq=False, slots=True)
class Node:
    """
    A piece of a statement.

    Two nodes are equal if they say the same, wherever they stand: ``span`` takes no part.  ``1``,
    ``1.0`` and ``TRUE`` are three different things.
    """

    span: Span = field(default=NOWHERE, kw_only=True, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        return type(self) is type(other) and _signature(self) == _signature(other)

    def __hash__(self) -> int:
        return hash(_signature(self))

    def children(self) -> list[Node]:
        """Return the nodes that this node's fields hold, in the order of the text."""
        found: list[Node] = []
        for name in _field_names(type(self)):
            value = getattr(self, name)
            if isinstance(value, Node):
                found.append(value)
            elif isinstance(value, tuple):
                found.extend(item for item in value if isinstance(item, Node))
        return found

    def walk(self) -> Iterator[Node]:
        """Yield this node and everything below it, parents first, in the order of the text."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children()))


#: Filled as classes are met: looking fields up through attrs costs microseconds.
_FIELD_NAMES: Final[dict[type[Node], tuple[str, ...]]] = {}


def _field_names(kind: type[Node]) -> tuple[str, ...]:
    """Return the names of the fields that say something."""
    names = _FIELD_NAMES.get(kind)
    if names is None:
        names = tuple(each.name for each in fields(kind) if each.name != "span")
        _FIELD_NAMES[kind] = names
    return names


def _signature(node: Node) -> tuple[object, ...]:
    """Return a flat tuple that is equal for equal trees, and only for them."""
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
            # The type keeps 1 from equalling TRUE, the text 0.0 from equalling -0.0.
            parts.append((type(item), repr(item) if type(item) is float else item))
    return tuple(parts)
