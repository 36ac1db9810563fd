# SPDX-License-Identifier: Apache-2.0
"""
Headers of encoded states and deltas: version and timestamps, read without the document.

Both forms begin with tables of replicas and stamps and the version vector (`encoding`, `deltas`),
except for the short form of a document that was written once.  `read_header` validates bytes from
peers, so that no impossible version is ever stored.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec.msgpack

from edge_twisted.documents.clock import BEGINNING, Timestamp
from edge_twisted.documents.encoding import CorruptState
from edge_twisted.documents.slot_records import read_seen
from edge_twisted.documents.versions import SITE_BYTES, Dot, Replica, SiteId, VersionVector

_decode = msgspec.msgpack.Decoder().decode
_encode = msgspec.msgpack.Encoder().encode

#: Sequences, epochs and timestamps fit into signed 64 bits, as stores keep them.
_MOST: Final = 2**63 - 1
#: The epoch of INITIAL writers, which are hashes of contents; epochs of servers begin at 1.
INITIAL_EPOCH: Final = 0
#: Exceptions in one version that are accepted; a server makes at most a few for itself.
MAX_EXCEPTIONS: Final = 4096


class Header(NamedTuple):
    """The version and timestamps of an encoded state or delta."""

    version: VersionVector
    #: The newest timestamp of its writes, for the hybrid clock.
    newest: Timestamp
    #: The only write of a document that was written once, else None.
    write: Dot | None


def read_header(data: bytes) -> Header:
    """
    Return the header of an encoded state or delta.

    :raises CorruptState: the bytes are neither, or contain impossible numbers.
    """
    try:
        written = _decode(data)
        if len(written) == 4:
            site, epoch, sequence, timestamp = written
            dot = Dot(_replica(site, epoch), sequence)
            if type(sequence) is not int or type(timestamp) is not int:
                raise ValueError("no number")
            if not (0 < sequence <= _MOST and 0 <= timestamp <= _MOST) or _encode(written) != data:
                raise ValueError("a number out of bounds")
            return Header(VersionVector((dot,)), Timestamp(timestamp), dot)
        if len(written) != 6:
            raise ValueError("neither form has so many parts")
        return _full(written)
    except (msgspec.DecodeError, TypeError, ValueError, IndexError, RecursionError) as error:
        raise CorruptState(str(error)) from None


def read_life(data: bytes) -> tuple[Dot, ...]:
    """
    Return the dots of the live entries of a stored state's life slot; empty if it is deleted.

    Needs no document text, and is far quicker than `encoding.decode`.

    :param data: what `encoding.encode` returned; it is trusted, not checked.
    """
    written = _decode(data)
    if len(written) == 4:
        site, epoch, sequence, _ = written
        return (Dot(Replica(site, epoch), sequence),)
    replicas, stamps, _, _, life, _ = written
    found: list[Dot] = []
    for at, alive in life:
        if alive:
            writer, sequence, _ = stamps[at]
            found.append(Dot(Replica(*replicas[writer]), sequence))
    return tuple(found)


def without_initial(version: VersionVector) -> VersionVector:
    """Return a version without the writes of INSERT INITIAL, which are no server's writes."""
    if all(replica.epoch != INITIAL_EPOCH for replica in version):
        return version
    seen = {r: n for r, n in version.items() if r.epoch != INITIAL_EPOCH}
    return VersionVector(seen, version.exceptions)


def _full(written: Any) -> Header:
    replicas, stamps, seen = written[:3]
    known = [_replica(site, epoch) for site, epoch in replicas]
    if len(set(known)) < len(known):
        raise ValueError("a replica comes twice")
    version = read_seen(known, seen)
    for replica, number in zip(known, seen, strict=True):
        if type(number) is list:
            _check_exceptions(replica, number)
        else:
            _check_number(number, 0)
    if version.exceptions and sum(map(len, version.exceptions.values())) > MAX_EXCEPTIONS:
        raise ValueError("too many exceptions")
    newest = BEGINNING
    for at, sequence, timestamp in stamps:
        _check_number(sequence, 1)
        _check_number(timestamp, 0)
        if sequence > version.seen(known[at]):
            raise ValueError("a write beyond the version")
        newest = max(newest, Timestamp(timestamp))
    if not version:
        raise ValueError("a document that nobody wrote")
    return Header(version, newest, None)


def _check_exceptions(replica: Replica, written: list[Any]) -> None:
    if replica.epoch == INITIAL_EPOCH:
        raise ValueError("an exception of INITIAL")
    number, *spans = written
    _check_number(number, 0)
    before = -1
    for first, last in spans:
        # Spans that touch would be one.
        _check_number(first, before + 2)
        _check_number(last, first)
        before = last
    if not 0 < before < number:
        raise ValueError("exceptions that are none")


def _replica(site: Any, epoch: Any) -> Replica:
    if type(site) is not bytes or len(site) != SITE_BYTES:
        raise ValueError("no site id")
    _check_number(epoch, 0)
    return Replica(SiteId(site), epoch)


def _check_number(number: Any, low: int) -> None:
    if type(number) is not int or not low <= number <= _MOST:
        raise ValueError("a number out of bounds")
