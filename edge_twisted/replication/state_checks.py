# SPDX-License-Identifier: Apache-2.0
"""Checks of a merge state from a peer: rules that every state keeps which a server has written."""

from __future__ import annotations

from math import isfinite
from typing import Any

from edge_twisted.documents.attachments import is_token
from edge_twisted.documents.counters import CounterState
from edge_twisted.documents.nodes import PathNode, Variant, walk
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.values import INTEGER_MAX, INTEGER_MIN, MISSING, Operand
from edge_twisted.documents.versions import Dot, Replica, VersionVector

_COUNTERS = (Variant.COUNTER, Variant.PN_COUNTER)


def check_state(state: DocumentState, version: VersionVector) -> None:
    """
    Check that a merge state, or the changes of a delta, keep the rules of every state.

    :param version: the version of the state or delta, which must cover every write in it.
    :raises ValueError: no server could have written it; the text says why.
    """
    if not state.life:
        raise ValueError("neither alive nor deleted")
    for entry in state.life:
        _check_covered(version, entry.stamp.dot.replica, entry.stamp.sequence)
    for path, node in walk(state.root):
        if not all(isinstance(name, str) for name in path[-1:]):
            raise ValueError("a path of something else than names")
        _check_node(node, version)


def _check_node(node: PathNode, version: VersionVector) -> None:
    for variant, entries in node.slots.items():
        for entry in entries:
            _check_covered(version, entry.stamp.replica, entry.stamp.sequence)
            if entry.value is not MISSING:
                _check_entry(variant, entry.value)
        if (variant in _COUNTERS) != (variant in node.counters):
            raise ValueError("a counter without a counter, or a counter without a counter")
    for counter in node.counters.values():
        _check_count(counter, version)


def _check_entry(variant: Variant, value: Operand) -> None:
    if variant is Variant.ATTACHMENT:
        if not is_token(value):
            raise ValueError("an attachment that is no token")
    elif variant is not Variant.REGISTER:
        if value is not True:
            raise ValueError("a map or counter with a value of its own")
    else:
        _check_value(value)


def _check_count(counter: CounterState, version: VersionVector) -> None:
    if counter.restart is not None:
        _check_covered(version, counter.restart.replica, counter.restart.sequence)
    _check_integer(counter.start)
    for (replica, began), share in counter.shares.items():
        _check_covered(version, replica, share.sequence)
        if type(began) is not int or not 0 <= began <= share.sequence:
            raise ValueError("a share that began after it ended")
        _check_integer(share.total)


def _check_covered(version: VersionVector, replica: Replica, sequence: object) -> None:
    if type(sequence) is not int or sequence < 1 or not version.covers(Dot(replica, sequence)):
        raise ValueError("a write beyond the version")


def _check_integer(value: object) -> None:
    if type(value) is not int or not INTEGER_MIN <= value <= INTEGER_MAX:
        raise ValueError("a number beyond 64 bits")


def _check_value(value: object) -> None:
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind is int:
            _check_integer(each)
        elif kind is float:
            if not isfinite(each):
                raise ValueError("a number that is not finite")
        elif kind is list:
            waiting.extend(each)
        elif kind is dict:
            if not all(type(name) is str for name in each):
                raise ValueError("an object with keys that are no strings")
            waiting.extend(each.values())
        elif each is not None and kind not in (bool, str, bytes):
            raise ValueError("a value of no known type")
