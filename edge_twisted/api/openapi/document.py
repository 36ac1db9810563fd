# SPDX-License-Identifier: Apache-2.0
"""From the declarations of the endpoints that are switched on to the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edge_twisted import __version__
from edge_twisted.api.errors import ERRORS, STATUS_OF
from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.openapi.schemas import SCHEMAS

#: What any endpoint can be answered with.
_EVERYWHERE = (
    "malformed_request", "invalid_request", "request_timeout", "headers_too_large",
    "internal_error", "overloaded", "stopping",
)  # fmt: skip
_WITH_KEY = ("unauthorized", "forbidden")
_WITH_BODY = ("length_required", "body_too_large", "unsupported_media_type")

_REQUEST_ID = {
    "X-Request-Id": {
        "description": "The server's id of this request, which its logs have too.",
        "schema": {"type": "string"},
    }
}


def openapi_document(operations: Iterable[Operation], *, needs_keys: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the operations; encode it as JSON.

    `needs_keys` is False under ``auth: dev_mode``.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        methods = paths.setdefault(operation.route.path, {})
        for method in operation.route.methods:
            methods[method.lower()] = _operation(operation, needs_keys)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Edge Twisted",
            "version": __version__,
            "description": "The HTTP API of this edge data server.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": {name: dict(SCHEMAS[name]) for name in SCHEMAS}},
    }
    document["x-errors"] = [
        {"code": kind.code, "status": kind.status, "meaning": kind.meaning} for kind in ERRORS
    ]
    # Without keys as well: a client that was generated from this document can then send one.
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return document


def _operation(operation: Operation, needs_keys: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.description,
        "responses": _responses(operation, needs_keys),
    }
    if operation.parameters:
        described["parameters"] = list(operation.parameters)
    if operation.request_body is not None:
        described["requestBody"] = dict(operation.request_body)
    if operation.route.needs_key:
        # Optional is spelled as a choice of which one asks for nothing.
        described["security"] = [{"key": []}] if needs_keys else [{}, {"key": []}]
    return described


def _responses(operation: Operation, needs_keys: bool) -> Mapping[str, Any]:
    responses: dict[str, Any] = {
        str(status): {**response, "headers": {**_REQUEST_ID, **response.get("headers", {})}}
        for status, response in operation.responses.items()
    }
    codes = [*_EVERYWHERE, *operation.errors]
    if operation.route.needs_key:
        # Under dev_mode a page of another origin is forbidden still.
        codes += _WITH_KEY if needs_keys else ("forbidden",)
    if operation.route.is_throttled:
        codes.append("too_many_requests")
    if operation.request_body is not None:
        codes += _WITH_BODY
    by_status: dict[int, list[str]] = {}
    for code in sorted(set(codes), key=lambda each: (STATUS_OF[each], each)):
        by_status.setdefault(STATUS_OF[code], []).append(code)
    for status, named in by_status.items():
        responses.setdefault(
            str(status),
            {
                "description": ", ".join(f"`{code}`" for code in named),
                "headers": _error_headers(status),
                "content": content(operation.error_schema),
            },
        )
    return dict(sorted(responses.items()))


def _error_headers(status: int) -> dict[str, Any]:
    headers: dict[str, Any] = dict(_REQUEST_ID)
    if status in (429, 503):
        headers["Retry-After"] = {
            "description": "When to try again, in seconds.",
            "schema": {"type": "integer", "minimum": 1},
        }
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"const": "Bearer"}}
    return headers
