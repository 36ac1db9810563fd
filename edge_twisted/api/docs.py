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
from edge_twisted.api.request import Request
from edge_twisted.api.response import AnyResponse, Response
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


class DocsPage:
    """The page, which is the same for everyone."""

    route = PAGE_ROUTE
    max_body_bytes = 0

    def __init__(self) -> None:
        body, policy = _page()
        self._response = Response(
            body=body,
            content_type=b"text/html; charset=utf-8",
            headers=(
                (b"Content-Security-Policy", policy),
                (b"Referrer-Policy", b"no-referrer"),
                (b"Cache-Control", b"no-cache"),
            ),
        )

    async def respond(self, request: Request) -> AnyResponse:
        """Show the page."""
        return self._response


class DocsRedirect:
    """Leads who left the slash out to the page, whose address it is part of."""

    route = REDIRECT_ROUTE
    max_body_bytes = 0

    async def respond(self, request: Request) -> AnyResponse:
        """Say where the page is, for good."""
        location = (b"Location", PAGE_ROUTE.path.encode("ascii"))
        return Response(status=308, content_type=None, headers=(location,))


class DocsDocument:
    """The OpenAPI document."""

    route = DOCUMENT_ROUTE
    max_body_bytes = 0

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._response = Response(
            body=orjson.dumps(document), headers=((b"Cache-Control", b"no-cache"),)
        )

    async def respond(self, request: Request) -> AnyResponse:
        """Show the document."""
        return self._response


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
