# SPDX-License-Identifier: Apache-2.0
"""
Nodes of a YAML file, each with its position.

Nodes are shared where the file has aliases.  `size` (nodes) and `height` (levels) are those of the
expanded tree, so limits on them also bound code that walks the tree without looking at sharing.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Final

from attrs import field, frozen

from edge_twisted.config.problems import FilePosition, KeyPath

#: More levels than any configuration needs, and few enough for recursive code.
MAX_DEPTH: Final = 50

#: A value of the file without its position: the values of JSON.
Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


@frozen(kw_only=True)
class Text:
    """Spelling of a scalar, to find a place inside it: the position after its end, its style."""

    end: FilePosition
    #: None for plain, else the character that begins it: ``'``, ``"``, ``|`` or ``>``.
    style: str | None


@frozen(kw_only=True)
class Scalar:
    """A text, number, truth value or null."""

    position: FilePosition
    value: bool | int | float | str | None = field(repr=False)
    text: Text
    size: int = 1
    height: int = 1


@frozen(kw_only=True)
class Sequence:
    """A list."""

    position: FilePosition
    items: tuple[Node, ...]
    size: int
    height: int


@frozen(kw_only=True)
class MappingEntry:
    """One key of a mapping: its position and its value."""

    key_position: FilePosition
    node: Node


@frozen(kw_only=True)
class Mapping:
    """An object; entries from merge keys come after its own."""

    position: FilePosition
    entries: MappingOf[str, MappingEntry]
    size: int
    height: int


@frozen(kw_only=True)
class BrokenNode:
    """A value with a reported problem, about which nothing more is to be reported."""

    position: FilePosition
    size: int = 1
    height: int = 1


Node = Scalar | Sequence | Mapping | BrokenNode


def plain(node: Node) -> Plain:
    """Return the value of `node` as JSON values; a broken node is None."""
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [plain(item) for item in node.items]
        case Mapping():
            return {key: plain(entry.node) for key, entry in node.entries.items()}
        case BrokenNode():
            return None


@frozen
class YamlDocument:
    """A whole file as its root node, with the positions of paths."""

    root: Node

    def node(self, path: KeyPath) -> Node | None:
        """Return the node at `path`, None if there is none."""
        node: Node | None = self.root
        for step in path:
            node = _child(node, step)
        return node

    def value_position(self, path: KeyPath) -> FilePosition:
        """Return where the value at `path` begins; if absent, where its nearest ancestor does."""
        node: Node = self.root
        for step in path:
            below = _child(node, step)
            if below is None:
                break
            node = below
        return node.position

    def key_position(self, path: KeyPath) -> FilePosition:
        """
        Return where the entry at `path` begins: its key, or its item in a list.

        For the empty path that is the beginning of the document, for an absent entry as in
        `value_position`.
        """
        if path and isinstance(path[-1], str):
            parent = self.node(path[:-1])
            if isinstance(parent, Mapping) and path[-1] in parent.entries:
                return parent.entries[path[-1]].key_position
        return self.value_position(path)

    def is_broken(self, path: KeyPath) -> bool:
        """Tell whether `path` is at or below a `BrokenNode`."""
        node: Node | None = self.root
        for step in path:
            if isinstance(node, BrokenNode):
                return True
            node = _child(node, step)
        return isinstance(node, BrokenNode)


def _child(node: Node | None, step: str | int) -> Node | None:
    if isinstance(node, Mapping) and isinstance(step, str):
        entry = node.entries.get(step)
        return None if entry is None else entry.node
    if isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None
