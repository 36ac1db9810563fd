# SPDX-License-Identifier: Apache-2.0
"""
The endpoints of a configuration: which are served, and how each is made.

`ENDPOINTS` is the whole API; the routes, the 404s that name a setting, and the OpenAPI document all
come from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from attrs import field, frozen

from edge_twisted.api import (
    attachments_download,
    attachments_upload,
    docs,
    execute,
    health,
    logs_download,
    metrics,
    presence,
    transaction,
)
from edge_twisted.api.attachments import BlobReferences, Blobs
from edge_twisted.api.database import Database
from edge_twisted.api.openapi.document import openapi_document
from edge_twisted.api.openapi.operation import Operation
from edge_twisted.api.resource import Resource
from edge_twisted.api.route import Route
from edge_twisted.api.routing import Router
from edge_twisted.config.model import Configuration, HttpServer

#: Time to answer that is left when the server stops waiting for an attachment from the mesh.
_ANSWER_SECONDS = 0.5


@frozen(kw_only=True)
class ApiParts:
    """What the endpoints need of the rest of the server; the same across reloads."""

    database: Database
    presence: Callable[[], presence.Graph]
    logs: logs_download.LogArchive
    metrics: metrics.Metrics
    blobs: Blobs
    references: BlobReferences
    #: Each part of the server that can be in trouble adds a function that returns its troubles.
    troubles: list[Callable[[], Iterable[health.Trouble]]] = field(factory=list)


@frozen
class EndpointDeclaration:
    """An endpoint: its operation, whether a configuration switches it on, and how it is made."""

    operation: Operation
    is_on: Callable[[HttpServer], bool]
    make: Callable[[Configuration, ApiParts], Resource]
    #: Whether the OpenAPI document has it.
    is_described: bool = True

    @property
    def route(self) -> Route:
        """The path and methods of the endpoint."""
        return self.operation.route


def build(configuration: Configuration, parts: ApiParts) -> Router:
    """Return the router of a configuration that has an ``http_server``."""
    http = http_of(configuration)
    resources = [each.make(configuration, parts) for each in ENDPOINTS if each.is_on(http)]
    disabled = [each.route for each in ENDPOINTS if not each.is_on(http)]
    return Router(resources, disabled)


def operations(configuration: Configuration) -> Sequence[Operation]:
    """Return the operations of the endpoints that a configuration switches on."""
    http = http_of(configuration)
    return [each.operation for each in ENDPOINTS if each.is_described and each.is_on(http)]


def openapi_document_of(configuration: Configuration) -> dict[str, Any]:
    """Return the OpenAPI document of the endpoints that a configuration switches on."""
    return openapi_document(operations(configuration), needs_keys=configuration.auth is not None)


def http_of(configuration: Configuration) -> HttpServer:
    """Return the ``http_server`` of a configuration, which must have one."""
    http = configuration.http_server
    assert http is not None, "the caller serves no API without http_server"
    return http


def _timeout_seconds(http: HttpServer) -> float | None:
    return http.request_timeout_ms / 1000 or None


# -- how each is made


def _statements(
    endpoint: type[execute.Execute] | type[transaction.Transaction],
    configuration: Configuration,
    parts: ApiParts,
) -> Resource:
    http = http_of(configuration)
    return endpoint(
        parts.database,
        max_body_bytes=http.http_api.execute.max_body_bytes,
        timeout_seconds=_timeout_seconds(http),
    )


def _upload(configuration: Configuration, parts: ApiParts) -> Resource:
    limit = http_of(configuration).http_api.attachments_upload.max_body_bytes
    return attachments_upload.AttachmentsUpload(parts.blobs, max_body_bytes=limit)


def _download(configuration: Configuration, parts: ApiParts) -> Resource:
    timeout = _timeout_seconds(http_of(configuration))
    return attachments_download.AttachmentsDownload(
        parts.blobs,
        parts.references,
        # Below the request's time limit, so that the error is about the attachment.
        timeout_seconds=None if timeout is None else max(timeout - _ANSWER_SECONDS, timeout / 2),
    )


ENDPOINTS: tuple[EndpointDeclaration, ...] = (
    EndpointDeclaration(
        execute.OPERATION,
        lambda http: http.http_api.execute.enabled,
        partial(_statements, execute.Execute),
    ),
    EndpointDeclaration(
        transaction.OPERATION,
        lambda http: http.http_api.execute.enabled,
        partial(_statements, transaction.Transaction),
    ),
    EndpointDeclaration(
        attachments_upload.OPERATION,
        lambda http: http.http_api.attachments_upload.enabled,
        _upload,
    ),
    EndpointDeclaration(
        attachments_download.OPERATION,
        lambda http: http.http_api.attachments_download.enabled,
        _download,
    ),
    EndpointDeclaration(
        presence.OPERATION,
        lambda http: http.http_api.presence.enabled,
        lambda _, parts: presence.presence_page(parts.presence),
    ),
    EndpointDeclaration(
        logs_download.OPERATION,
        lambda http: http.http_api.logs.enabled,
        lambda _, parts: logs_download.logs_page(parts.logs),
    ),
    EndpointDeclaration(
        health.OPERATION,
        lambda http: http.enable_healthcheck,
        lambda _, parts: health.health_page(parts.troubles),
    ),
    EndpointDeclaration(
        metrics.OPERATION,
        lambda http: http.enable_metrics,
        lambda _, parts: metrics.MetricsPage(parts.metrics),
    ),
    EndpointDeclaration(
        docs.PAGE_OPERATION, lambda http: http.serve_docs, lambda *_: docs.docs_page()
    ),
    EndpointDeclaration(
        docs.REDIRECT_OPERATION,
        lambda http: http.serve_docs,
        lambda *_: docs.docs_redirect(),
        is_described=False,
    ),
    EndpointDeclaration(
        docs.DOCUMENT_OPERATION,
        lambda http: http.serve_docs,
        lambda configuration, _: docs.docs_document(openapi_document_of(configuration)),
    ),
)
