# SPDX-License-Identifier: Apache-2.0
"""
Finds violations of the schema, for ``anyOf`` those of the alternative meant.

For a value that fits no alternative, jsonschema reports one failure of them all.  Here the failure
is replaced by the errors of the one alternative that takes a value of this JSON type, if exactly
one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from typing import Any

from attrs import field, frozen
from jsonschema import Draft202012Validator, ValidationError

from edge_twisted.config.formats import make_format_checker
from edge_twisted.config.problems import KeyPath
from edge_twisted.config.schema import Schema, schema
from edge_twisted.config.yaml.nodes import Plain

#: Keywords whose failure means that the value is of another kind than the alternative.
_KINDS = ("type", "const", "enum")


@frozen(kw_only=True)
class Violation:
    """
    One failure of a value to obey a keyword of the schema.

    A class of our own, because jsonschema's errors leave the types of these attributes open.
    """

    path: KeyPath
    keyword: str
    #: The value of the keyword in the schema.
    wanted: Any
    #: The part of the schema that has the keyword.
    part: Schema
    value: Plain = field(repr=False)
    #: Why the value does not fit a `format`; None for other keywords.
    reason: str | None


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema(), format_checker=make_format_checker())


def find_violations(data: Plain) -> Iterator[Violation]:
    """Yield the violations of the published schema by `data`, lazily and in no particular order."""
    for error in _meant(_validator().iter_errors(data)):
        yield Violation(
            path=tuple(error.absolute_path),
            keyword=str(error.validator),
            wanted=error.validator_value,
            part=error.schema if isinstance(error.schema, dict) else {},
            value=error.instance,  # type: ignore[arg-type]  # plain JSON, as it was handed in
            reason=str(error.cause) if error.cause is not None else None,
        )


def _meant(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    """Yield `errors`, those of ``anyOf`` replaced by the errors of the alternative meant."""
    for error in errors:
        chosen = _chosen(error) if error.validator == "anyOf" else None
        if chosen is None:
            yield error
        else:
            yield from _meant(chosen)


def _chosen(error: ValidationError) -> list[ValidationError] | None:
    """Return the errors of the only alternative that takes this kind of value, if there is one."""
    branches = [list(group) for _, group in groupby(error.context or (), key=_branch)]
    fitting = [
        branch
        for branch in branches
        if not any(each.validator in _KINDS and not each.relative_path for each in branch)
    ]
    return fitting[0] if len(fitting) == 1 else None


def _branch(error: ValidationError) -> str | int:
    return error.schema_path[0]
