# SPDX-License-Identifier: Apache-2.0
"""What an endpoint declares for its description, beside its route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from edge_twisted.api.route import Route

#: A fragment of the OpenAPI document, as JSON.
Fragment = Mapping[str, Any]


@frozen(kw_only=True)
class Operation:
    """
    One method of one path.

    `responses` are those of success, by status; `errors` are codes of `errors.ERRORS` beside those
    that every endpoint can answer with.
    """

    route: Route
    id: str
    summary: str
    description: str = ""
    parameters: tuple[Fragment, ...] = ()
    request_body: Fragment | None = None
    responses: Mapping[int, Fragment] = field(factory=dict)
    errors: tuple[str, ...] = ()
    #: The schema of its errors where they say more than others do.
    error_schema: str = "Error"


def schema(name: str) -> Fragment:
    """Return a reference to the schema of this name in `schemas.SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def content(schema_name: str, *types: str, example: object = None) -> Fragment:
    """Return the OpenAPI `content` of a body: media type -> the named schema, with the example.

    The media type is JSON unless other `types` are given.
    """
    described: dict[str, object] = {"schema": schema(schema_name)}
    if example is not None:
        described["example"] = example
    return dict.fromkeys(types or ("application/json",), described)
