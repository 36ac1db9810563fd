# SPDX-License-Identifier: Apache-2.0
"""
``GET /docs/``: the API for people, and ``/docs/edge_server_api.json``: for programs.

The page is one response that loads nothing but the document, from this server; its content
security policy names its own script and style by their digests and permits nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import orjson

from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.resource import Page
from edge_twisted.api.response import Response
from edge_twisted.api.route import Route

_SETTING = "http_server.serve_docs"

PAGE_ROUTE = Route(
    endpoint="docs", path="/docs/", methods=("GET",), setting=_SETTING, needs_key=False
)
REDIRECT_ROUTE = Route(
    endpoint="docs", path="/docs", methods=("GET",), setting=_SETTING, needs_key=False
)
DOCUMENT_ROUTE = Route(
    endpoint="docs",
    path="/docs/edge_server_api.json",
    methods=("GET",),
    setting=_SETTING,
    needs_key=False,
)

PAGE_OPERATION = Operation(
    route=PAGE_ROUTE,
    id="docs",
    summary="This page.",
    responses={200: {"description": "The page.", "content": content("Text", "text/html")}},
)
REDIRECT_OPERATION = Operation(
    route=REDIRECT_ROUTE,
    id="docsRedirect",
    summary="Leads to the page.",
    responses={308: {"description": "The page is at `/docs/`."}},
)
DOCUMENT_OPERATION = Operation(
    route=DOCUMENT_ROUTE,
    id="openapi",
    summary="The OpenAPI document of the endpoints that are switched on.",
    responses={200: {"description": "The document.", "content": content("Document")}},
)


def docs_page() -> Page:
    """Return the endpoint of the documentation page, which is the same for every caller."""
    body, policy = _page()
    response = Response(
        body=body,
        content_type=b"text/html; charset=utf-8",
        headers=(
            (b"Content-Security-Policy", policy),
            (b"Referrer-Policy", b"no-referrer"),
            (b"Cache-Control", b"no-cache"),
        ),
    )
    return Page(PAGE_ROUTE, lambda _: response)


def docs_redirect() -> Page:
    """Return the endpoint that leads from ``/docs`` to the page, whose links need the slash."""
    location = (b"Location", PAGE_ROUTE.path.encode("ascii"))
    response = Response(status=308, content_type=None, headers=(location,))
    return Page(REDIRECT_ROUTE, lambda _: response)


def docs_document(document: Mapping[str, Any]) -> Page:
    """Return the endpoint that sends the given OpenAPI document as JSON."""
    headers = ((b"Cache-Control", b"no-cache"),)
    response = Response(body=orjson.dumps(document), headers=headers)
    return Page(DOCUMENT_ROUTE, lambda _: response)


def _page() -> tuple[bytes, bytes]:
    """Return the page, and the content security policy that goes with it."""
    folder = files("edge_twisted.api.openapi")
    style = (folder / "page.css").read_text("utf-8")
    script = (folder / "page.js").read_text("utf-8")
    page = (folder / "page.html").read_text("utf-8")
    page = page.replace("/*STYLE*/", style).replace("/*SCRIPT*/", script)
    policy = (
        "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    return page.encode("utf-8"), policy.encode("ascii")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()
