# SPDX-License-Identifier: Apache-2.0
"""The observers of finished requests: audit records, metrics, log lines at level debug."""

from __future__ import annotations

from twisted.logger import Logger

from edge_twisted.api.resource import FinishedRequest, Observer
from edge_twisted.logs.audit import AuditEvent, AuditLine, AuditLog
from edge_twisted.logs.levels import Levels

log = Logger()

#: As module globals: access to a member of an `Enum` is slow, and each request makes a line.
_REQUEST, _REFUSAL = AuditEvent.REQUEST.value, AuditEvent.REFUSAL.value
#: Codes of errors that the audit log records as refusals, for known and unknown callers.
REFUSALS = frozenset(
    {
        "unauthorized",
        "forbidden",
        "attachment_forbidden",
        "too_many_requests",
        "overloaded",
        "too_many_connections",
        "stopping",
        # Refused before there was a request.
        "malformed_request",
        "headers_too_large",
        "http_version_unknown",
        "transfer_coding_unknown",
        "request_timeout",
    }
)


class Observers:
    """Passes finished requests on to several observers."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def request_finished(self, finished: FinishedRequest) -> None:
        """See `Observer.request_finished`; the failure of one observer does not affect others."""
        for observer in self._observers:
            try:
                observer.request_finished(finished)
            except Exception:
                log.failure("Request {id} was not noted", id=finished.request.id)


class AuditObserver:
    """Writes the audit log: requests of known callers, and refusals."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    def request_finished(self, finished: FinishedRequest) -> None:
        """Record a request; those on open endpoints and mistakes of strangers are left out."""
        request = finished.request
        caller = request.identity
        if finished.error in REFUSALS:
            event = _REFUSAL
        elif caller is not None:
            event = _REQUEST
        else:
            return
        self._audit.add(
            AuditLine(
                "",
                event,
                request.id,
                None if caller is None else caller.id,
                request.client,
                request.method,
                request.path,
                request.verb,
                request.collections,
                finished.status,
                round(finished.duration_seconds * 1000, 3),
                finished.bytes_in,
                finished.bytes_out,
            )
        )


class DebugObserver:
    """Writes a debug line for each request, if `levels` show debug lines."""

    def __init__(self, levels: Levels) -> None:
        self._levels = levels

    def request_finished(self, finished: FinishedRequest) -> None:
        """Write a line about the request, without the query string, which may hold secrets."""
        if not self._levels.debugs_server:
            return
        request = finished.request
        log.debug(
            "{method} {path} {status} in {duration_ms} ms",
            request_id=request.id,
            client=request.client,
            method=request.method,
            path=request.path,
            status=finished.status,
            error=finished.error,
            duration_ms=round(finished.duration_seconds * 1000, 3),
            bytes_in=finished.bytes_in,
            bytes_out=finished.bytes_out,
        )
