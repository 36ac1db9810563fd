# SPDX-License-Identifier: Apache-2.0
"""
The published JSON Schema of the file: what validates it, and where its defaults come from.

https://json-schema.org/draft/2020-12.  ``title`` says in a phrase what belongs somewhere,
``description`` what it is for; ``writeOnly`` marks secrets; ``deprecated`` an old spelling.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, reduce
from importlib.resources import files
from typing import Any, Final

from edge_twisted.config.yaml.nodes import Plain

#: A part of the schema.  JSON Schema has too many shapes to be typed more narrowly.
Schema = Mapping[str, Any]

_DEFINITIONS: Final = "#/$defs/"


def schema_text() -> str:
    """Return the schema as it is published."""
    return files(__package__).joinpath("schema.json").read_text("utf-8")


@cache
def schema() -> Schema:
    """Return the whole schema; it must not be changed."""
    loaded: Schema = json.loads(schema_text())
    return loaded


def resolved(part: Schema) -> Schema:
    """Follow the reference of `part`, if it has one; keywords beside the reference win."""
    reference = part.get("$ref")
    if reference is None:
        return part
    target: Schema = schema()["$defs"][reference.removeprefix(_DEFINITIONS)]
    return {**resolved(target), **{key: part[key] for key in part if key != "$ref"}}


def as_object(part: Schema) -> Schema:
    """Return what `part` says about objects: itself, or the one alternative that is an object."""
    part = resolved(part)
    for alternative in part.get("anyOf", ()):
        if (found := resolved(alternative)).get("type") == "object":
            return found
    return part


def property_of(part: Schema, key: str) -> Schema:
    """
    Return what `part` says about its property `key`.

    :raises KeyError: it has no such property, which is a mistake of ours.
    """
    found: Schema = as_object(part)["properties"][key]
    return resolved(found)


def default_of(path: str) -> Any:
    """
    Return the default at `path`, such as ``http_server.backlog``, as the model has it.

    The first step names a definition of the schema, further ones the properties below.  A list
    becomes a tuple.

    :raises KeyError: the schema has no such key, or no default there, which is a mistake of ours.
    """
    name, *steps = path.split(".")
    value = reduce(property_of, steps, schema()["$defs"][name])["default"]
    return tuple(value) if isinstance(value, list) else value


def completed(value: Plain, part: Schema) -> Plain:
    """
    Return `value`, which obeys `part`, with every key that `part` knows.

    A key that is absent or null has its default; an object without required keys has all of its
    defaults; anything else is None.  Keys that are ignored (``x-...``) are left out.
    """
    part = as_object(part)
    if isinstance(value, list) and "items" in part:
        return [completed(each, part["items"]) for each in value]
    if not isinstance(value, dict):
        return value
    if isinstance(names := part.get("additionalProperties"), Mapping):
        return {name: completed(each, names) for name, each in value.items()}
    if "properties" not in part:
        return value
    return {
        key: _completed_key(value.get(key), property_of(part, key)) for key in part["properties"]
    }


def _completed_key(value: Plain, part: Schema) -> Plain:
    if value is None:
        value = part.get("default")
    if value is None and "properties" in part and "required" not in part:
        value = {}
    return completed(value, part)
