# SPDX-License-Identifier: Apache-2.0
"""Content negotiation between JSON and CBOR, for request bodies and for responses."""

from __future__ import annotations

from enum import Enum

from edge_twisted.api.errors import UnsupportedMediaType
from edge_twisted.api.request import Headers


class Media(Enum):
    """The media types of statements and results."""

    JSON = "application/json"
    CBOR = "application/cbor"


#: Values of Content-Type and Accept that almost every client sends; these need no parsing.
_USUAL_TYPES = {
    None: Media.JSON,
    b"application/json": Media.JSON,
    b"application/json; charset=utf-8": Media.JSON,
    b"application/cbor": Media.CBOR,
}
_USUAL_ACCEPTS = {
    None: Media.JSON,
    b"*/*": Media.JSON,
    b"application/json": Media.JSON,
    b"application/cbor": Media.CBOR,
}
_UTF8 = {"utf-8", "utf8"}


def body_media(headers: Headers) -> Media:
    """
    Return the media type of a request's body; JSON without a Content-Type.

    :raises UnsupportedMediaType: the type is another one, the charset is not UTF-8, or the body has
        a Content-Encoding.
    """
    refuse_coding(headers)
    raw = headers.get_bytes(b"content-type")
    usual = _USUAL_TYPES.get(raw)
    if usual is not None:
        return usual
    assert raw is not None
    kind, parameters = content_type(raw)
    charset = parameters.get("charset", "utf-8")
    if charset.lower() not in _UTF8:
        raise UnsupportedMediaType("the charset must be utf-8")
    for media in Media:
        if kind == media.value:
            return media
    raise UnsupportedMediaType("the Content-Type must be application/json or application/cbor")


def refuse_coding(headers: Headers) -> None:
    """Check that a body is not compressed.

    :raises UnsupportedMediaType: the body has a Content-Encoding: 415; the client must send it
        plain.
    """
    coding = headers.get_bytes(b"content-encoding")
    if coding is not None and coding.strip().lower() not in (b"", b"identity"):
        raise UnsupportedMediaType("a body with a Content-Encoding is not taken: send it plain")


def answer_media(headers: Headers) -> Media:
    """Return the media type for the response: the one that the Accept field prefers.

    JSON if there is no such field, if it names none of ours, or likes JSON as much as CBOR.
    """
    raw = headers.get_bytes(b"accept")
    usual = _USUAL_ACCEPTS.get(raw)
    if usual is not None:
        return usual
    assert raw is not None
    quality = {Media.JSON.value: 0.0, Media.CBOR.value: 0.0}
    wildcard = 0.0
    for part in raw.split(b","):
        kind, parameters = content_type(part)
        wanted = _quality(parameters.get("q", "1"))
        if kind in quality:
            quality[kind] = max(quality[kind], wanted)
        elif kind in ("*/*", "application/*"):
            wildcard = max(wildcard, wanted)
    json = max(quality[Media.JSON.value], wildcard)
    return Media.CBOR if quality[Media.CBOR.value] > json else Media.JSON


def content_type(raw: bytes) -> tuple[str, dict[str, str]]:
    """Split a Content-Type, or one part of an Accept, into (type, parameters by name).

    Type and names come in lower case, values without quotes.
    """
    kind, *rest = raw.decode("latin-1").split(";")
    parameters = {}
    for each in rest:
        name, _, value = each.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    return kind.strip().lower(), parameters


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
