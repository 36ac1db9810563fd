# SPDX-License-Identifier: Apache-2.0
"""The schemas that operations refer to, in JSON Schema 2020-12 as OpenAPI 3.1 takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_twisted.api.errors import ERRORS

_STRINGS = {"type": "array", "items": {"type": "string"}}
_COMMIT = {"type": ["integer", "null"], "minimum": 0}

QUERY_TYPES = (
    "select", "insert", "update", "delete", "evict", "create_index", "drop_index", "explain",
    "profile", "advise", "show", "alter_system", "unknown",
)  # fmt: skip

_RESULT: dict[str, Any] = {
    "queryType": {"enum": list(QUERY_TYPES)},
    "items": {"type": "array", "description": "The rows."},
    "mutatedDocumentIds": {"type": "array", "description": "Ids of the documents that changed."},
    "warnings": {**_STRINGS, "description": "The first few warnings."},
    "totalWarningsCount": {"type": "integer", "minimum": 0},
    "transactionId": {
        **_COMMIT,
        "description": "The commit of a mutation, or the one that a read saw.",
    },
    "commitId": {**_COMMIT, "description": "The commit of a mutation; null for reads."},
}
_CALL: dict[str, Any] = {
    "type": "object",
    "required": ["statement"],
    "additionalProperties": False,
    "properties": {
        "statement": {"type": "string", "minLength": 1, "description": "One DQL statement."},
        "args": {
            "type": ["object", "null"],
            "description": "Values for `:name` in the statement, names without the colon.",
        },
    },
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["code", "description"],
    "properties": {
        "code": {"enum": [kind.code for kind in ERRORS]},
        "description": {"type": "string"},
        "line": {"type": "integer", "minimum": 1},
        "column": {"type": "integer", "minimum": 1},
        "snippet": {"type": "string", "description": "The line, and a caret under the place."},
        "index": {"type": "integer", "minimum": 0, "description": "Which statement failed."},
        "setting": {"type": "string", "description": "What switches the endpoint on."},
        "limit_bytes": {"type": "integer"},
        "request_id": {"type": "string"},
    },
}
_PEER: dict[str, Any] = {
    "type": "object",
    "required": ["peerKeyString", "deviceName", "connections"],
    "properties": {
        "peerKeyString": {"type": "string"},
        "deviceName": {"type": "string"},
        "os": {"type": ["string", "null"]},
        "dittoSdkVersion": {"type": ["string", "null"]},
        "isConnectedToDittoCloud": {"type": "boolean"},
        "isCompatible": {"type": ["boolean", "null"]},
        "peerMetadata": {"type": "object"},
        "identityServiceMetadata": {"type": "object"},
        "connections": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "connectionType", "peerKeyString1", "peerKeyString2"],
                "properties": {
                    "id": {"type": "string"},
                    "connectionType": {"enum": ["AccessPoint", "WebSocket"]},
                    "peerKeyString1": {"type": "string"},
                    "peerKeyString2": {"type": "string"},
                    "approximateDistanceInMeters": {"type": ["number", "null"]},
                },
            },
        },
    },
}

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "Call": _CALL,
    "Result": {"type": "object", "required": list(_RESULT), "properties": _RESULT},
    "Error": {"type": "object", "required": ["error"], "properties": {"error": _ERROR}},
    "StatementError": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": _ERROR, **_RESULT},
    },
    "Transaction": {
        "type": "object",
        "required": ["statements"],
        "additionalProperties": False,
        "properties": {
            "statements": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "items": {"$ref": "#/components/schemas/Call"},
            }
        },
    },
    "TransactionResult": {
        "type": "object",
        "required": ["results", "commitId"],
        "properties": {
            "results": {"type": "array", "items": {"$ref": "#/components/schemas/Result"}},
            "commitId": _COMMIT,
        },
    },
    "Attachment": {
        "type": "object",
        "required": ["id", "len", "metadata"],
        "properties": {
            "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
            "len": {"type": "integer", "minimum": 0},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
    "Presence": {
        "type": "object",
        "required": ["localPeer", "remotePeers"],
        "properties": {"localPeer": _PEER, "remotePeers": {"type": "array", "items": _PEER}},
    },
    "Health": {
        "type": "object",
        "required": ["status"],
        "properties": {
            "status": {"enum": ["ok", "degraded"]},
            "detail": {
                "type": "array",
                "description": "What is wrong, where the status is degraded.",
                "items": {
                    "type": "object",
                    "required": ["code", "description"],
                    "properties": {"code": {"type": "string"}, "description": {"type": "string"}},
                },
            },
        },
    },
    "Binary": {"type": "string", "contentMediaType": "application/octet-stream"},
    "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
    "Text": {"type": "string"},
}
