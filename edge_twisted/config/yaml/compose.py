# SPDX-License-Identifier: Apache-2.0
"""
Composes the events of PyYAML's parser to a tree of nodes with positions.

PyYAML's own composer is not used, because it drops the positions of keys, lets the last of two
equal keys win and expands aliases without limit.  Time and memory are bounded here: parsing stops
at the first event beyond a limit, and aliases share nodes whose expanded size is counted before
anything walks them.
"""

from __future__ import annotations

from typing import Final, NoReturn

import yaml

from edge_twisted.config.problems import FilePosition, KeyPath
from edge_twisted.config.reporter import Reporter
from edge_twisted.config.yaml.merge import MERGE, is_merge_key, merge
from edge_twisted.config.yaml.nodes import (
    MAX_DEPTH,
    BrokenNode,
    Mapping,
    MappingEntry,
    Node,
    Scalar,
    Sequence,
    Text,
    YamlDocument,
)
from edge_twisted.config.yaml.scalars import BadNumber, resolve
from edge_twisted.config.yaml.syntax_errors import explain
from edge_twisted.config.yaml.text import end_of

#: Nodes after aliases and merge keys are expanded: what validation has to look at.
MAX_NODES: Final = 50_000

#: libyaml where PyYAML was built with it, which is ten times as fast.
_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _GiveUpError(Exception):
    """Parsing must stop here; the reason has been reported."""


def compose(text: str, reporter: Reporter) -> YamlDocument | None:
    """
    Parse the text of a YAML file and report its errors of syntax and form.

    Returns None if `text` cannot be parsed to its end.  In the returned tree, a value with a
    problem is a `BrokenNode`.
    """
    composer = _Composer(text, reporter)
    try:
        return composer.document()
    except _GiveUpError:
        return None
    except yaml.YAMLError as error:
        reporter.problem(composer.path, *explain(error, text))
        return None


