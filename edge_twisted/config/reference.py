# SPDX-License-Identifier: Apache-2.0
"""
The reference of the configuration file in Markdown, made from the schema.

``python -m edge_twisted.config.reference`` prints ``docs/configuration.md``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping

from attrs import frozen

from edge_twisted.config.schema import Schema, resolved, schema

INTRODUCTION = """\
# Configuration

{description}

`edge-server config validate -c FILE` checks a file as a start would, names every problem with
line, column and remedy, and creates nothing. `edge-server config schema json` prints the JSON
Schema from which this page is made. Sample files are in [etc/](../etc/). An unknown key is an
error.

Relative paths are relative to the folder of the file. Sizes in `mb` are units of 2^20 bytes. What
can change while the server runs is taken over on SIGHUP ([operations](operations.md#reload)); for
the rest the log says `needs restart`.
"""


@frozen
class ReferenceRow:
    """A row of a table: one key with type, default and meaning in Markdown."""

    path: str
    kind: str
    default: str
    meaning: str
    required: bool


def reference(whole: Schema) -> str:
    """
    Return the page ``docs/configuration.md``: a table for each key at the top of the schema.

    :param whole: the published schema, as `schema.schema` returns it.
    """
    parts = [INTRODUCTION.format(description=whole["description"])]
    for name, node in whole["properties"].items():
        rows = list(_rows(name, node, name in whole["required"]))
        parts.append(f"## `{name}`\n\n{_table(rows)}\n")
    return "\n".join(parts)


def paths(whole: Schema) -> Iterator[str]:
    """
    Yield the dotted path of every key that a file may have, parents before children.

    :param whole: the published schema, as `schema.schema` returns it.
    """
    for name, node in whole["properties"].items():
        for row in _rows(name, node, False):
            yield row.path


def _table(rows: list[ReferenceRow]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for row in rows:
        default = "**required**" if row.required else row.default
        lines.append(f"| `{row.path}` | {row.kind} | {default} | {row.meaning} |")
    return "\n".join(lines)


def _rows(path: str, node: Schema, required: bool) -> Iterator[ReferenceRow]:
    target = resolved(node)
    yield ReferenceRow(
        path=path,
        kind=_escaped(_kind(node)),
        default=_default(node, target),
        meaning=_escaped(_meaning(node, target)),
        required=required,
    )
    yield from _children(path, target)


def _children(path: str, node: Schema) -> Iterator[ReferenceRow]:
    needed = node.get("required", ())
    for name, child in node.get("properties", {}).items():
        yield from _rows(f"{path}.{name}", child, name in needed)
    values = node.get("additionalProperties")
    if isinstance(values, Mapping):
        yield from _children(f"{path}.NAME", resolved(values))
    if "items" in node:
        yield from _children(f"{path}[]", resolved(node["items"]))
    for branch in node.get("anyOf", ()):
        yield from _children(path, resolved(branch))


def _kind(node: Schema) -> str:
    """Describe the type of `node`: by its title, or by its JSON type and bounds."""
    target = resolved(node)
    title = node.get("title") or target.get("title")
    if title:
        return str(title)
    if "anyOf" in target:
        return " or ".join(dict.fromkeys(_kind(branch) for branch in target["anyOf"]))
    if "const" in target:
        return f"`{target['const']}`"
    if "enum" in target:
        return ", ".join(f"`{each}`" for each in target["enum"])
    if "items" in target:
        return f"list of {_kind(target['items'])}"
    kind = target.get("type", "any value")
    name = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return name + _bounds(target)


def _bounds(node: Schema) -> str:
    if "exclusiveMinimum" in node:
        return f" > {node['exclusiveMinimum']}"
    low = node.get("minimum", node.get("minLength"))
    high = node.get("maximum", node.get("maxLength"))
    if low is None and high is None:
        return ""
    return f" {low if low is not None else ''}..{high if high is not None else ''}"


def _default(node: Schema, target: Schema) -> str:
    for each in (node, target):
        if "default" in each:
            return f"`{json.dumps(each['default'])}`"
    return ""


def _meaning(node: Schema, target: Schema) -> str:
    text = str(node.get("description") or target.get("description") or "")
    if node.get("deprecated") or target.get("deprecated"):
        text += " *Deprecated: accepted with a warning.*"
    if node.get("writeOnly") or target.get("writeOnly"):
        text += " Secret: never logged."
    return text


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(reference(schema()))
