# SPDX-License-Identifier: Apache-2.0
"""
Decoding of request bodies: from JSON or CBOR to a statement with its arguments.

The values returned are document values only, nested no deeper than `MAX_NESTING`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from itertools import accumulate

import cbor2

from edge_twisted.api.database import Call
from edge_twisted.api.errors import InvalidRequest
from edge_twisted.api.media import Media
from edge_twisted.documents.json_text import InvalidJson, parse
from edge_twisted.documents.values import INTEGER_MAX, INTEGER_MIN

#: How deep a body may be nested; well below what the JSON encoder can write (254).
MAX_NESTING = 128
#: Most members that a message names, and most characters of each.
_SHOWN_MEMBERS = 5
_SHOWN_CHARACTERS = 40

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_NO_MARKS = bytes(set(range(256)) - set(b'"[]{}'))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}

_TOO_DEEP = f"the body is nested deeper than {MAX_NESTING} levels"
_CALL = frozenset({"statement", "args"})


def decode(body: bytes, media: Media) -> object:
    """Decode a body in JSON or CBOR to a value as documents hold it.

    :raises InvalidRequest: `body` is empty or malformed, or has a value that documents cannot hold.
    """
    if not body:
        raise InvalidRequest("the body is empty; send an object")
    return _from_json(body) if media is Media.JSON else _from_cbor(body)


def call_of(value: object, where: str = "the body") -> Call:
    """Return (statement, arguments by name) of ``{"statement": ..., "args": {...}}``.

    `args` may be absent.  `where` is what error messages call the value.

    :raises InvalidRequest: the value has another form: 400.
    """
    members = object_of(value, _CALL, where)
    statement = members.get("statement")
    if type(statement) is not str:
        wrong = "has no" if "statement" not in members else "must have a string as"
        raise InvalidRequest(f'{where} {wrong} "statement"')
    args = members.get("args")
    if args is None:
        return statement, {}
    if type(args) is not dict:
        raise InvalidRequest(f'"args" of {where} must be an object: names without the colon')
    return statement, args


def object_of(value: object, known: frozenset[str], where: str) -> Mapping[str, object]:
    """Return a decoded value, checked to be an object without unknown members.

    `where` is what error messages call the value.

    :raises InvalidRequest: the value is no object, or has a member that is not in `known`.
    """
    if type(value) is not dict:
        raise InvalidRequest(f"{where} must be an object with {_listed(known)}")
    if not known.issuperset(value):
        unknown = [name for name in value if name not in known]
        shown = ", ".join(repr(name[:_SHOWN_CHARACTERS]) for name in unknown[:_SHOWN_MEMBERS])
        more = ", ..." if len(unknown) > _SHOWN_MEMBERS else ""
        raise InvalidRequest(
            f"{where} has unknown members: {shown}{more}; known are {_listed(known)}"
        )
    return value


def _listed(names: frozenset[str]) -> str:
    return " and ".join(f'"{name}"' for name in sorted(names, reverse=True))


def _from_json(body: bytes) -> object:
    try:
        value = parse(body)
    except InvalidJson as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from None
    except RecursionError:
        raise InvalidRequest(_TOO_DEEP) from None
    # A text with fewer brackets cannot be too deep, so few requests pay for `_depth`.
    if body.count(b"[") + body.count(b"{") > MAX_NESTING and _depth(body) > MAX_NESTING:
        raise InvalidRequest(_TOO_DEEP)
    return value


def _depth(text: bytes) -> int:
    """Return the nesting depth of a valid JSON text, counted by its brackets outside strings."""
    if b"\\" in text:
        text = _ESCAPE.sub(b"", text)
    marks = text.translate(None, _NO_MARKS)
    brackets = _STRING.sub(b"", marks)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _from_cbor(body: bytes) -> object:
    source = BytesIO(body)
    decoder = cbor2.CBORDecoder(
        source, max_depth=MAX_NESTING, allow_duplicate_keys=False, strict_hashable_types=True
    )
    try:
        value: object = decoder.decode()
    except cbor2.CBORDecodeError as error:
        raise InvalidRequest(f"the body is no CBOR: {error}") from None
    if source.tell() != len(body):
        raise InvalidRequest("the body has something after its value")
    _check(value, MAX_NESTING)
    return value


def _check(value: object, levels: int) -> None:
    """Refuse values that CBOR has and documents do not, and nesting beyond `levels`."""
    kind = type(value)
    if kind is str or kind is bytes or kind is bool or value is None:
        return
    if kind is int:
        if not INTEGER_MIN <= value <= INTEGER_MAX:  # type: ignore[operator]
            raise InvalidRequest("the body has an integer beyond 64 bits")
    elif kind is float:
        if value - value != 0.0:  # type: ignore[operator]
            raise InvalidRequest("the body has a number that is not finite")
    elif not levels:
        # Checked here too, because CBOR's shared references can make a short text endlessly deep.
        raise InvalidRequest(_TOO_DEEP)
    elif isinstance(value, list):
        for each in value:
            _check(each, levels - 1)
    elif isinstance(value, dict):
        for name, each in value.items():
            if type(name) is not str:
                raise InvalidRequest("the body has an object with a name that is no string")
            _check(each, levels - 1)
    else:
        raise InvalidRequest(
            f"the body has a value that documents cannot hold: {kind.__name__[:_SHOWN_CHARACTERS]}"
        )
