# SPDX-License-Identifier: Apache-2.0
"""
The published schema, schema.json, which validates the file and has all defaults.

https://json-schema.org/draft/2020-12.  ``title`` names in a phrase the values that are accepted,
``description`` says what the key is for; ``writeOnly`` marks secrets; ``deprecated`` marks an old
spelling.
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
    """Return the text of the published schema, JSON, as `config schema json` prints it."""
    return files(__package__).joinpath("schema.json").read_text("utf-8")


@cache
def schema() -> Schema:
    """Return the parsed schema, shared by all callers, who must not change it."""
    loaded: Schema = json.loads(schema_text())
    return loaded


def resolved(part: Schema) -> Schema:
    """Return a part of the schema with its ``$ref`` followed; keywords beside the ``$ref`` win."""
    reference = part.get("$ref")
    if reference is None:
        return part
    target: Schema = schema()["$defs"][reference.removeprefix(_DEFINITIONS)]
    return {**resolved(target), **{key: part[key] for key in part if key != "$ref"}}


def as_object(part: Schema) -> Schema:
    """
    Return the part of the schema that describes an object, among the ``anyOf`` of `part`.

    A part without such an alternative is returned itself, with its ``$ref`` followed.
    """
    part = resolved(part)
    for alternative in part.get("anyOf", ()):
        if (found := resolved(alternative)).get("type") == "object":
            return found
    return part


def property_of(part: Schema, key: str) -> Schema:
    """
    Return the schema of the property `key` of `part`.

    :raises KeyError: `part` has no such property: a bug in the caller.
    """
    found: Schema = as_object(part)["properties"][key]
    return resolved(found)


def default_of(path: str) -> Any:
    """
    Return the default at `path`, such as ``http_server.backlog``, as the model has it.

    The first step names a definition of the schema, further ones the properties below.  A list
    becomes a tuple.  Any, because a type checker cannot read the schema: a test compares each
    default with the type of its field (`tests/unit/config/test_schema.py`).

    :raises KeyError: the schema has no such key, or no default there, which is a mistake of ours.
    """
    name, *steps = path.split(".")
    value = reduce(property_of, steps, schema()["$defs"][name])["default"]
    return tuple(value) if isinstance(value, list) else value


def completed(value: Plain, part: Schema) -> Plain:
    """
    Return the value `value`, which obeys the schema `part`, with every key that `part` knows.

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
