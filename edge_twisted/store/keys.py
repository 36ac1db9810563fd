# SPDX-License-Identifier: Apache-2.0
"""
Index keys: bytes that order documents by the components of an index.

A component is the sort key of the value at its path, every bit inverted where the direction is
descending; since no sort key is the beginning of another, components can be joined.  A planner
makes ranges of keys with the same functions that the stores make entries with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from edge_twisted.documents.keys import after, invert
from edge_twisted.documents.values import MISSING, Operand, Value, sort_key
from edge_twisted.store.rows import ByteRange, IndexDefinition, IndexKey

#: Longer keys are cut, and their index is not `exact` any more.  Below a quarter of a 4 KiB page,
#: above which SQLite would spill keys to pages of their own.
KEY_LIMIT_BYTES = 900


def component(value: Operand, key: IndexKey) -> bytes:
    """
    Return the bytes of one component of an index key: `value` in the direction of `key`.

    Bytes compare as the values do; inverted for a descending component.
    """
    encoded = sort_key(value)
    return invert(encoded) if key.direction == "desc" else encoded


def prefix(values: Sequence[Operand], keys: Sequence[IndexKey]) -> bytes:
    """
    Return the bytes with which all keys begin whose first components have these values.

    :param keys: the components of the index, at least as many as `values`.
    """
    return b"".join(component(value, key) for value, key in zip(values, keys, strict=False))


def entry(definition: IndexDefinition, document: Mapping[str, Value]) -> bytes | None:
    """
    Return a document's key in an index, uncut; None if the index leaves the document out.

    An index leaves out documents that lack its first component, unless it includes missing ones.
    """
    values = [at(document, key.path) for key in definition.keys]
    if values[0] is MISSING and not definition.include_missing:
        return None
    return prefix(values, definition.keys)


def at(document: Mapping[str, Value], path: Sequence[str]) -> Operand:
    """Return the value at a path of field names in a document; MISSING if there is none."""
    value: object = document
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return value  # type: ignore[return-value]


def beginning_with(begin: bytes) -> ByteRange:
    """Return the range of all keys that begin with the bytes `begin`."""
    return ByteRange(begin, after(begin))


def cut(span: ByteRange) -> ByteRange:
    """
    Return a range, perhaps larger than `span`, that has the cut form of every key of `span`.

    Keys in indexes are cut to `KEY_LIMIT_BYTES`.
    """
    low, high = span
    if high is not None and len(high) > KEY_LIMIT_BYTES:
        # A cut key that equals the cut bound may stand for a whole key below the bound.
        return ByteRange(low[:KEY_LIMIT_BYTES], high[:KEY_LIMIT_BYTES] + b"\x00")
    return span if len(low) <= KEY_LIMIT_BYTES else ByteRange(low[:KEY_LIMIT_BYTES], high)


@frozen
class Bound:
    """One end of a range of values; `included` says whether the value belongs to the range."""

    value: Operand
    included: bool = True


def between(
    keys: Sequence[IndexKey],
    equal: Sequence[Operand] = (),
    low: Bound | None = None,
    high: Bound | None = None,
) -> ByteRange:
    """
    Return the range of index keys whose components equal `equal`, with the next one bounded.

    `low` and `high` are in the order of values, also if the component is descending; None: no
    bound.

    :param keys: the components of the index; more than `equal` if there is a bound.
    """
    stem = prefix(equal, keys)
    if low is None and high is None:
        return beginning_with(stem)
    key = keys[len(equal)]
    first, last = (low, high) if key.direction == "asc" else (high, low)
    begin: bytes | None = stem
    if first is not None:
        begin = stem + component(first.value, key)
        begin = begin if first.included else after(begin)
    end = after(stem)
    if last is not None:
        end = stem + component(last.value, key)
        end = after(end) if last.included else end
    # No sort key is all ones, so something is always above a component.
    assert begin is not None
    return ByteRange(begin, end)
