# SPDX-License-Identifier: Apache-2.0
"""
Functions on objects.

They read and change the top level only, and change copies.  Keys come in the order of their code
points, so that equal objects give equal results, whichever way they were written.  For arguments of
wrong types they return NULL or MISSING (`propagate`).
"""

from __future__ import annotations

from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.dql.functions.json_text import to_json_bytes
from edge_twisted.dql.propagation import propagate


def object_keys(source: Operand) -> Operand:
    """Return the keys of an object as an array, in the order of their code points."""
    if type(source) is dict:
        return [*sorted(source)]
    return propagate(source)


def object_values(source: Operand) -> Operand:
    """Return the values of an object as an array, in the order of `object_keys`."""
    if type(source) is dict:
        return [source[key] for key in sorted(source)]
    return propagate(source)


def object_length(source: Operand) -> Operand:
    """Return the number of keys of an object, those at its top only."""
    if type(source) is dict:
        return len(source)
    return propagate(source)


def object_set(source: Operand, key: Operand, value: Operand, replace: Operand = False) -> Operand:
    """
    Return a copy of an object in which ``key`` has ``value``, which may be NULL.

    A key that is there already gives MISSING unless ``replace`` is TRUE.
    """
    if type(source) is dict and type(key) is str and type(replace) is bool:
        if value is MISSING or (key in source and not replace):
            return MISSING
        return {**source, key: value}
    # A NULL value is stored; only the other arguments hand their NULL on.
    return MISSING if value is MISSING else propagate(source, key, replace)


def object_unset(source: Operand, key: Operand, ignore_missing: Operand = False) -> Operand:
    """
    Return a copy of an object without ``key``.

    A key that is absent gives MISSING unless ``ignore_missing`` is TRUE.
    """
    if type(source) is dict and type(key) is str and type(ignore_missing) is bool:
        if key not in source and not ignore_missing:
            return MISSING
        return {name: value for name, value in source.items() if name != key}
    return propagate(source, key, ignore_missing)


def object_concat(*sources: Operand) -> Operand:
    """Return an object with the keys of all ``sources``; of one key the last value wins."""
    merged: dict[str, Value] = {}
    for source in sources:
        if type(source) is not dict:
            return propagate(*sources)
        merged.update(source)
    return merged


def object_rename(source: Operand, old: Operand, new: Operand) -> Operand:
    """
    Return a copy of an object in which the key ``old`` is called ``new``.

    MISSING if ``old`` is absent, or if ``new`` is another key that is there already.
    """
    if type(source) is dict and type(old) is str and type(new) is str:
        if old not in source or (new in source and new != old):
            return MISSING
        return {new if key == old else key: value for key, value in source.items()}
    return propagate(source, old, new)


def object_size(source: Operand) -> Operand:
    """Return the size of an object's JSON text in bytes: good for comparisons only."""
    if type(source) is dict:
        return len(to_json_bytes(source))
    return propagate(source)
