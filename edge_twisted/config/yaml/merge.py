# SPDX-License-Identifier: Apache-2.0
"""The merge key ``<<`` (yaml.org/type/merge.html): other objects' entries as defaults."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as MappingOf

import yaml

from edge_twisted.config.yaml.nodes import BrokenNode, Mapping, MappingEntry, Node, Sequence

MERGE = "<<"


def is_merge_key(event: yaml.Event) -> bool:
    """Return whether a key is the merge key ``<<``; in quotes it is a key like any other."""
    return isinstance(event, yaml.ScalarEvent) and event.value == MERGE and not event.style


def merge(own: MappingOf[str, MappingEntry], node: Node) -> dict[str, MappingEntry]:
    """
    Return the entries of the object `own` and, after them, those that its merge key adds.

    A key of `own` wins, then that of the earlier object of a list.

    :param node: the value of the merge key.
    :raises ValueError: `node` is neither an object nor a list of objects; report it to the user.
    """
    entries = dict(own)
    for mapping in _mappings(node):
        for key, entry in mapping.entries.items():
            entries.setdefault(key, entry)
    return entries


def _mappings(node: Node) -> Iterator[Mapping]:
    nodes = node.items if isinstance(node, Sequence) else (node,)
    for each in nodes:
        if isinstance(each, Mapping):
            yield each
        elif not isinstance(each, BrokenNode):
            raise ValueError("`<<` takes an object, or a list of objects")
