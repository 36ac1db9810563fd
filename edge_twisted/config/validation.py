# SPDX-License-Identifier: Apache-2.0
"""Reports every violation of the schema as a problem with its position in the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from edge_twisted.config.problems import MAX_PROBLEMS, KeyPath
from edge_twisted.config.reporter import Reporter
from edge_twisted.config.schema import Schema, as_object
from edge_twisted.config.violations import Violation, find_violations
from edge_twisted.config.wording import describe, nearest, one_of
from edge_twisted.config.yaml.nodes import Plain, YamlDocument


def validate(document: YamlDocument, data: Plain, reporter: Reporter) -> None:
    """
    Report each violation of the schema by `data`, the plain values of `document`.

    Nothing is returned or raised: ask `reporter.problems`.
    """
    report = _Report(document, reporter)
    # Unknown keys come first: a misspelt key is not also reported as missing.
    found = islice(find_violations(data), MAX_PROBLEMS)
    for violation in sorted(found, key=lambda each: each.keyword != "additionalProperties"):
        report.add(violation)


class _Report:
    def __init__(self, document: YamlDocument, reporter: Reporter) -> None:
        self._document = document
        self._reporter = reporter
        #: Required keys that an unknown key probably misspells; not reported as missing.
        self._misspelt: set[KeyPath] = set()

    def add(self, violation: Violation) -> None:
        path = violation.path
        if not isinstance(violation.value, dict):
            # The keyword `type` reports that this should be an object.
            if violation.keyword != "oneOf":
                self._value(violation)
            return
        match violation.keyword:
            case "additionalProperties":
                self._unknown(path, violation.part, violation.value)
            case "required":
                self._missing(path, violation.wanted, violation.value)
            case "oneOf":
                choices = [key for each in violation.wanted for key in each["required"]]
                self._not_exactly_one(path, choices, violation.value)
            case _:
                self._value(violation)

    def _value(self, violation: Violation) -> None:
        if self._document.is_broken(violation.path):
            return
        position = self._document.value_position(violation.path)
        what, right = describe(violation)
        if not violation.path:
            what, right = f"the file {what}", "must be an object with `database` and `auth`"
        self._reporter.problem(violation.path, position, what, right)

    def _unknown(self, parent: KeyPath, part: Schema, value: Iterable[str]) -> None:
        known = part["properties"]
        ignored = tuple(pattern.strip("^") for pattern in part.get("patternProperties", ()))
        present = set(value)
        absent = [key for key in known if key not in present]
        for key in value:
            if key in known or (ignored and key.startswith(ignored)):
                continue
            if self._reporter.is_full:
                return
            near = nearest(key, absent)
            if near is not None:
                self._misspelt.add((*parent, near))
                right = f"did you mean {near}?"
            elif (place := _one_deeper(known, key)) is not None:
                right = f"it belongs under {place}"
            else:
                right = f"known here: {one_of(sorted(known))}"
            self._entry((*parent, key), "unknown key", right)

    def _missing(self, parent: KeyPath, required: Iterable[str], value: Iterable[str]) -> None:
        present = set(value)
        position = self._document.key_position(parent)
        for key in required:
            path = (*parent, key)
            if key not in present and path not in self._misspelt:
                self._reporter.problem(path, position, "is missing", "this key is required")

    def _not_exactly_one(self, path: KeyPath, choices: list[str], value: Iterable[str]) -> None:
        right = f"must have exactly one of {one_of(choices)}"
        found = [key for key in value if key in choices]
        for key in found[1:]:
            self._entry((*path, key), f"cannot stand beside {found[0]}", right)
        if not found and not any((*path, key) in self._misspelt for key in choices):
            self._entry(path, f"has none of {one_of(choices)}", right)

    def _entry(self, path: KeyPath, what: str, right: str) -> None:
        self._reporter.problem(path, self._document.key_position(path), what, right)


def _one_deeper(known: Mapping[str, Schema], key: str) -> str | None:
    """Return the key of `known` below which `key` would be valid, None if there is none."""
    for name, part in known.items():
        if key in as_object(part).get("properties", {}):
            return name
    return None