class _Composer:
    def __init__(self, text: str, reporter: Reporter) -> None:
        self._events = yaml.parse(text, Loader=_Loader)
        self._last = end_of(text)
        self._reporter = reporter
        self._steps: list[str | int] = []
        #: Number of open collections; not the length of the path, because a key can be one too.
        self._depth = 0
        #: Anchor -> its node, or a bare object while the node is still being read.
        self._anchors: dict[str, Node | object] = {}
        self._nodes = 0

    @property
    def path(self) -> KeyPath:
        """Path of the node that is being parsed."""
        return tuple(self._steps)

    def document(self) -> YamlDocument:
        next(self._events)  # the start of the stream
        first = next(self._events)
        if isinstance(first, yaml.StreamEndEvent):
            return YamlDocument(Scalar(position=self._start(first), value=None, text=_NO_TEXT))
        root = self._node(next(self._events))
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._steps.clear()
            self._stop(after, "a second document begins here", "keep one document in the file")
        return YamlDocument(root)

    # -- nodes

    def _node(self, event: yaml.Event) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._too_large(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        assert isinstance(event, yaml.NodeEvent)
        unfinished = object()
        if event.anchor is not None:
            self._anchors[event.anchor] = unfinished
        node = self._untagged(event)
        if event.anchor is not None and self._anchors[event.anchor] is unfinished:
            self._anchors[event.anchor] = node
        return node

    def _untagged(self, event: yaml.NodeEvent) -> Node:
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        else:
            node = self._collection(event)
        if getattr(event, "tag", None) is None:
            return node
        return self._broken(event, "tags (`!...`) are not accepted", "write the plain value")

    def _collection(self, event: yaml.Event) -> Node:
        if self._depth >= MAX_DEPTH:
            what = f"the file nests deeper than {MAX_DEPTH} levels"
            self._stop(event, what, "flatten it")
        self._depth += 1
        is_list = isinstance(event, yaml.SequenceStartEvent)
        node = self._sequence(event) if is_list else self._mapping(event)
        self._depth -= 1
        return node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        # The name is not quoted: it may be a secret that begins with an asterisk.
        found = self._anchors.get(event.anchor or "")
        if found is None:
            what = "no anchor of this name comes before it"
            return self._broken(event, what, "quote a text that begins with `*`")
        if not isinstance(found, Scalar | Sequence | Mapping | BrokenNode):
            return self._broken(event, "this alias is inside what it refers to", "spell it out")
        self._nodes += found.size - 1
        if self._nodes > MAX_NODES:
            self._too_large(event)
        if self._depth + found.height > MAX_DEPTH + 1:
            what = f"with this alias the file nests deeper than {MAX_DEPTH} levels"
            self._stop(event, what, "flatten it")
        return found

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        text = Text(end=_end(event), style=event.style or None)
        position = self._start(event)
        value: bool | int | float | str | None = event.value
        if not event.value.isascii() and any("\ud800" <= each <= "\udfff" for each in event.value):
            return self._broken(event, "half of a surrogate pair is no character", "remove it")
        if event.style or event.tag is not None:
            return Scalar(position=position, value=value, text=text)
        try:
            value = resolve(event.value)
        except BadNumber as error:
            return self._broken(event, error.what, error.right)
        return Scalar(position=position, value=value, text=text)

    def _sequence(self, start: yaml.Event) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            self._steps.append(len(items))
            items.append(self._node(event))
            self._steps.pop()
        return Sequence(
            position=self._start(start),
            items=tuple(items),
            size=1 + sum(item.size for item in items),
            height=1 + max((item.height for item in items), default=0),
        )

    def _mapping(self, start: yaml.Event) -> Mapping:
        entries: dict[str, MappingEntry] = {}
        to_merge: tuple[yaml.Event, Node] | None = None
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            is_merge = is_merge_key(event)
            key = MERGE if is_merge else self._key(event)
            self._steps.append("?" if key is None else key)
            if key in entries or (is_merge and to_merge is not None):
                self._report(event, "the key appears twice", "keep one of the two")
                self._node(next(self._events))
            elif is_merge:
                to_merge = (event, self._node(next(self._events)))
            else:
                node = self._node(next(self._events))
                if key is not None:
                    entries[key] = MappingEntry(key_position=self._start(event), node=node)
            self._steps.pop()
        if to_merge is not None:
            entries = self._merge(entries, *to_merge)
        nodes = [entry.node for entry in entries.values()]
        return Mapping(
            position=self._start(start),
            entries=entries,
            size=1 + sum(node.size for node in nodes),
            height=1 + max((node.height for node in nodes), default=0),
        )

    def _key(self, event: yaml.Event) -> str | None:
        node = self._node(event)
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return node.value
        if not isinstance(node, BrokenNode):
            self._report(event, "a key must be text", "put it in quotes")
        return None

    def _merge(
        self, entries: dict[str, MappingEntry], event: yaml.Event, node: Node
    ) -> dict[str, MappingEntry]:
        try:
            return merge(entries, node)
        except ValueError as error:
            self._steps.append(MERGE)
            self._report(event, str(error), "refer to one by its anchor: `<<: *name`")
            self._steps.pop()
            return entries

    # -- reports

    def _start(self, event: yaml.Event) -> FilePosition:
        mark = event.start_mark
        assert mark is not None  # parsed events have marks
        # libyaml places an empty value at the end of the file into a line beyond the last.
        return min(FilePosition(mark.line + 1, mark.column + 1), self._last)

    def _report(self, event: yaml.Event, what: str, right: str) -> None:
        self._reporter.problem(self.path, self._start(event), what, right)

    def _broken(self, event: yaml.Event, what: str, right: str) -> BrokenNode:
        self._report(event, what, right)
        return BrokenNode(position=self._start(event))

    def _stop(self, event: yaml.Event, what: str, right: str) -> NoReturn:
        self._report(event, what, right)
        raise _GiveUpError

    def _too_large(self, event: yaml.Event) -> NoReturn:
        what = f"the file has more than {MAX_NODES} values, aliases expanded"
        self._stop(event, what, "shorten it")


_NO_TEXT: Final = Text(end=FilePosition(1, 1), style=None)


def _end(event: yaml.Event) -> FilePosition:
    assert event.end_mark is not None
    return FilePosition(event.end_mark.line + 1, event.end_mark.column + 1)
